"""What is true of one run, ready to be asked: made once a trace, used for many texts."""

import bisect
import functools
import re
from collections import defaultdict
from collections.abc import Sequence

from simex.nlex.evaluate import canonical
from simex.nlex.facts import Fact, FactKind, collect_facts
from simex.nlex.loops import LoopRun, collect_loops
from simex.nlex.raw_lines import Line, make_raw_lines
from simex.nlex.statement import StatementKind
from simex.nlex.structure import Structure, read_structure
from simex.nlex.value_text import is_regular
from simex.traces.trace import Trace

_IS_NAMELESS = (FactKind.RETURN, FactKind.RAISE)

_LITERAL = re.compile(r"\b\d+(?:\.\d+)?|'[^'\n]*'|\"[^\"\n]*\"")

Key = tuple[str, str, str]  # kind, name, value


class Truth:
    """The facts of a trace behind an index.

    A fact that was worked out takes two slots, the working and then the fact, as an
    explanation tells them. Sets of slots are integers used as bit masks.
    """

    def __init__(self, trace: Trace):
        self.trace = trace
        self.structure: Structure = read_structure(trace.source)
        self.facts: Sequence[Fact] = collect_facts(trace)
        self.slots: list[tuple[Fact, bool]] = []  # fact, whether it is the working
        self._masks: dict[Key, int] = defaultdict(int)
        self._irregular: dict[tuple[str, str], set[str]] = defaultdict(set)
        for fact in self.facts:
            if fact.working:
                self._add(fact, True, (StatementKind.WORKING.value, "", fact.working))
            self._add(fact, False, *_keys_of(fact))
            if not is_regular(fact.value):
                name = "" if fact.kind in _IS_NAMELESS else fact.name
                self._irregular[fact.kind.value, name].add(fact.value)

    def _add(self, fact: Fact, is_working: bool, *keys: Key) -> None:
        bit = 1 << len(self.slots)
        for key in keys:
            self._masks[key] |= bit
        self.slots.append((fact, is_working))

    def mask(self, kind: StatementKind, name: str, value: str) -> int:
        """The slots of which it is true that `name` got `value` by `kind`."""
        return self._masks.get((kind.value, name, value), 0)

    def mask_of_equal(self, kind: StatementKind, name: str, value: str) -> int:
        """As `mask`, for any way to write the value."""
        return self._canonical_masks.get((kind.value, name, canonical(value)), 0)

    def mask_of_line(self, line: int) -> int:
        """The slots of one source line."""
        return self._line_masks.get(line, 0)

    def irregular_values(self, kind: StatementKind, name: str) -> set[str]:
        """True values that nobody can read whole who does not know them."""
        return self._irregular.get((kind.value, name), set())

    def values_between(self, name: str, first: int, last: int) -> list[str]:
        """The texts that variable `name` had at any time between two slots.

        That is what each depth of frames held before, and all that was set since.
        """
        history = self._histories.get(name)
        if history is None:
            return []
        slots, depths, texts = history
        start = bisect.bisect_right(slots, first)
        end = bisect.bisect_right(slots, last)
        before: dict[int, str] = {}
        for index in range(start - 1, max(start - 64, 0) - 1, -1):
            before.setdefault(depths[index], texts[index])
        return [*before.values(), *texts[start:end]]

    @functools.cached_property
    def loops(self) -> list[LoopRun]:
        """Every loop that the run entered."""
        return collect_loops(self.trace)

    @functools.cached_property
    def turns(self) -> Sequence[str]:
        """The numbers of all iterations of all loops, in the order of their begin."""
        begun = [
            (start, str(number))
            for loop in self.loops
            for number, start in enumerate(loop.starts, start=1)
        ]
        return [number for _, number in sorted(begun, key=lambda turn: turn[0])]

    def mask_of_turn(self, number: str) -> int:
        """Which of `turns` have this number, as a set of their indices."""
        return self._turn_masks.get(number, 0)

    def mask_of_error(self, name: str) -> int:
        """The slots at which an exception of class `name` is raised."""
        mask = 0
        for index, (fact, _) in enumerate(self.slots):
            is_raised = fact.kind is FactKind.RAISE
            if is_raised and fact.value.partition(":")[0].strip() == name:
                mask |= 1 << index
        return mask

    def values_at(self, name: str, loop: LoopRun, number: int) -> list[str]:
        """What `name` is after iteration `number` of `loop`: in its frame, or at all."""
        slots, depths, texts = self._histories.get(name, ([], [], []))
        end = loop.end_of(number)
        at = bisect.bisect_left(slots, end, key=lambda s: self.slots[s][0].event)
        own = (i for i in range(at - 1, -1, -1) if depths[i] == loop.depth)
        found = [texts[i] for i in (at - 1, next(own, -1)) if i >= 0]
        return list(dict.fromkeys(found))

    def is_held(self, literal: str, first: int, last: int) -> bool:
        """Whether any variable has the value `literal` between two slots."""
        return any(
            canonical(value) == literal
            for name in self._histories
            for value in self.values_between(name, first, last)
        )

    @functools.cached_property
    def constants(self) -> frozenset[str]:
        """The literals of the source, as canonical texts."""
        return frozenset(map(canonical, _LITERAL.findall(self.trace.source)))

    @functools.cached_property
    def printed_words(self) -> list[str]:
        """The words of stdout."""
        return self.trace.stdout.split()

    def printed_between(self, first: int, last: int) -> str:
        """What was printed between two slots; `last` may be the number of slots."""
        start = self._printed_before(first) if first >= 0 else 0
        end = self._printed_before(last) if last < len(self.slots) else None
        return self.trace.stdout[start:end]

    def _printed_before(self, slot: int) -> int:
        return self.trace.events[self.slots[slot][0].event].stdout_length

    @functools.cached_property
    def raw_lines(self) -> list[Line]:
        """The lines of a raw dump of the trace."""
        return make_raw_lines(self.trace)

    @functools.cached_property
    def grown(self) -> frozenset[str]:
        """Lists that had elements appended."""
        return frozenset(f.name for f in self.facts if f.kind is FactKind.APPEND)

    @functools.cached_property
    def called(self) -> frozenset[str]:
        """Functions that were entered."""
        return frozenset(f.name for f in self.facts if f.kind is FactKind.CALL)

    @functools.cached_property
    def variables(self) -> frozenset[str]:
        """Names that a statement may be about."""
        return self.structure.names | frozenset(self._histories)

    @functools.cached_property
    def _canonical_masks(self) -> dict[Key, int]:
        masks: dict[Key, int] = defaultdict(int)
        for (kind, name, value), mask in self._masks.items():
            masks[kind, name, canonical(value)] |= mask
        for index, (fact, is_working) in enumerate(self.slots):
            if fact.kind is FactKind.APPEND and not is_working:
                masks["set", fact.name, canonical(fact.after)] |= 1 << index
        return masks

    @functools.cached_property
    def _line_masks(self) -> dict[int, int]:
        masks: dict[int, int] = defaultdict(int)
        for index, (fact, _) in enumerate(self.slots):
            masks[fact.line] |= 1 << index
        return masks

    @functools.cached_property
    def _turn_masks(self) -> dict[str, int]:
        masks: dict[str, int] = defaultdict(int)
        for index, number in enumerate(self.turns):
            masks[number] |= 1 << index
        return masks

    @functools.cached_property
    def _histories(self) -> dict[str, tuple[list[int], list[int], list[str]]]:
        histories: dict[str, tuple[list[int], list[int], list[str]]] = {}
        for index, (fact, is_working) in enumerate(self.slots):
            if is_working or fact.kind not in (FactKind.SET, FactKind.APPEND):
                continue
            slots, depths, texts = histories.setdefault(fact.name, ([], [], []))
            slots.append(index)
            depths.append(fact.depth)
            texts.append(fact.after)
        return histories


def _keys_of(fact: Fact) -> list[Key]:
    kind = fact.kind.value
    if fact.kind in _IS_NAMELESS:
        return [(kind, "", fact.value), (kind, fact.name, fact.value)]
    keys = [(kind, fact.name, fact.value)]
    if fact.kind is FactKind.BRANCH:  # of a named condition, as shown or as written
        keys += [(kind, text, fact.value) for text in (fact.working, fact.expression)]
    return [key for number, key in enumerate(keys) if key not in keys[:number]]
