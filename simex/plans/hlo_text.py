"""The text of a compiled program as computations and instructions.

XLA prints one instruction a line, ``%name = type opcode(%operand, ...), attributes``,
inside computations; operands are named, not typed.
"""

import dataclasses
import math
import re
from collections.abc import Mapping

_BITS = {
    "pred": 8, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "f8e4m3fn": 8, "f8e5m2": 8,
    "bf16": 16, "f16": 16, "s16": 16, "u16": 16, "f32": 32, "s32": 32, "u32": 32,
    "f64": 64, "s64": 64, "u64": 64, "c64": 64, "token": 0,
}  # fmt: skip
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,]*)\](?:\{([^{}]*)\})?")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_OPCODE = re.compile(r" ?([a-z][\w\-]*)\(")
_CALLED = re.compile(
    r"(calls|body|condition|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """One array; the outputs of an instruction are one or several."""

    dtype: str
    dims: tuple[int, ...]
    is_on_chip: bool = False  # in the small memory beside the matrix units, not in HBM

    @property
    def size(self) -> int:
        return math.prod(self.dims)

    @property
    def bytes(self) -> float:
        return self.size * _BITS.get(self.dtype, 32) / 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instruction:
    """One line."""

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    attributes: str
    is_root: bool = False

    def called(self, role: str) -> str | None:
        """The computation that stands as ``role=%name``, e.g. of a loop's body."""
        return dict(_CALLED.findall(self.attributes)).get(role)

    @property
    def branches(self) -> tuple[str, ...]:
        """The computations of a conditional."""
        found = _BRANCHES.search(self.attributes)
        names = found[1].split(",") if found else []
        roles = ("true_computation", "false_computation")
        both = [self.called(role) for role in roles]
        return tuple(n.strip().lstrip("%") for n in names) + tuple(filter(None, both))


Computation = Mapping[str, Instruction]  # by name, in order


@dataclasses.dataclass(frozen=True, kw_only=True)
class Module:
    """A whole program."""

    computations: Mapping[str, Computation]
    entry: str


def parse_module(text: str) -> Module:
    """Reads `compiled.as_text()`."""
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = "", None
    for line in text.splitlines():
        if header := _HEADER.match(line):
            current = computations.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
        elif line.rstrip() == "}":
            current = None
        elif current is not None and (found := _LINE.match(line)):
            instruction = _parse_instruction(found[2], found[3], bool(found[1]))
            current[instruction.name] = instruction
    return Module(computations=computations, entry=entry)


def _parse_instruction(name: str, text: str, is_root: bool) -> Instruction:
    kind, rest = _split_type(text)
    opcode = _OPCODE.match(rest)
    if opcode is None:
        return Instruction(
            name=name, opcode="", shapes=(), operands=(), attributes=rest
        )
    start = opcode.end()
    end = _closing(rest, start)
    operands = re.findall(r"%([\w.\-]+)", rest[start:end])
    return Instruction(
        name=name,
        opcode=opcode[1],
        shapes=parse_shapes(kind),
        operands=tuple(operands),
        # What is no operand between the parentheses is a constant or a number.
        attributes=rest[end:] if operands else rest[start:],
        is_root=is_root,
    )


def parse_shapes(text: str) -> tuple[Shape, ...]:
    """``(f32[4,8]{1,0:T(8,128)S(1)}, s32[])`` as two shapes, the first on the chip."""
    return tuple(
        Shape(
            dtype=dtype,
            dims=tuple(int(n) for n in dims.split(",") if n),
            is_on_chip="S(1)" in layout,
        )
        for dtype, dims, layout in _ARRAY.findall(text)
    )


def _split_type(text: str) -> tuple[str, str]:
    """The type, a parenthesised tuple or one array, and what follows."""
    if text.startswith("("):
        end = _closing(text, 1) + 1
    else:
        end = text.find(" ")
    return text[:end], text[end:]


def _closing(text: str, start: int) -> int:
    """Where the parenthesis that was opened before `start` closes."""
    depth = 1
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text)
