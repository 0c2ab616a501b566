"""Text of ids as they come, exactly the text that they have together.

A character may be spread over several ids (bytes of UTF-8), and some decoders judge a
run of byte pieces as a whole. So ids wait until their text can no longer change.
"""

from simex.tokens.tokenizer import Tokenizer

_REPLACEMENT = "\ufffd"  # also what an unfinished character decodes to


class StreamDecoder:
    """Decodes one sequence; make a new one for each.

    The texts of all `push` calls and of `finish`, put together, are
    ``tokenizer.decode`` of all the ids.
    """

    def __init__(self, tokenizer: Tokenizer):
        """Starts at the beginning of a sequence."""
        self._tokenizer = tokenizer
        self._context: list[int] = []  # said already; decoders may look back at it
        self._pending: list[int] = []

    def push(self, token_id: int) -> str:
        """The text that is certain now; often "" in the middle of a character."""
        self._pending.append(token_id)
        is_byte = token_id in self._tokenizer.byte_ids
        if is_byte or not self._tokenizer.decode([token_id]):
            return ""  # nor does an id without text end a run of bytes
        text = self._new_text()
        if not text or text.endswith(_REPLACEMENT):
            return ""
        self._context, self._pending = self._pending, []
        return text

    def finish(self) -> str:
        """The text of what still waits, at the end of the sequence."""
        text = self._new_text()
        self._context, self._pending = [], []
        return text

    def _new_text(self) -> str:
        before = self._tokenizer.decode(self._context)
        return self._tokenizer.decode(self._context + self._pending)[len(before) :]
