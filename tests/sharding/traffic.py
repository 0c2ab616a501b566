"""How many bytes the collectives of a compiled program move, read from its HLO.

Bytes are those that one device sends. Of an array of `size` bytes over n devices an
all-gather (size of its output) and a reduce-scatter (of its input) send (n-1)/n size, an
all-reduce twice that, an all-to-all (n-1)/n size, a collective-permute all of it. What
stands in the body of a loop counts as often as the loop runs.
"""

import collections
import math
import re
from collections.abc import Iterator

_ITEM_BYTES = {
    "pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2,
    "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8,
}  # fmt: skip
_COLLECTIVE = re.compile(
    r"= (?P<shape>.*?) (?P<kind>all-gather|all-reduce|reduce-scatter|all-to-all|"
    r"collective-permute)(?P<start>-start)?\("
)
_ARRAY = re.compile(r"\b([a-z]+\d+)\[([\d,]*)\]")
_CALLED = re.compile(
    r"(?:calls|to_apply|true_computation|false_computation)=%?([\w.-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_LOOP = re.compile(r"condition=%?([\w.-]+), body=%?([\w.-]+)")
_TRIPS = re.compile(r"known_trip_count[^0-9]*(\d+)")
_CONSTANT = re.compile(r"\b[su]\d+\[\][^ ]* constant\((\d+)\)")

# TPUs have no instruction of that name: a fusion of an all-reduce with a slice is it.
_FUSED_SCATTER = "all-reduce-scatter"


def bytes_sent(hlo_text: str) -> dict[str, float]:
    """Bytes that one device sends in one call, by the kind of collective.

    Args:
        hlo_text: `jit(f).lower(...).compile().as_text()`.
    """
    computations, entry = _split(hlo_text)
    sent: dict[str, float] = collections.defaultdict(float)
    for name, times in _count_calls(computations, entry).items():
        for line in computations.get(name, []):
            if found := _COLLECTIVE.search(line):
                is_start = found["start"] is not None
                size = _size_of(found["shape"], found["kind"], is_start=is_start)
                kind = found["kind"]
                if name.startswith(_FUSED_SCATTER):
                    kind, size = "reduce-scatter", size // _group_size(line)
                sent[kind] += times * _share(kind, line) * size
    return dict(sent)


def _split(hlo_text: str) -> tuple[dict[str, list[str]], str]:
    """The lines of every computation, and the name of the one that is run."""
    computations: dict[str, list[str]] = {}
    entry = name = ""
    for line in hlo_text.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.-]+) \(.*\{$", line):
            name = head[2]
            entry = name if head[1] else entry
            computations[name] = []
        elif name and line.startswith(" "):
            computations[name].append(line)
    return computations, entry


def _count_calls(computations: dict[str, list[str]], entry: str) -> dict[str, int]:
    """How often each computation runs; of branches, all as if each were taken."""
    times: dict[str, int] = collections.defaultdict(int)

    def visit(name: str, count: int) -> None:
        times[name] += count
        for line in computations.get(name, []):
            if loop := _LOOP.search(line):
                known = _TRIPS.search(line)
                condition, body = computations[loop[1]], computations[loop[2]]
                trips = int(known[1]) if known else _trips(condition, body)
                visit(loop[2], count * trips)
            for called in _called(line):
                visit(called, count)

    visit(entry, 1)
    return times


def _called(line: str) -> Iterator[str]:
    yield from _CALLED.findall(line)
    for branches in _BRANCHES.findall(line):
        yield from (name.strip(" %") for name in branches.split(","))


def _trips(condition: list[str], body: list[str]) -> int:
    """How often a loop runs, where the compiler does not note it: bound / step."""
    bound = max(int(n) for line in condition for n in _CONSTANT.findall(line))
    return -(-bound // _step(condition, body))


def _step(condition: list[str], body: list[str]) -> int:
    """What the counter grows by: an unrolled loop counts in twos."""
    compared = re.search(r"compare\(%?([\w.-]+)", "\n".join(condition))
    place = compared and _definition(condition, compared[1], r".*index=(\d+)")
    root = re.search(r"ROOT .* tuple\(([^)]*)\)", "\n".join(body))
    if not place or not root:
        return 1
    operand = root[1].split(",")[int(place[1])].split("%")[-1].strip()
    added = _definition(body, operand, r".* add\(%?[\w.-]+, %?([\w.-]+)\)")
    number = added and _definition(body, added[1], r".*constant\((\d+)\)")
    return int(number[1]) if number else 1


def _definition(lines: list[str], name: str, pattern: str) -> re.Match[str] | None:
    """Where `name` is defined, matched against `pattern`."""
    head = re.compile(rf"\s*(?:ROOT )?%?{re.escape(name)} = ")
    return next((re.match(pattern, line) for line in lines if head.match(line)), None)


def _size_of(shape: str, kind: str, *, is_start: bool) -> int:
    """Bytes of the larger side of a collective whose result has this shape text."""
    sizes = [
        _ITEM_BYTES[dtype] * math.prod(int(n) for n in dims.split(",") if n)
        for dtype, dims in _ARRAY.findall(shape)
        if dtype in _ITEM_BYTES
    ]
    # A start gives (what goes in, what comes out, ...); else there may be several.
    return max(sizes) if is_start else sum(sizes)


def _share(kind: str, line: str) -> float:
    num = _group_size(line)
    if kind == "collective-permute":
        return 1.0
    if kind == "reduce-scatter":  # its shape is what comes out
        return float(num - 1)
    share = (num - 1) / num
    return 2 * share if kind == "all-reduce" else share


def _group_size(line: str) -> int:
    """Devices of one group: {{0,1},{2,3}}, [4,2]<=[8], or mesh['a'=4,'b'=2] {'b'}."""
    if listed := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return len(listed[1].split(","))
    if tiled := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(tiled[1])
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\] ?\{([^}]*)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", named[2]))
    return 1
