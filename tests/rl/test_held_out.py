"""Rewards on held-out items: what is counted, and that nothing learns of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.jobs.held_out import HeldOutProblems
from simex.rl.held_out import HeldOutItems, rankable, summarise
from simex.rl.metric_table import UNREPEATABLE, unknown_metrics
from simex.rl.saved_run import Progress, SavedRun
from simex.rl.stream import Staleness
from simex.rollouts.policy import Policy
from simex.rollouts.rollout import Group, Rollout
from simex.sampling.methods import SamplingMethod
from simex.tasks.predict_output import PredictionItem
from simex.train.checkpoint import Checkpoints
from simex.train.state import TrainState
from tests.rl.rollout_examples import MIXED, PASSED
from tests.rl.toy import ToyObjective, load_weights, make_toy, read_samples, train

REWARD = "validation/reward"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WithSplits(ToyObjective):
    """Held-out items are other letters; whoever asks about them is noted."""

    def load_items(self, workdir, *, split="rl"):
        return {"rl": ["a", "b", "c"], "validation": ["d", "e", "f", "g"]}[split]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"), corpus=("a b c d e f g",))


def held_out(objective, *, steps_between=2, samples=4, temperature=1.0, **settings):
    problems = HeldOutProblems(
        steps_between=steps_between,
        samples=samples,
        temperature=temperature,
        **settings,
    )
    return problems.load(
        None, [(objective, objective.load_items(None, split="rl"))], seed=0
    )


def repeatable(folder):
    return [
        {k: v for k, v in record.items() if not k.startswith(UNREPEATABLE)}
        for record in read_jsonl(folder / "metrics.jsonl")
    ]


def without_validation(records):
    return [
        {k: v for k, v in r.items() if not k.startswith("validation/")} for r in records
    ]


def assert_same_weights(one, other, toy):
    jax.tree.map(
        np.testing.assert_array_equal, load_weights(one, toy), load_weights(other, toy)
    )


OBJECTIVE = WithSplits()
SETTINGS = {"objective": OBJECTIVE, "rollouts_per_step": 16}


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """A run of five train steps that looks after 2 and 4, and after the last."""
    folder = tmp_path_factory.mktemp("whole")
    settings = SETTINGS | {"held_out": held_out(OBJECTIVE), "keep_best": REWARD}
    train(folder, toy, num_steps=5, **settings)
    return folder


@pytest.mark.long
def test_looking_changes_nothing(whole, tmp_path, toy):
    train(tmp_path, toy, num_steps=5, **SETTINGS)
    assert without_validation(repeatable(whole)) == repeatable(tmp_path)
    assert_same_weights(whole, tmp_path, toy)
    assert read_samples(whole) == read_samples(tmp_path)


def test_a_stopped_run_measures_the_same(whole, tmp_path, toy):
    settings = SETTINGS | {"held_out": held_out(OBJECTIVE), "keep_best": REWARD}
    for num_steps in (4, 5):
        train(tmp_path, toy, num_steps=num_steps, **settings)
    records = repeatable(whole)
    assert repeatable(tmp_path) == records
    assert_same_weights(whole, tmp_path, toy)
    measured = {r["step"]: r for r in records if REWARD in r}
    assert list(measured) == [1, 3, 4]
    assert unknown_metrics(name for record in records for name in record) == []
    best = Checkpoints(tmp_path / "checkpoints").best()
    assert best is not None
    assert best.value == max(r[REWARD] for r in measured.values())
    assert measured[best.step - 1][REWARD] == best.value


def test_held_out_items_alone_are_asked_about_in_the_way_that_was_set():
    asked = []

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Noting(WithSplits):
        def collect(self, policy, items, *, pool, seed_path):
            asked.append((policy.method.temperature, items, self.group_size, seed_path))
            return []

    found = held_out(Noting(), samples=2, temperature=0.0, max_items=3)
    policy = Policy(
        sampler=None,
        params=None,
        tokenizer=None,
        method=SamplingMethod(temperature=1.0),
        max_new_tokens=1,
    )
    found.measure(policy, None)
    found.measure(policy, None)
    ((temperature, items, size, path), again) = asked
    assert (temperature, items, size) == (0.0, ["d", "e", "f"], 2)
    assert again[3] == path and path[0] != 0  # the same numbers, not those of training


def test_what_was_lost_to_faults_of_ours_is_counted_apart():
    """MIXED has rewards 1 and -1, of 2 + 3 and of 2 tokens; the third rollout is lost."""
    lost = Rollout(turns=MIXED.rollouts[0].turns, reward=None)
    group = dataclasses.replace(MIXED, rollouts=(*MIXED.rollouts, lost))
    found = summarise([group, dataclasses.replace(PASSED, objective="other")])
    assert found["validation/solve/reward"] == (0.0, 2.0)
    assert found["validation/solve/passed"] == (1.0, 2.0)
    assert found["validation/solve/tokens"] == (7.0, 2.0)
    assert found["validation/solve/lost_to_infra"] == (1.0, 3.0)
    # PASSED has two rollouts with reward 1 of one token each.
    assert found["validation/reward"] == (2.0, 4.0)
    assert found["validation/tokens"] == (9.0, 4.0)
    assert found["validation/lost_to_infra"] == (1.0, 5.0)


def test_without_a_single_answer_nothing_is_said_of_the_reward():
    lost = Rollout(turns=(), reward=None)
    found = summarise([Group(objective="toy", item_id="a", rollouts=(lost,))])
    assert found == {
        "validation/lost_to_infra": (1.0, 1.0),
        "validation/toy/lost_to_infra": (1.0, 1.0),
    }


def test_items_that_are_trained_on_are_refused():
    settings = {
        "steps_between": 1,
        "max_items": 2,
        "samples": 1,
        "temperature": 0.0,
        "seed": 0,
    }
    with pytest.raises(UserError, match="1 are, of the group 'b' among them"):
        HeldOutItems.of([(ToyObjective(), ["a", "b"], ["b", "c"])], **settings)
    # One sample and one published program of a problem: other ids, one group.
    sampled = PredictionItem(
        id="p/0/0", group="p", role="right", source="", stdin="", stdout="", checker=""
    )
    published = dataclasses.replace(sampled, id="p/right/0")
    with pytest.raises(UserError, match="1 are, of the group 'p' among them"):
        HeldOutItems.of([(ToyObjective(), [sampled], [published])], **settings)
    with pytest.raises(UserError, match="has none"):
        HeldOutItems.of([(ToyObjective(), ["a", "b"], [])], **settings)


def test_a_new_best_is_saved_although_it_is_not_time(tmp_path):
    one = jnp.ones((2,))
    state = TrainState(params={"w": one}, opt_state={"m": one}, step=jnp.zeros((), int))
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )

    def open_run():
        return SavedRun(tmp_path, steps_between=10, last=30, keep_best=REWARD)

    with open_run() as saved:
        for step, reward in ((1, 0.1), (2, 0.5), (3, 0.4)):
            saved.save(Progress(step=step, state=state), {REWARD: reward})
    assert Checkpoints(tmp_path).latest_step() == 2
    with open_run() as saved:  # knows what is best on disk
        assert saved.load(abstract).step == 2
        saved.save(Progress(step=3, state=state), {REWARD: 0.4})
        saved.save(Progress(step=4, state=state), {})
    assert Checkpoints(tmp_path).latest_step() == 2
    assert Checkpoints(tmp_path).best() == (2, 0.5)


def test_a_number_below_one_is_refused():
    with pytest.raises(UserError, match="must be at least 1; got 0, 64, 1"):
        HeldOutProblems(steps_between=0)


@pytest.mark.long
def test_several_devices_validate_while_they_collect(tmp_path):
    toy = make_toy(tmp_path, num_devices=8)
    objective = WithSplits()
    train(
        tmp_path / "run",
        toy,
        num_steps=2,
        objective=objective,
        staleness=Staleness(max_steps=1),
        held_out=held_out(objective, steps_between=1),
    )
    assert all(REWARD in r for r in read_jsonl(tmp_path / "run" / "metrics.jsonl"))


def test_a_train_step_is_not_ranked_by_what_few_rollouts_were_left_of():
    measured = {
        "validation/reward": 0.5,
        "validation/lost_to_infra": 0.2,
        "validation/solve/reward": 1.0,
        "validation/solve/lost_to_infra": 0.4,
    }
    assert rankable(measured, max_lost_share=0.4) == measured
    assert rankable(measured, max_lost_share=0.2) == {
        "validation/reward": 0.5,
        "validation/lost_to_infra": 0.2,
    }
    assert rankable({}, max_lost_share=0.2) == {}


@pytest.mark.parametrize("name", ["lost_to_infra", "tokens"])
def test_what_is_not_better_when_larger_ranks_no_train_step(tmp_path, toy, name):
    settings = SETTINGS | {"held_out": held_out(OBJECTIVE)}
    with pytest.raises(UserError, match="keep_best must be one of validation/passed"):
        train(tmp_path, toy, num_steps=1, **settings, keep_best=f"validation/{name}")
