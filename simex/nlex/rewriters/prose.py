"""The style for models that read prose: whole sentences that name each line.

Long loops are summarised: the first turns and the last are told in full, and between
them stands where the variables arrived. So states are replaced, not accumulated, and
a run of a thousand turns takes as many words as one of eight.
"""

from collections import defaultdict
from collections.abc import Iterable

from simex.nlex.explanation import Explanation
from simex.nlex.facts import Fact, FactKind, collect_facts
from simex.nlex.loops import LoopRun, collect_loops
from simex.traces.trace import Trace

# Loops with more iterations are summarised.
MAX_ITERATIONS = 8
_TOLD_AT_START = 3
_MAX_PRINTED_CHARS = 200


def rewrite_prose(trace: Trace) -> Explanation:
    """Tells `trace` in sentences, a line of text for each statement or iteration.

    Example, for ``t = 0`` and ``for x in [4, 7]: if x < 5: t += x``::

        On line 1, t becomes 0.
        The loop on line 2 runs 2 times.
        Iteration 1: On line 2, x becomes 4. The condition 4 < 5 on line 3 holds. On
        line 4, t becomes 0 + 4, which is 4.
        Iteration 2: On line 2, x becomes 7. The condition 7 < 5 on line 3 does not hold.
    """
    facts = collect_facts(trace)
    marks, is_hidden = _plan_loops(trace, facts)
    printed = _find_prints(trace)
    told: list[list[str]] = []
    events = sorted({*marks, *printed, *(fact.event for fact in facts)})
    by_event: dict[int, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_event[fact.event].append(fact)
    for event in events:
        told += [[mark] for mark in marks.get(event, ())]
        if is_hidden[event]:
            continue
        starts_line = bool(marks.get(event)) and not marks[event][-1].endswith(":")
        for fact in by_event[event]:
            if not told or (fact.is_new_line and not marks.get(event)) or starts_line:
                told.append([])
            starts_line = False
            told[-1].append(_render_fact(fact))
        if event in printed:
            told.append([]) if not told else None
            told[-1].append(printed[event])
    text = "\n".join(" ".join(line) for line in told)
    return Explanation(text=text, claimed_output=trace.stdout.rstrip(), style="prose")


def _plan_loops(
    trace: Trace, facts: Iterable[Fact]
) -> tuple[dict[int, list[str]], bytearray]:
    """What is said of loops at which event, and which events are passed over."""
    marks: dict[int, list[str]] = defaultdict(list)
    is_hidden = bytearray(len(trace.events) + 1)
    for loop in collect_loops(trace):
        if is_hidden[loop.entry]:
            continue
        count = loop.num_iterations
        first = loop.first
        if is_hidden[first] or first >= len(is_hidden):
            continue
        times = "1 time" if count == 1 else f"{count} times"
        marks[first].append(f"The loop on line {loop.line} runs {times}.")
        if count <= MAX_ITERATIONS:
            told = range(1, count + 1)
        else:
            told = range(1, _TOLD_AT_START + 1)
            start, end = loop.starts[_TOLD_AT_START], loop.starts[-1]
            is_hidden[start:end] = b"\1" * (end - start)
            marks[end].append(_summarise(loop, facts))
            marks[end].append(f"Iteration {count}:")
        for number in told:
            marks[loop.starts[number - 1]].append(f"Iteration {number}:")
    for event in [event for event in marks if is_hidden[event]]:
        del marks[event]
    return marks, is_hidden


def _summarise(loop: LoopRun, facts: Iterable[Fact]) -> str:
    """Where the variables that the loop sets stand before its last iteration."""
    last = loop.num_iterations - 1
    end = loop.end_of(last)
    inside = [
        f
        for f in facts
        if f.kind in (FactKind.SET, FactKind.APPEND)
        and f.depth == loop.depth
        and loop.starts[0] <= f.event < end
    ]
    state = {fact.name: fact.after for fact in inside}
    shown = " and ".join(f"{name} is {value}" for name, value in state.items())
    arrived = f" After iteration {last}, {shown}." if shown else ""
    return f"It goes on like this until iteration {last}.{arrived}"


def _find_prints(trace: Trace) -> dict[int, str]:
    """A sentence for each event that shows new output."""
    printed: dict[int, str] = {}
    before = 0
    for index, event in enumerate(trace.events):
        text = trace.stdout[before : event.stdout_length]
        before = max(before, event.stdout_length)
        if text.strip() and len(text) <= _MAX_PRINTED_CHARS:
            printed[index] = f"It prints {text.rstrip(chr(10))!r}."
    return printed


def _render_fact(fact: Fact) -> str:
    match fact.kind:
        case FactKind.SET:
            worked_out = f"{fact.working}, which is " if fact.working else ""
            return f"On line {fact.line}, {fact.name} becomes {worked_out}{fact.value}."
        case FactKind.APPEND:
            return (
                f"On line {fact.line}, {fact.name} grows by the element {fact.value}."
            )
        case FactKind.BRANCH:
            outcome = "holds" if fact.value == "yes" else "does not hold"
            condition = f" {fact.working}" if fact.working else ""
            return f"The condition{condition} on line {fact.line} {outcome}."
        case FactKind.CALL:
            return f"The function {fact.name} is called."
        case FactKind.RETURN:
            return f"{fact.name} returns {fact.value}."
        case FactKind.RAISE:
            return f"Line {fact.line} raises {fact.value}."
