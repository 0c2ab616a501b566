"""Items in order, refills with a bound, and what cannot teach anything."""

import dataclasses
import json

import pytest

from simex.core.errors import UserError
from simex.rl.collection import Collector, Cursor, pick_numbers
from simex.rl.curriculum import Curriculum
from simex.rl.watchdog import Watchdog
from simex.rollouts.policy import Policy
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from tests.rl.rollout_examples import FAILED, MIXED


@dataclasses.dataclass
class Scripted:
    """Gives the groups of a script, and remembers what it was asked."""

    script: list
    name: str = "solve"
    weight: float = 1.0
    group_size: int = 2
    asked: list = dataclasses.field(default_factory=list)

    def load_items(self, workdir):
        return "abcde"

    def collect(self, policy, items, *, pool, seed_path):
        self.asked.append((list(items), seed_path))
        return [self.script.pop(0) for _ in items]


NOBODY = Policy(
    sampler=object.__new__(Sampler),
    params=None,
    tokenizer=None,
    method=SamplingMethod(),
    max_new_tokens=1,
)


@pytest.fixture
def watchdog():
    with Watchdog(stall_secs=60.0) as opened:
        yield opened


def collector_of(objective, watchdog, *, max_refills=0, **settings):
    return Collector(
        objectives=[(objective, "abcde")],
        pool=None,
        policy=NOBODY,
        rollouts_per_step=4,
        max_refills=max_refills,
        seed=0,
        watchdog=watchdog,
        **settings,
    )


def pick_items(items, count, *, seed, start):
    numbers = pick_numbers(len(items), count, seed=seed, start=start)
    return [items[number] for number in numbers]


def test_items_come_in_shuffled_epochs_without_gaps():
    picked = [
        i
        for start in range(0, 12, 2)
        for i in pick_items("abc", 2, seed=0, start=start)
    ]
    assert all(sorted(picked[i : i + 3]) == ["a", "b", "c"] for i in range(0, 12, 3))
    assert picked != pick_items("abc", 12, seed=1, start=0)


def test_each_batch_and_each_refill_names_samples_of_its_own(watchdog):
    objective = Scripted([FAILED, FAILED, MIXED, MIXED, MIXED, MIXED])
    collector = collector_of(objective, watchdog, max_refills=3)
    collector.collect(None, 0)
    collector.collect(None, 1)
    paths = [path for _, path in objective.asked]
    assert len(paths) == len(set(paths)) == 3
    assert all(path[0] == collector.seed for path in paths)


def test_flat_groups_are_refilled_with_the_next_items(watchdog):
    objective = Scripted([MIXED, FAILED, FAILED, MIXED])
    batch = collector_of(objective, watchdog, max_refills=3).collect(None, 0)
    assert batch.num_refills == 2 and batch.num_unfilled == 0
    assert batch.groups == (MIXED, FAILED, FAILED, MIXED)
    order = pick_items("abcde", 4, seed=0, start=0)
    assert [items for items, _ in objective.asked] == [
        order[:2],
        [order[2]],
        [order[3]],
    ]
    # Every round draws samples of its own.
    assert [path for _, path in objective.asked] == [(0, 0, 0), (0, 0, 1), (0, 0, 2)]
    assert batch.cursor == Cursor(batch=1, positions={"solve": 4})


def test_refilling_ends_at_the_bound_and_says_what_is_missing(watchdog):
    objective = Scripted([FAILED] * 9)
    batch = collector_of(objective, watchdog, max_refills=2).collect(None, 0)
    assert batch.num_refills == 2 and batch.num_unfilled == 2
    assert len(batch.groups) == 6


def test_without_refills_flat_groups_stay(watchdog):
    batch = collector_of(Scripted([FAILED, FAILED]), watchdog).collect(None, 0)
    assert batch.num_refills == batch.num_unfilled == 0


def test_collecting_goes_on_from_a_cursor(watchdog):
    whole = Scripted([MIXED] * 9)
    collector = collector_of(whole, watchdog)
    first = collector.collect(None, 0)
    collector.collect(None, 1)
    again = Scripted([MIXED] * 9)
    collector_of(again, watchdog, cursor=first.cursor).collect(None, 1)
    assert again.asked == whole.asked[1:]


def test_two_objectives_of_one_name_are_refused(watchdog):
    asked = [(Scripted([], name=name), "abcde") for name in ("solve", "fix", "solve")]
    with pytest.raises(UserError, match=r"several are called solve\. Name one"):
        dataclasses.replace(collector_of(Scripted([]), watchdog), objectives=asked)


def test_a_group_of_one_is_refused_before_anything_is_sampled(watchdog):
    with pytest.raises(UserError, match="objective solve must have at least 2"):
        collector_of(Scripted([], group_size=1), watchdog)


def test_a_curriculum_remembers_pass_rates_and_goes_on_from_a_cursor(watchdog):
    settings = {"curriculum": Curriculum(memory=0.5)}
    whole = Scripted([MIXED, FAILED] * 4)
    collector = collector_of(whole, watchdog, **settings)
    first = collector.collect(None, 0)
    asked, _ = whole.asked[0]
    rates = first.cursor.pass_rates["solve"]
    # MIXED passes one of two, FAILED none.
    assert [rates[str("abcde".index(item))] for item in asked] == [0.5, 0.0]
    collector.collect(None, 1)
    saved = json.loads(json.dumps(dataclasses.asdict(first.cursor)))
    again = Scripted([MIXED, FAILED] * 4)
    collector_of(again, watchdog, cursor=Cursor(**saved), **settings).collect(None, 1)
    assert again.asked == whole.asked[1:]
