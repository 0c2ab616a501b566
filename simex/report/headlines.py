"""Which results stand in which table of the page, and what they are called there."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that are read together."""

    title: str
    note: str
    labels: Mapping[str, str]  # the result's dotted name -> its label in the table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A result, ready to be printed: shares in percent of 100."""

    name: str
    label: str
    value: float
    low: float
    high: float
    n: int
    is_difference: bool  # in points, may be negative, drawn on -100..100

    @property
    def left(self) -> float:
        """Where the interval begins on the strip, 0..100."""
        return self._place(self.low)

    @property
    def width(self) -> float:
        return self._place(self.high) - self.left

    @property
    def dot(self) -> float:
        return self._place(self.value)

    def _place(self, percent: float) -> float:
        place = 50 + percent / 2 if self.is_difference else percent
        return min(100.0, max(0.0, place))


HEADLINES = (
    Group(
        title="Predicting what a program prints",
        note="Share of held-out (program, stdin) pairs whose stdout is predicted "
        "exactly. Wrong programs count apart: on right ones, solving the problem "
        "instead of simulating the program is a way to cheat.",
        labels={
            "prediction.direct_sft": "SFT on bare answers, equal compute",
            "prediction.nlex_sft": "SFT on explanations (NLEX)",
            "prediction.rl": "… and RL",
            "prediction.rl_right_programs": "RL, on right programs",
            "prediction.rl_wrong_programs": "RL, on wrong programs",
        },
    ),
    Group(
        title="Beyond the curriculum",
        note="Real code that the training set does not resemble.",
        labels={
            "real_functions.prediction": "Functions of the standard library",
            "cruxeval.official": "CRUXEval-O, scored as the benchmark does",
            "cruxeval.strict": "CRUXEval-O, literals compared by type and value",
        },
    ),
    Group(
        title="Solving",
        note="Share of held-out problems solved on all public and hidden tests.",
        labels={
            "solve.sft_pass_at_1": "SFT, pass@1",
            "solve.rl_pass_at_1": "RL, pass@1",
            "solve.pass_at_8": "RL, pass@8 (any of eight is right)",
        },
    ),
    Group(
        title="Choosing one of k without running it",
        note="best@k: k programs are drawn and one is submitted. The oracle runs the "
        "public tests; the others run nothing.",
        labels={
            "best_at_8.random": "best@8 random (pass@1)",
            "best_at_8.majority": "best@8 majority of equal programs",
            "best_at_8.shortest": "best@8 shortest completion",
            "best_at_2.simulate": "best@2 simulate: most tests predicted to pass",
            "best_at_4.simulate": "best@4 simulate",
            "best_at_8.simulate": "best@8 simulate",
            "best_at_8.simulate_vote": "best@8 simulate, summed over the rounds",
            "best_at_8.oracle": "best@8 oracle: most public tests passed",
        },
    ),
    Group(
        title="The model as a judge of its own programs",
        note="Is a candidate predicted to pass its public tests, and does it?",
        labels={
            "verifier.agreement": "predicted verdict is right",
            "verifier.precision": "… of those predicted to pass (precision)",
            "verifier.recall": "… of those that pass (recall)",
        },
    ),
    Group(
        title="Differences",
        note="Paired by problem, in points; zero is the middle.",
        labels={
            "gain.nlex_over_direct": "NLEX over direct SFT",
            "gain.rl_over_nlex": "RL over NLEX SFT, predicting",
            "gain.rl_over_sft_solving": "RL over SFT, solving",
            "gain.simulate_over_pass_at_1": "best@8 simulate over pass@1",
            "gain.oracle_over_simulate": "simulation gap: best@8 oracle over simulate",
            "gain.fixed_over_single": "self-RLEF over a single attempt",
            "gain.fixed_over_resample": "self-RLEF over drawing anew",
        },
    ),
)

SELF_RLEF = Group(
    title="Solved by the whole loop",
    note="Solve, predict the public tests, submit or fix. Nothing is run before the "
    "submission is judged. Fixes and breaks are shares of all solutions.",
    labels={
        "self_rlef.single": "single attempt",
        "self_rlef.fixed": "after self-fixing",
        "self_rlef.resample": "a new draw instead of a fix, by the same rule",
        "self_rlef.fix_rate": "fixed: wrong, then right",
        "self_rlef.break_rate": "broken: right, then wrong",
        "self_rlef.fix_rate_public": "fixed, on public tests alone",
        "self_rlef.break_rate_public": "broken, on public tests alone",
        "self_rlef.fix_rate_hidden": "fixed, on hidden tests alone",
        "self_rlef.break_rate_hidden": "broken, on hidden tests alone",
    },
)


def rows_of(group: Group, results: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """The group's results that this run has, in the group's order."""
    return [
        _row(name, label, results[name])
        for name, label in group.labels.items()
        if name in results
    ]


def tables(
    results: Mapping[str, Mapping[str, float]], groups: Sequence[Group] = HEADLINES
) -> Iterator[tuple[Group, list[Row]]]:
    """Each of the groups with rows, then one of the results that no group names."""
    for group in groups:
        if rows := rows_of(group, results):
            yield group, rows
    named = {name for g in (*groups, SELF_RLEF) for name in g.labels}
    others = {name: name for name in results if name not in named}
    if others:
        group = Group(title="Others", note="", labels=others)
        yield group, rows_of(group, results)


def _row(name: str, label: str, estimate: Mapping[str, float]) -> Row:
    return Row(
        name=name,
        label=label,
        value=100 * estimate["value"],
        low=100 * estimate["low"],
        high=100 * estimate["high"],
        n=int(estimate["n"]),
        is_difference=name.startswith("gain."),
    )
