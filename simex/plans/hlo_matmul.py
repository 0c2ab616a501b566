"""FLOPs of matrix products in HLO, where a TPU's compiler writes convolutions."""

import math
import re
from collections.abc import Callable

from simex.plans.hlo_text import Computation, Instruction, Shape


def matmul_flops(computation: Computation, instruction: Instruction) -> float:
    """2 FLOPs a multiply-add of a `dot` or a `convolution`; 0 of anything else."""
    if instruction.opcode in ("dot", "convolution"):
        out = sum(shape.size for shape in instruction.shapes)
        return 2.0 * out * _contracted(computation, instruction)
    return 0.0


def _contracted(computation: Computation, instruction: Instruction) -> float:
    """How many products are summed for one output."""
    left, right = (computation[name].shapes[0] for name in instruction.operands[:2])
    if instruction.opcode == "dot":
        found = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", instruction.attributes)
        axes = [int(n) for n in found[1].split(",") if n] if found else []
        return math.prod(left.dims[axis] for axis in axes)
    return _convolved(left, right, instruction)


def _convolved(left: Shape, right: Shape, instruction: Instruction) -> float:
    """Products a sum of a convolution: input features, times the window's positions that
    lie on an input and not on padding (batch axes are written as such windows)."""
    found = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", instruction.attributes)
    inputs, kernel, outputs = found.groups() if found else ("bf", "io", "bf")
    total = float(right.dims[kernel.index("i")])
    window = _window(instruction)
    for axis in range(sum(label.isdigit() for label in kernel)):
        out = instruction.shapes[0].dims[outputs.index(str(axis))]
        size = left.dims[inputs.index(str(axis))]
        total *= _mean_hits(out, size, *(window(name, axis) for name in _WINDOW)) / out
    return total


_WINDOW = ("size", "stride", "pad", "lhs_dilate", "rhs_dilate")


def _mean_hits(
    out: int, size: int, taps: int, stride: int, pad: int, spread: int, reach: int
) -> int:
    """Pairs of an output and a tap of its window that meet one of `size` inputs."""
    return sum(
        0 <= (at := o * stride + tap * reach - pad) <= (size - 1) * spread
        and at % spread == 0
        for o in range(out)
        for tap in range(taps)
    )


def _window(instruction: Instruction) -> Callable[[str, int], int]:
    """(name, axis) -> the number of ``window={size=2x3 pad=1_1x0_0}`` of that axis."""
    found = re.search(r"window=\{([^}]*)\}", instruction.attributes)
    given = dict(re.findall(r"(\w+)=([\dx_\-]+)", found[1] if found else ""))

    def read(name: str, axis: int) -> int:
        default = 0 if name == "pad" else 1
        if name not in given:
            return default
        return int(given[name].split("x")[axis].split("_")[0])  # of pad the low end

    return read
