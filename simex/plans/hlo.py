"""What a compiled program does, loops counted as often as they run.

XLA's own cost analysis counts the body of a loop once, so a decoder whose layers are
scanned looks as cheap as one layer. Here every instruction is multiplied by the trip
counts of the loops around it. What is counted:

* FLOPs of matrix products (a TPU's compiler writes them as convolutions), wherever they
  stand, but not of hand-written kernels, into which the compiler cannot look;
* bytes that instructions read from and write to HBM; what lies in the chip's own memory
  is free, and slices of a large array count as slices;
* bytes that come in from other devices;
* the compiler's estimate of cycles, which a TPU's compiler leaves on each instruction.
"""

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Iterator

from simex.plans.hlo_matmul import matmul_flops
from simex.plans.hlo_text import Computation, Instruction, Module, Shape, parse_module

_FREE = frozenset((
    "parameter", "tuple", "get-tuple-element", "bitcast", "constant", "after-all",
    "iota", "partition-id", "replica-id", "while", "conditional", "call", "opt-barrier",
    "copy-done", "slice-done", "all-gather-done", "all-reduce-done",
    "collective-permute-done", "async-done", "async-update", "send-done", "recv-done",
))  # fmt: skip
COLLECTIVES = (
    "all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute",
    "ragged-all-to-all",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counted:
    """Of one device and one call."""

    flops: float
    bytes: float
    collectives: dict[str, float]  # bytes that come in, by kind
    cycles: float  # 0 where the compiler leaves none
    num_kernels: float  # calls of hand-written kernels


def count_work(text: str) -> Counted:
    """Counts `compiled.as_text()`."""
    module = parse_module(text)
    flops = num_bytes = cycles = num_kernels = 0.0
    collectives: dict[str, float] = collections.defaultdict(float)
    seen: set[str] = set()
    for computation, instruction, times, is_fused in _walk(module, module.entry, 1.0):
        flops += times * matmul_flops(computation, instruction)
        kind = instruction.opcode.removesuffix("-start")
        # An exchange that runs beside other work stands in three fusions, its start, the
        # work and its end, with one channel.
        if kind in COLLECTIVES and _is_new(instruction, seen):
            collectives[kind] += times * _incoming(kind, computation, instruction)
        if is_fused:
            continue
        num_bytes += times * _bytes(module, computation, instruction)
        cycles += times * _cycles(instruction)
        num_kernels += times * ('"tpu_custom_call"' in instruction.attributes)
    return Counted(
        flops=flops,
        bytes=num_bytes,
        collectives=dict(collectives),
        cycles=cycles,
        num_kernels=num_kernels,
    )


def _is_new(instruction: Instruction, seen: set[str]) -> bool:
    channel = re.search(r"channel_id=(\d+)", instruction.attributes)
    key = channel[1] if channel else instruction.name
    is_new = key not in seen
    seen.add(key)
    return is_new


def _walk(
    module: Module, name: str, times: float, is_fused: bool = False
) -> Iterator[tuple[Computation, Instruction, float, bool]]:
    """Every instruction that runs, with how often, and whether it is part of a fusion."""
    computation = module.computations.get(name, {})
    for instruction in computation.values():
        yield computation, instruction, times, is_fused
        opcode = instruction.opcode
        if opcode == "while":
            body = instruction.called("body") or ""
            trips = trip_count(module, instruction)
            yield from _walk(module, body, times * trips, is_fused)
        elif opcode in ("fusion", "call", "async-start", "custom-call"):
            inner = instruction.called("calls") or instruction.called("to_apply")
            if inner and opcode != "custom-call":
                inside = is_fused or opcode == "fusion"
                yield from _walk(module, inner, times, inside)
        for branch in instruction.branches:
            yield from _walk(module, branch, times, is_fused)


def trip_count(module: Module, loop: Instruction) -> int:
    """How often a `while` runs: as the compiler says, or from what it counts to.

    Loops count from 0 to a constant of their condition, by the step that their body adds
    (2 where the compiler unrolled it). A bound that is not known before the program runs
    counts as 1.
    """
    if known := re.search(r"known_trip_count\W+n\W+(\d+)", loop.attributes):
        return int(known[1])
    condition = module.computations.get(loop.called("condition") or "", {})
    root = next((i for i in condition.values() if i.is_root), None)
    if root is None:
        return 1
    bounds = [
        int(found[1])
        for _, instruction, _, _ in _walk(module, loop.called("condition") or "", 1.0)
        if instruction.opcode == "constant"
        and (found := re.match(r"\(?(\d+)\)", instruction.attributes))
    ]
    step = _step(module, loop, condition, root)
    return math.ceil(max(bounds, default=1) / step)


def _step(
    module: Module, loop: Instruction, condition: Computation, root: Instruction
) -> int:
    """What the body adds to the counter that the condition looks at; 1 if unseen."""
    counters = [condition[n] for n in root.operands if n in condition]
    numbers = [
        int(found[1])
        for counter in counters
        if counter.opcode == "get-tuple-element"
        and (found := re.search(r"index=(\d+)", counter.attributes))
    ]
    body = module.computations.get(loop.called("body") or "", {})
    outputs = next((i.operands for i in body.values() if i.is_root), ())
    if not numbers or numbers[0] >= len(outputs):
        return 1
    added = body.get(outputs[numbers[0]])
    if added is None or added.opcode != "add":
        return 1
    for name in added.operands:
        if name in body and body[name].opcode == "constant":
            found = re.match(r"\(?(\d+)\)", body[name].attributes)
            return int(found[1]) if found and int(found[1]) else 1
    return 1


def _bytes(module: Module, computation: Computation, instruction: Instruction) -> float:
    if instruction.opcode in _FREE or not instruction.opcode:
        return 0.0
    shapes = instruction.shapes
    inputs = _operand_shapes(computation, instruction)
    if instruction.opcode in ("copy-start", "slice-start"):
        # (source, destination, a context), or the parts of a slice in the same order.
        moved = min((s.bytes for s in shapes if s.size > 1), default=0.0)
        ends = [inputs[0], shapes[1]] if inputs and len(shapes) > 1 else []
        return moved * sum(not end.is_on_chip for end in ends)
    if instruction.opcode == "dynamic-slice":
        return 2.0 * _hbm(shapes)
    if instruction.opcode == "dynamic-update-slice":
        return 2.0 * _hbm(inputs[1:2])
    if instruction.opcode.removesuffix("-start") in COLLECTIVES:
        return _hbm(inputs) + _hbm(shapes[-1:])
    if instruction.opcode != "fusion":
        return _hbm(shapes) + _hbm(inputs)
    return _fusion_bytes(module, instruction, inputs)


def _fusion_bytes(
    module: Module, instruction: Instruction, inputs: tuple[Shape, ...]
) -> float:
    """A fusion that slices an operand reads the slice; one that updates a slice of an
    operand in place writes the slice."""
    inside = module.computations.get(instruction.called("calls") or "", {})
    parameters = {
        _parameter_number(inner): inner.name
        for inner in inside.values()
        if inner.opcode == "parameter"
    }
    total, updates = 0.0, 0.0
    for index, shape in enumerate(inputs):
        if shape.is_on_chip:
            continue
        users = [
            user for user in inside.values() if parameters.get(index) in user.operands
        ]
        if users and all(user.opcode == "dynamic-slice" for user in users):
            total += sum(sum(s.bytes for s in user.shapes) for user in users)
        elif users and all(
            user.opcode == "dynamic-update-slice"
            and user.operands[0] == parameters[index]
            for user in users
        ):
            update = sum(inside[u.operands[1]].shapes[0].bytes for u in users)
            total += update
            updates += shape.bytes
        else:
            total += shape.bytes
    # What is updated in place is not written whole.
    return total + max(0.0, _hbm(instruction.shapes) - updates)


def _parameter_number(parameter: Instruction) -> int:
    found = re.match(r"\(?(\d+)\)", parameter.attributes)
    return int(found[1]) if found else -1


def _hbm(shapes: tuple[Shape, ...]) -> float:
    return sum(shape.bytes for shape in shapes if not shape.is_on_chip)


def _operand_shapes(
    computation: Computation, instruction: Instruction
) -> tuple[Shape, ...]:
    found = (computation.get(name) for name in instruction.operands)
    return tuple(shape for op in found if op is not None for shape in op.shapes)


def _cycles(instruction: Instruction) -> float:
    found = re.search(r'"estimated_cycles":"(\d+)"', instruction.attributes)
    return float(found[1]) if found else 0.0


def _incoming(kind: str, computation: Computation, instruction: Instruction) -> float:
    """Bytes that one device receives, with the best known exchange on a ring.

    With n devices: all-gather (n-1)/n of its output, reduce-scatter and all-to-all
    (n-1)/n of its input, all-reduce the sum of the first two; a permutation its input.
    """
    inputs = sum(s.bytes for s in _operand_shapes(computation, instruction))
    n = _group_size(instruction.attributes)
    share = (n - 1) / n if n else 1.0
    if kind == "all-gather":
        return inputs * ((n - 1) if n else 1.0)
    if kind == "all-reduce":
        return 2 * inputs * share
    if kind == "collective-permute":
        return inputs
    return inputs * share


@functools.cache
def _group_size(attributes: str) -> int:
    """Devices that exchange with each other; 0 where the text does not say."""
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]", attributes):
        return int(found[1])
    if found := re.search(r"replica_groups=\w+\[([^\]]*)\] ?\{([^}]*)\}", attributes):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", found[1]))
        named = re.findall(r"'(\w+)'", found[2])
        return math.prod(int(sizes[name]) for name in named)
    if found := re.search(r"replica_groups=\{\{([\d,]+)\}", attributes):
        return len(found[1].split(","))
    return 0
