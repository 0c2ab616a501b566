"""Objectives side by side: shares of a train step, and experiment files."""

import dataclasses

import gin
import pytest

from simex.core.config import load_experiment
from simex.core.errors import UserError
from simex.jobs.wiring import register
from simex.rollouts.fix import FixObjective
from simex.rollouts.objective import split_rollouts
from simex.rollouts.policy import Query
from simex.rollouts.predict_output import PredictOutputObjective
from simex.rollouts.rollout import Group, Rollout
from simex.rollouts.solve import SolveObjective


@dataclasses.dataclass(frozen=True, kw_only=True)
class EchoObjective:
    """A further objective, as somebody would write it: says the item's word again."""

    weight: float
    group_size: int = 2
    name: str = "echo"

    def load_items(self, workdir):
        return ["ab", "cd"]

    def collect(self, policy, items, *, pool, seed_path):
        asked = [item for item in items for _ in range(self.group_size)]
        turns = iter(
            policy.complete(
                [
                    Query(task="explain", prompt=item, seed_path=(*seed_path, i))
                    for i, item in enumerate(asked)
                ]
            )
        )
        return [
            Group(
                objective=self.name,
                item_id=item,
                rollouts=tuple(
                    Rollout(
                        turns=(turn,),
                        reward=float(turn.text == item),
                        parts={"passed": float(turn.text == item), "refused": 0.0},
                    )
                    for turn in (next(turns) for _ in range(self.group_size))
                ),
            )
            for item in items
        ]


def objective(weight, group_size=8, name="solve"):
    return SolveObjective(weight=weight, group_size=group_size, name=name)


@pytest.mark.parametrize(
    ("weights", "rollouts", "groups"),
    [
        ((0.5, 0.5), 256, [16, 16]),
        # 0.85 * 32 = 27.2 and 4.8 groups: the one that is left goes to the 0.8.
        ((0.85, 0.15), 256, [27, 5]),
        ((0.75, 0.25), 256, [24, 8]),
        # Weights are shares, whatever they sum to.
        ((3.0, 1.0), 256, [24, 8]),
        # 10/3 groups each: one is left, and of equals the first has it.
        ((1.0, 1.0, 1.0), 80, [4, 3, 3]),
        # 7.5 groups each; half a group is no group, so 60 rollouts hold 7 groups.
        ((1.0,), 60, [7]),
        ((1.0, 0.0), 16, [2, 0]),
    ],
)
def test_a_train_step_is_split_by_largest_remainders(weights, rollouts, groups):
    assert split_rollouts([objective(w) for w in weights], rollouts) == groups


def test_weights_are_shares_of_rollouts_also_where_group_sizes_differ():
    # 64 rollouts each: 4 groups of 16 and 16 groups of 4.
    assert split_rollouts([objective(1, 16), objective(1, 4)], 128) == [4, 16]
    # Quotas 1.5 groups of 16 and 6 of 4; 8 rollouts are left, no room for a 16.
    assert split_rollouts([objective(1, 16), objective(1, 4)], 48) == [1, 6]


def test_an_objective_that_would_get_no_group_is_refused_with_what_to_do():
    with pytest.raises(UserError, match="Raise rollouts_per_step to 160"):
        split_rollouts([objective(0.95), objective(0.05, name="rare")], 80)
    with pytest.raises(UserError, match="one must be above 0"):
        split_rollouts([objective(0.0)], 80)


@pytest.fixture
def experiment(tmp_path):
    """Loads the quickstart with further lines."""
    register()

    def load(*lines):
        path = tmp_path / "mine.gin"
        path.write_text("\n".join(['include "quickstart.gin"', *lines]) + "\n")
        stages = {stage.name: stage for stage in load_experiment(path).stages}
        return stages["train_rl"].arguments["objectives"]

    return load


def test_an_included_file_composes_both_objectives_as_the_paper_does(experiment):
    predict, solve = experiment('include "objectives/joint.gin"')
    assert (predict.weight, solve.weight) == (0.15, 0.85)
    assert (predict.reward_scale, solve.reward_scale) == (0.8, 1.0)
    assert solve.max_fixes == 0
    predict, solve = experiment('include "objectives/self_rlef.gin"')
    assert (predict.weight, solve.weight) == (0.25, 0.75)
    assert solve.max_fixes == 1 and tuple(solve.feedback.sources) == ("executed",)


@pytest.mark.parametrize(
    ("mix", "share"), [("joint", 0.15), ("self_rlef", 0.25), (None, 0.5)]
)
def test_grounding_leaves_the_mix_of_objectives_as_it_was(experiment, mix, share):
    lines = [f'include "objectives/{mix}.gin"'] if mix else []
    predict, solve = experiment(*lines, 'include "objectives/grounded.gin"')
    assert (predict.weight, solve.weight) == (share, 1 - share)
    assert predict.grounding is not None


def test_feedback_and_credit_are_settings_of_an_experiment(experiment):
    _, solve = experiment(
        'include "objectives/self_rlef.gin"',
        'Feedback.sources = ["executed", "predicted"]',
        'Feedback.verifier = "nlex/train_sft"',
        'CreditConfig.rule = "discounted"',
    )
    assert solve.verifiers == ("nlex/train_sft",)
    assert solve.credit.rule == "discounted"
    with pytest.raises(UserError, match="Did you mean 'executed'"):
        experiment('include "objectives/self_rlef.gin"', 'Feedback.sources = ["exec"]')


def test_fixing_is_an_objective_beside_solving(experiment):
    objectives = experiment(
        'include "objectives/joint.gin"',
        'include "objectives/fix.gin"',
        "train_rl.objectives = [",
        "    @PredictOutputObjective(), @SolveObjective(), @FixObjective()]",
    )
    kinds = [PredictOutputObjective, SolveObjective, FixObjective]
    assert [type(o) for o in objectives] == kinds
    # 0.15, 0.85 and 0.5 of 1.5, in 120 rollouts: 1.5, 8.5 and 5 groups of 8.
    assert split_rollouts(objectives, 120) == [2, 8, 5]


def test_a_further_objective_is_one_file_and_one_line(experiment, monkeypatch):
    # Its file is above; its line in OBJECTIVES comes to this call.
    gin.external_configurable(EchoObjective, module="simex")
    objectives = experiment(
        'include "objectives/joint.gin"',
        "EchoObjective.weight = 0.25",
        "train_rl.objectives = [",
        "    @PredictOutputObjective(), @SolveObjective(), @EchoObjective()]",
    )
    kinds = [PredictOutputObjective, SolveObjective, EchoObjective]
    assert [type(o) for o in objectives] == kinds
    assert isinstance(objectives[0], PredictOutputObjective)
    # 0.15, 0.85 and 0.25 of 1.25, in 80 rollouts: 1.2, 6.8 groups of 8 and 8 of 2.
    assert split_rollouts(objectives, 80) == [1, 7, 8]
