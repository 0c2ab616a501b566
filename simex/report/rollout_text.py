"""Rollouts in a terminal. Text from outside is made printable: no escape acts there."""

from collections.abc import Iterator, Sequence

from simex.report.printable import printable
from simex.report.rollout_content import GroupContent, RolloutContent, StepContent


def render_step(step: StepContent) -> str:
    """A line for each group and each rollout."""
    lines = [step.title]
    for number, group in enumerate(step.groups):
        lines += ["", f"group {number}  {group.objective}  {group.item_id}"]
        lines.append(f"  {group.summary}")
        for rollout in group.rollouts:
            marks = f"  [{', '.join(rollout.marks)}]" if rollout.marks else ""
            turns = " → ".join(turn.task for turn in rollout.turns)
            lines.append(f"  {rollout.title}  {turns}{marks}")
    if not step.groups:
        lines.append("Nothing was recorded in this step.")
    return _joined(lines)


def render_group(group: GroupContent, rollouts: Sequence[RolloutContent]) -> str:
    """Every turn and program of some rollouts of a group."""
    lines = [f"{group.objective}  {group.item_id}", group.summary]
    if group.statement:
        lines += ["", *_boxed("statement", group.statement)]
    for rollout in rollouts:
        lines += ["", f"=== {rollout.title} ===", rollout.facts]
        lines += [f"! {oddity}" for oddity in rollout.oddities]
        lines += _render_turns(rollout)
        lines += _render_programs(rollout)
    return _joined(lines)


def _render_turns(rollout: RolloutContent) -> Iterator[str]:
    for turn in rollout.turns:
        trained = "" if turn.is_trained else ", not trained"
        yield ""
        yield f"--- {turn.task}: {turn.facts}{trained}"
        if turn.prompt:
            yield from _boxed("prompt", turn.prompt)
        yield from _boxed("completion", "".join(token.text for token in turn.tokens))


def _render_programs(rollout: RolloutContent) -> Iterator[str]:
    for program in rollout.programs:
        yield ""
        yield f"--- {program.title}"
        if program.fault:
            yield f"not judged: {program.fault}"
        yield from _boxed("source", program.source)
        for test in program.tests:
            said = f", prediction {test.prediction}" if test.prediction else ""
            yield f"{'+' if test.is_accepted else 'x'} {test.title}{said}"
            yield from _boxed("input", test.stdin)
            if test.printed:
                yield "  expected (-) and printed (+)"
                yield from (f"  {kind} {line}" for kind, line in test.printed)
            if test.predicted:
                yield "  true (-) and predicted (+)"
                yield from (f"  {kind} {line}" for kind, line in test.predicted)


def _boxed(title: str, text: str) -> Iterator[str]:
    yield f"  {title}:"
    yield from (f"  | {line}" for line in text.rstrip("\n").split("\n"))


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(printable(line) for line in lines)
