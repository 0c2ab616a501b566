"""Values on their way into a function call and out of it, as text of one exact form.

Runs inside the box too: standard library only. A value is written in prefix order, one
line for every value in it, ASCII only:

    n, t, f       None, True, False
    i-ff          an int, in hexadecimal
    d0x1.8p+1     a float, as `float.hex` writes it
    c<d>,<d>      a complex number, two such floats
    s<hex>        a str, its UTF-8 bytes (lone surrogates pass)
    b<hex>        bytes
    l2  u2        a list, a tuple: its length; the values follow
    S2  z2        a set, a frozenset: the same
    m2            a dict of two pairs: the four values follow, each key before its value

Nothing else can be written: not a subclass, whatever it says of itself, and no value
that nests deeper than `MAX_DEPTH`. A line `?` stands for such a value and ends the
text. Reading never evaluates, unpickles, hashes or compares what was written, takes
linear time, and needs no recursion.

Example: ``[1, "a"]`` is ``l2\\ni1\\ns61\\n``.
"""

import builtins
from collections.abc import Iterator
from typing import Any, NamedTuple

# A program may put others in the place of the builtins; functions here keep theirs.
__builtins__ = dict(vars(builtins))  # type: ignore[assignment]
MAX_DEPTH = 200
REFUSED = "?"
_MAX_COUNT_DIGITS = 9
_MAX_FLOAT_LENGTH = 64
_CONTAINERS: dict[type, str] = {list: "l", tuple: "u", set: "S", frozenset: "z"}
_CONSTANTS = {"n": None, "t": True, "f": False}


class Node(NamedTuple):
    """One value as it was written. Comparing nodes compares text."""

    kind: str  # the first letter of its line
    text: str  # the rest of the line
    children: tuple[Any, ...] = ()  # nodes; of a dict key, value, key, value


def encode_lines(value: object) -> Iterator[str]:
    """The lines of `value`, without newlines; the last one is `REFUSED` if it has none.

    No code of the value's own is run, apart from `tolist` of what says that it comes
    from numpy, the result of which is written under the same rules.
    """
    stack: list[Iterator[Any]] = [iter((value,))]
    while stack:
        for item in stack[-1]:
            line, children = _describe(item)
            if line == REFUSED or (children is not None and len(stack) > MAX_DEPTH):
                yield REFUSED
                return
            if line:
                yield line
            if children is not None:
                stack.append(children)
                break
        else:
            stack.pop()


def encode_value(value: object) -> bytes:
    """The whole text of a value of our own.

    Raises:
      ValueError: it holds something that has no text.
    """
    lines = list(encode_lines(value))
    if lines[-1] == REFUSED:
        raise ValueError(
            "a value must be built of None, bool, int, float, complex, str, bytes, "
            f"list, tuple, set, frozenset and dict, at most {MAX_DEPTH} deep"
        )
    return ("\n".join(lines) + "\n").encode("ascii")


def _describe(item: Any) -> tuple[str, Iterator[Any] | None]:
    kind = type(item)
    if kind is int:
        return f"i{item:x}", None
    if kind is str:
        return "s" + item.encode("utf-8", "surrogatepass").hex(), None
    if kind in _CONTAINERS:
        return f"{_CONTAINERS[kind]}{len(item)}", iter(item)
    if kind is dict:
        return f"m{len(item)}", (part for pair in item.items() for part in pair)
    if kind is float:
        return "d" + float.hex(item), None
    for letter, constant in _CONSTANTS.items():
        if item is constant:
            return letter, None
    if kind is bytes:
        return "b" + item.hex(), None
    if kind is complex:
        return f"c{float.hex(item.real)},{float.hex(item.imag)}", None
    if _is_of_numpy(kind):
        return "", iter((item.tolist(),))
    return REFUSED, None


def _is_of_numpy(kind: type) -> bool:
    module = kind.__module__
    return type(module) is str and module == "numpy" and hasattr(kind, "tolist")


def parse_value(data: bytes) -> Node:
    """The inverse of `encode_value`, for text that nobody vouches for.

    Raises:
      ValueError: it is not the text of one value.
    """
    lines = data.decode("ascii").split("\n")
    if lines.pop() != "":
        raise ValueError("it does not end with a whole line")
    root: list[Node] = []
    # Open containers: kind, text, how many children are to come, those that came.
    stack: list[tuple[str, str, int, list[Node]]] = [("", "", 1, root)]
    for line in lines:
        kind, text = line[:1], line[1:]
        if len(stack[-1][3]) == stack[-1][2]:
            raise ValueError("it goes on after its end")
        if kind in ("l", "u", "S", "z", "m"):
            count = _parse_count(text) * (2 if kind == "m" else 1)
            if len(stack) > MAX_DEPTH:
                raise ValueError("it nests too deeply")
            stack.append((kind, text, count, []))
        else:
            _check_leaf(kind, text)
            stack[-1][3].append(Node(kind, text))
        while len(stack) > 1 and len(stack[-1][3]) == stack[-1][2]:
            kind, text, _, children = stack.pop()
            stack[-1][3].append(Node(kind, text, tuple(children)))
    if len(stack) != 1 or len(root) != 1:
        raise ValueError("it ends too early")
    return root[0]


def _parse_count(text: str) -> int:
    if not (text.isdigit() and len(text) <= _MAX_COUNT_DIGITS):
        raise ValueError("a length is not a number")
    return int(text)


def _check_leaf(kind: str, text: str) -> None:
    if kind == "d":
        parse_float(text)
    elif kind == "c":
        for part in text.split(",", 1):
            parse_float(part)
        if "," not in text:
            raise ValueError("a complex number needs two parts")
    elif kind == "i":
        digits = text[1:] if text[:1] == "-" else text
        if not digits or digits.strip("0123456789abcdef"):
            raise ValueError("an integer is not hexadecimal")
    elif kind in ("s", "b"):
        if len(text) % 2 or text.strip("0123456789abcdef"):
            raise ValueError("a text is not hexadecimal")
    elif kind not in _CONSTANTS or text:
        raise ValueError("a line has an unknown form")


def parse_float(text: str) -> float:
    """Of a node of kind d. Raises ValueError for another text."""
    if len(text) > _MAX_FLOAT_LENGTH or text != text.strip():
        raise ValueError("a float is too long, or has spaces")
    try:
        return float.fromhex(text)
    except OverflowError:
        raise ValueError("a float is too large") from None


def build_value(node: Node) -> Any:
    """The value itself, of a node that we wrote."""
    kind, text, children = node
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]
    if kind == "i":
        return int(text, 16)
    if kind == "d":
        return parse_float(text)
    if kind == "c":
        real, imaginary = text.split(",")
        return complex(parse_float(real), parse_float(imaginary))
    if kind in ("s", "b"):
        data = bytes.fromhex(text)
        return data if kind == "b" else data.decode("utf-8", "surrogatepass")
    values = [build_value(child) for child in children]
    if kind == "m":
        return {values[i]: values[i + 1] for i in range(0, len(values), 2)}
    return {"l": list, "u": tuple, "S": set, "z": frozenset}[kind](values)
