"""Counts of what happened in the rollouts of a train step, under fixed names."""

import collections
from collections.abc import Iterable, Sequence

from simex.rollouts.rollout import End, Group, Rollout
from simex.sandbox.outcome import Verdict
from simex.tasks.answer import Refusal


def measure_rollouts(groups: Sequence[Group]) -> dict[str, float]:
    """Plain numbers by name; names begin with the objective.

    ``end/…`` are shares of the rollouts; ``refused_for/…`` are refused completions a
    rollout; ``verdict/…`` are shares of the tests of last programs that were run;
    ``predicted_feedback`` is a share of the programs that got feedback.

    Example: of four rollouts one is cut off: ``solve/refused_for/truncated`` is 0.25.
    """
    values: dict[str, float] = {}
    for name in dict.fromkeys(group.objective for group in groups):
        rollouts = [r for g in groups if g.objective == name for r in g.rollouts]
        values |= {f"{name}/{key}": v for key, v in _measure(rollouts).items()}
    return values


def _measure(rollouts: Sequence[Rollout]) -> dict[str, float]:
    feedback = [p.feedback for r in rollouts for p in r.programs if p.feedback]
    verdicts = [
        test.verdict
        for rollout in rollouts
        for program in rollout.programs[-1:]
        for test in program.tests
        if test.verdict
    ]
    ends = [rollout.end.value for rollout in rollouts]
    refusals = [reason for rollout in rollouts for reason in rollout.refusals]
    return {
        **_shares("end", ends, (end.value for end in End), of=len(rollouts)),
        **_shares(
            "refused_for", refusals, (r.value for r in Refusal), of=len(rollouts)
        ),
        **_shares("verdict", verdicts, (v.value for v in Verdict), of=len(verdicts)),
        "predicted_feedback": feedback.count("predicted") / max(len(feedback), 1),
    }


def _shares(
    prefix: str, found: Sequence[str], names: Iterable[str], *, of: int
) -> dict[str, float]:
    counts = collections.Counter(found)
    return {f"{prefix}/{name}": counts[name] / max(of, 1) for name in names}
