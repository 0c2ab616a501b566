"""A policy whose answers nobody can read learns nothing, and is told so."""

import dataclasses
import itertools

import pytest

from simex.core.errors import UserError
from simex.rl.readable_watch import ReadableWatch
from tests.rl.rollout_examples import FAILED, group, rollout, turn
from tests.rl.toy import ToyObjective, make_toy, read_metrics, train

UNREAD = dataclasses.replace(
    rollout(-1.0, turn([2], [4])),
    parts={"passed": 0.0, "refused": 1.0},
    refusals=("no_end_of_thought",),
)
LOST = dataclasses.replace(UNREAD, reward=None)
READ = FAILED.rollouts[0]  # wrong, but it could be read


def test_an_objective_that_cannot_be_read_is_named_once_with_the_reason(capsys):
    watch = ReadableWatch(9)
    watch.check(
        [group(UNREAD, UNREAD), group(UNREAD, LOST), group(READ, objective="b")],
        teaches=False,
    )
    said = capsys.readouterr().err
    # Of four rollouts one was lost to a fault of ours.
    assert (
        "none of 3 rollouts of solve ended in a readable answer (no_end_of_thought 3)"
    ) in said
    assert "of b" not in said
    watch.check([group(UNREAD), group(UNREAD, objective="b")], teaches=False)
    said = capsys.readouterr().err
    assert "rollouts of b" in said and "rollouts of solve" not in said


def test_so_many_steps_in_a_row_of_which_nothing_can_be_read_stop_the_run(capsys):
    watch = ReadableWatch(3)
    unread = [group(UNREAD), group(UNREAD, objective="b")]
    for groups in (
        unread,
        unread,
        [group(UNREAD, READ), group(UNREAD, objective="b")],  # counts from 0 again
        unread,
        [group(LOST)],  # says nothing of the policy: and from 0 again
        unread,
        unread,
    ):
        watch.check(groups, teaches=False)
    with pytest.raises(UserError, match=r"3 train steps in a row.*solve: no_end_of"):
        watch.check(unread, teaches=False)


def test_a_step_that_taught_something_else_is_not_counted():
    watch = ReadableWatch(2)
    for teaches in (False, True, False, True):  # never two in a row that did not
        watch.check([group(UNREAD)], teaches=teaches)
    watch.check([group(UNREAD)], teaches=False)
    with pytest.raises(UserError, match="none did in 2 train steps in a row"):
        watch.check([group(UNREAD)], teaches=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unreadable(ToyObjective):
    """Refuses whatever is said; the rewards are `rewards`, by turns."""

    rewards: tuple[float, ...] = (-1.0,)

    def collect(self, policy, items, *, pool, seed_path):
        found = super().collect(policy, items, pool=pool, seed_path=seed_path)
        refused = dataclasses.replace(UNREAD, turns=())
        return [
            dataclasses.replace(
                group,
                rollouts=tuple(
                    dataclasses.replace(refused, turns=r.turns, reward=reward)
                    for r, reward in zip(
                        group.rollouts, itertools.cycle(self.rewards), strict=False
                    )
                ),
            )
            for group in found
        ]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp("toy"))


@pytest.mark.parametrize("changes", [{}, {"entropy_weight": 0.01}])
def test_the_loop_stops_before_it_burns_all_its_steps(tmp_path, toy, changes):
    """A bonus for entropy, or a pull to a reference, is in every token and no lesson."""
    with pytest.raises(UserError, match="none did in 2 train steps in a row"):
        train(
            tmp_path,
            toy,
            num_steps=5,
            objective=Unreadable(),
            max_unreadable_steps=2,
            changes=changes,
        )
    (made,) = read_metrics(tmp_path)
    assert made["toy/refused"] == 1.0


def test_the_loop_goes_on_where_refused_answers_are_graded(tmp_path, toy):
    # As grounding grades a refused prediction by its statements: no group is flat.
    graded = Unreadable(rewards=(-1.0, -0.5))
    train(tmp_path, toy, num_steps=1, objective=graded, max_unreadable_steps=1)
    (made,) = read_metrics(tmp_path)
    assert made["toy/refused"] == 1.0 and made["batch/trained_share"] == 1.0
