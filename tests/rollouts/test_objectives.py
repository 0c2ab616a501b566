"""What holds for every objective of RL, with a scripted policy and the real judge."""

import dataclasses

import pytest

from simex.rollouts.feedback import PREDICTED, Feedback
from simex.rollouts.fix import FixObjective
from simex.rollouts.predict_output import PredictOutputObjective
from simex.rollouts.solve import SolveObjective
from simex.sampling.samples import Stop
from simex.sandbox.pool import SandboxPool
from simex.tasks import solve, submit_or_fix
from simex.tasks.predict_output import PredictionItem
from tests.scripted import PROBLEM, RIGHT, WRONG, Script

ITEM = PredictionItem(
    id="p",
    group="g",
    role="right",
    source=RIGHT,
    stdin="1 2\n",
    stdout="3\n",
    checker="codecontests",
)
PREDICTION = "</think><output>3</output>"
ATTEMPT, FIX = (solve.render_target("", source) for source in (WRONG, RIGHT))
SUBMIT = submit_or_fix.render_target("", None)


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(1) as opened:
        yield opened


@dataclasses.dataclass
class Cut(Script):
    """Its answers of one task end because their tokens ran out."""

    task: str = ""

    def _turn(self, query, text):
        turn = super()._turn(query, text)
        return dataclasses.replace(
            turn, stop=Stop.LENGTH if query.task == self.task else turn.stop
        )


ONE = {"weight": 1.0, "group_size": 1, "reward_scale": 0.4}


@pytest.mark.parametrize(
    ("objective", "item", "answers", "task"),
    [
        (PredictOutputObjective(**ONE), ITEM, [PREDICTION], "predict_output"),
        (SolveObjective(**ONE, max_fixes=0), PROBLEM, [FIX], "solve"),
        (FixObjective(**ONE, attempts=1), PROBLEM, [ATTEMPT, FIX], "submit_or_fix"),
    ],
)
def test_a_right_answer_earns_the_scale_and_loses_it_where_tokens_ran_out(
    pool, objective, item, answers, task
):
    found = []
    for policy in (Script(list(answers)), Cut(list(answers), task=task)):
        (group,) = objective.collect(policy, [item], pool=pool, seed_path=(0,))
        found += [(r.reward, r.refusals) for r in group.rollouts]
    assert found == [(0.4, ()), (-0.4, ("truncated",))]


PUBLIC, HIDDEN = PROBLEM.tests
TWO_PUBLIC = dataclasses.replace(PROBLEM, tests=(PUBLIC, PUBLIC, HIDDEN))


@pytest.mark.parametrize(
    ("objective", "item", "answers"),
    [
        # 2 items, 3 samples of each.
        (PredictOutputObjective(weight=1.0, group_size=3), ITEM, [PREDICTION] * 6),
        # 6 attempts; twice 2 predictions of each, and its fix.
        (
            SolveObjective(
                weight=1.0,
                group_size=3,
                max_fixes=2,
                feedback=Feedback(sources=(PREDICTED,)),
            ),
            TWO_PUBLIC,
            [ATTEMPT] * 6 + 2 * ([PREDICTION] * 12 + [ATTEMPT] * 6),
        ),
        # 2 attempts at each of 2 problems, and 4 fixes of one of them.
        (
            FixObjective(weight=1.0, group_size=4),
            PROBLEM,
            [ATTEMPT] * 4 + [SUBMIT] * 8,
        ),
    ],
)
def test_every_sample_has_a_seed_of_its_own(pool, objective, item, answers):
    policy = Script(list(answers))
    other = dataclasses.replace(item, id="other")
    objective.collect(policy, [item, other], pool=pool, seed_path=(0, 0, 0))
    assert len(policy.seed_paths) == len(answers)
    assert len(set(policy.seed_paths)) == len(answers)
