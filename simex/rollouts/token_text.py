"""The text of each token, for people to look at."""

from collections.abc import Callable, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def token_texts(
    decode: Callable[[Sequence[int]], str], ids: Sequence[int]
) -> list[str]:
    """A text for each id; joined they are the text of all.

    A character that is spelled in several byte tokens is the text of the last of them,
    and the others have none. Control tokens have none either.

    Args:
      decode: of a tokenizer.
      ids: of one completion.
    """
    known = {i: _text_inside(decode, i) for i in set(ids)}
    texts = [known[i] for i in ids]
    start = None
    for end in range(len(ids) + 1):
        is_byte = end < len(ids) and REPLACEMENT in texts[end]
        if is_byte and start is None:
            start = end
        if not is_byte and start is not None:
            texts[start:end] = ["" for _ in range(start, end - 1)] + [
                decode(ids[start:end])
            ]
            start = None
    return texts


def token_span(
    decode: Callable[[Sequence[int]], str], ids: Sequence[int], chars: tuple[int, int]
) -> tuple[int, int] | None:
    """The tokens [first, last + 1) that hold any of the characters [start, end).

    None where there is no such token, e.g. for no characters at all.

    Example: of tokens with the texts "t=", "3 ", "x" the characters [3, 5) lie in the
    second and the third: (1, 3).
    """
    start, end = chars
    touched = []
    position = 0
    for index, text in enumerate(token_texts(decode, ids)):
        if text and position < end and position + len(text) > start:
            touched.append(index)
        position += len(text)
    return (touched[0], touched[-1] + 1) if touched else None


def _text_inside(decode: Callable[[Sequence[int]], str], token: int) -> str:
    # Alone, a token may lose the space that it begins with; behind itself it does not.
    return decode([token, token])[len(decode([token])) :]
