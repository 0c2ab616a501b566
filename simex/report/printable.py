"""Text from outside, made fit to be shown: no control character acts on the screen."""

import re
from typing import Any

from markupsafe import Markup

# Control characters and halves of surrogate pairs, neither of which HTML can hold.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: Any) -> Any:
    r"""Text in which control characters are written out: "a\x00b" reads a\x00b."""
    if not isinstance(text, str) or isinstance(text, Markup):
        return text
    return _UNPRINTABLE.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
