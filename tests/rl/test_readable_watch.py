"""A policy whose answers nobody can read learns nothing, and is told so."""

import dataclasses

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
        [group(UNREAD, UNREAD), group(UNREAD, LOST), group(READ, objective="b")]
    )
    said = capsys.readouterr().err
    # Of four completions one was lost to a fault of ours.
    assert "none of 3 completions of solve can be read (no_end_of_thought 3)" in said
    assert "of b" not in said
    watch.check([group(UNREAD), group(UNREAD, objective="b")])
    said = capsys.readouterr().err
    assert "completions of b" in said and "completions of solve" not in said


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
        watch.check(groups)
    with pytest.raises(UserError, match=r"3 train steps in a row.*solve: no_end_of"):
        watch.check(unread)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unreadable(ToyObjective):
    """Refuses whatever is said."""

    def collect(self, policy, items, *, pool, seed_path):
        found = super().collect(policy, items, pool=pool, seed_path=seed_path)
        refused = dataclasses.replace(UNREAD, turns=())
        return [
            dataclasses.replace(
                group,
                rollouts=tuple(
                    dataclasses.replace(refused, turns=r.turns) for r in group.rollouts
                ),
            )
            for group in found
        ]


def test_the_loop_stops_before_it_burns_all_its_steps(tmp_path):
    toy = make_toy(tmp_path / "toy")
    with pytest.raises(UserError, match="none was in 2 train steps in a row"):
        train(
            tmp_path,
            toy,
            num_steps=5,
            objective=Unreadable(),
            max_unreadable_steps=2,
        )
    (made,) = read_metrics(tmp_path)
    assert made["toy/refused"] == 1.0 and made["batch/trained_share"] == 0.0
