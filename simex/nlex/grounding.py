"""Does each statement of an explanation stand in the trace?

The paper checks only an explanation's final answer; here every value, branch, loop
count and printed or returned value that the text states is looked up in the trace, in
order. Statements are read from the text alone, so the check holds for text that a
model wrote as well as for our own, and any text is accepted.

As a reward: make a `Truth` once a trace, then call `check_text` for each completion::

    truth = Truth(trace)
    grounding = check_text(completion, truth, style="compact")
    grounding.score, grounding.completeness, grounding.first_false_start
"""

import dataclasses
from collections.abc import Sequence

from simex.nlex.align import align
from simex.nlex.explanation import Explanation
from simex.nlex.judging import Judged, judge_claims, mask_statement
from simex.nlex.reading import read_statements
from simex.nlex.statement import Statement
from simex.nlex.truth import Truth


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grounding:
    """What the check found."""

    judged: tuple[Judged, ...]  # all statements, in the order of the text
    completeness: float  # share of the trace's facts that the text tells
    is_output_right: bool | None = None  # the claimed output; None: not looked at

    @property
    def num_statements(self) -> int:
        return len(self.judged)

    @property
    def false_statements(self) -> tuple[Judged, ...]:
        """With their places and reasons."""
        return tuple(j for j in self.judged if not j.is_true)

    @property
    def score(self) -> float:
        """The share of true statements.

        An explanation that states nothing has 0, unless there was nothing to state.
        """
        if not self.judged:
            return float(self.completeness == 1.0)
        return sum(j.is_true for j in self.judged) / len(self.judged)

    @property
    def first_false_start(self) -> int | None:
        """The character offset of the first wrong statement; None: all are true."""
        return next((j.statement.start for j in self.judged if not j.is_true), None)


def check_grounding(explanation: Explanation, truth: Truth) -> Grounding:
    """Checks every statement of `explanation`, and the output that it claims."""
    grounding = check_text(explanation.text, truth, style=explanation.style)
    is_right = explanation.claimed_output.strip() == truth.trace.stdout.strip()
    return dataclasses.replace(grounding, is_output_right=is_right)


def check_text(text: str, truth: Truth, *, style: str = "compact") -> Grounding:
    """Checks every statement of `text` against `truth`.

    Statements and facts are aligned as two sequences; a statement without a partner is
    false, so that one slip blames one statement and not all that follow. What is said
    of a state, of a loop or of a sum is then judged at the place where it is said.

    Args:
      text: anything at all.
      truth: of the run that it tells.
      style: a name in `reading.READERS`; any other is read as prose.
    """
    statements = read_statements(text, style, truth)
    if style == "raw_trace":
        return _check_lines(statements, truth)
    masks = [mask_statement(s, truth, is_strict=style == "compact") for s in statements]
    partners = align(masks, len(truth.slots))
    judged = judge_claims(statements, partners, masks, truth)
    told = {partner for partner in partners if partner >= 0}
    told_facts = sum(not truth.slots[slot][1] for slot in told)
    return Grounding(
        judged=tuple(judged),
        completeness=told_facts / len(truth.facts) if truth.facts else 1.0,
    )


def _check_lines(statements: Sequence[Statement], truth: Truth) -> Grounding:
    masks: dict[tuple[str, str], int] = {}
    for index, (what, value) in enumerate(truth.raw_lines):
        key = what.strip(), value.strip()
        masks[key] = masks.get(key, 0) | 1 << index
    wanted = [masks.get((s.name.strip(), s.value.strip()), 0) for s in statements]
    partners = align(wanted, len(truth.raw_lines))
    judged = tuple(
        Judged(
            statement=statement,
            is_true=partner >= 0,
            reason="" if partner >= 0 else "no such line of the trace at this point",
        )
        for statement, partner in zip(statements, partners, strict=True)
    )
    num_lines = len(truth.raw_lines)
    told = sum(j.is_true for j in judged)
    return Grounding(judged=judged, completeness=told / num_lines if num_lines else 1.0)
