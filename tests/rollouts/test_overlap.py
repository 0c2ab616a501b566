"""Programs are judged while other rows are still decoded, and nothing else changes."""

import dataclasses
import threading
import time
import types

import pytest

from simex.core.errors import UserError
from simex.rollouts import attempt as attempt_
from simex.rollouts import beside as beside_
from simex.rollouts.attempt import Attempt, judge_attempts, start_attempts
from simex.rollouts.beside import Beside, Waits
from simex.rollouts.policy import Policy, Query
from simex.rollouts.solve import SolveObjective
from simex.sampling.methods import SamplingMethod
from simex.sandbox.pool import SandboxPool
from simex.tasks import solve
from tests.rl.toy import make_toy
from tests.scripted import PROBLEM, RIGHT, WRONG, Script

PROGRAMS = [RIGHT, WRONG, "print(3)\n", "1 / 0\n", WRONG]
ANSWERS = [solve.render_target("", source) for source in PROGRAMS]
PATIENCE_SECS = 60.0


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(2) as opened:
        yield opened


class Watched:
    """A pool that tells of its first answer."""

    def __init__(self, pool):
        self._pool, self.num_workers = pool, pool.num_workers
        self.has_answered = threading.Event()

    def submit_judgement(self, item, **settings):
        future = self._pool.submit_judgement(item, **settings)
        future.add_done_callback(lambda _: self.has_answered.set())
        return future


@dataclasses.dataclass
class Slow(Script):
    """The first row to finish is judged before the next one is finished."""

    pool: Watched | None = None

    def complete(self, queries, *, on_turn=lambda index, turn: None):
        def tell(index, turn):
            on_turn(index, turn)
            assert self.pool.has_answered.wait(PATIENCE_SECS), "nobody judges meanwhile"

        return super().complete(queries, on_turn=tell)


def test_a_program_is_judged_before_the_next_row_is_finished(pool):
    watched = Watched(pool)
    policy = Slow(list(ANSWERS), pool=watched)
    attempts = start_attempts(
        policy, [PROBLEM], samples=5, pool=watched, seed_path=(0,)
    )
    # print(3) is right on the first test alone.
    assert [a.has_passed for a in attempts] == [True, False, False, False, False]


def test_rows_that_finish_in_any_order_are_judged_as_one_after_the_other(pool):
    class Together(Script):
        """Tells of no row before all are finished: nothing overlaps."""

        def complete(self, queries, *, on_turn=None):
            return super().complete(queries)

    fixes = [*ANSWERS, *ANSWERS[::-1]]
    overlapped = Script(list(fixes))
    kept = (
        SolveObjective(weight=1.0, group_size=5)
        .collect(overlapped, [PROBLEM], pool=pool, seed_path=(0,))[0]
        .rollouts
    )
    firsts = judge_attempts(
        pool,
        start_attempts(
            Together(list(ANSWERS)), [PROBLEM], samples=5, pool=pool, seed_path=(0,)
        ),
    )
    for rollout, attempt in zip(kept, firsts, strict=True):
        (first, last) = rollout.programs
        assert first.source == attempt.source
        assert [t.is_accepted for t in first.tests] == [
            verdict.is_accepted for verdict in attempt.judgement.verdicts
        ]
        assert rollout.reward == 2.0 * all(t.is_accepted for t in last.tests) - 1
    # The second programs are the first ones from behind: a program of its own each.
    assert [r.programs[1].source for r in kept] == PROGRAMS[::-1]


def test_what_another_process_sampled_and_judged_is_known_here(pool, monkeypatch):
    class Half(Script):
        """Tells of the rows that this process samples, the first two."""

        def complete(self, queries, *, on_turn=lambda index, turn: None):
            turns = super().complete(queries)
            for index in (1, 0):
                on_turn(index, turns[index])
            return turns

    other = judge_attempts(
        pool,
        [
            Attempt(problem=PROBLEM, turns=(), source=source)
            for source in (WRONG, RIGHT)
        ],
    )
    theirs = {2: other[0].judgement, 3: other[1].judgement}
    monkeypatch.setattr(attempt_, "gather", lambda own: [own, theirs])
    answers = [solve.render_target("", s) for s in (RIGHT, WRONG, WRONG, RIGHT)]
    attempts = start_attempts(
        Half(answers), [PROBLEM], samples=4, pool=pool, seed_path=(0,)
    )
    assert [a.has_passed for a in attempts] == [True, False, False, True]
    assert not any(a.is_to_be_judged for a in attempts)


def test_only_the_wait_behind_the_last_row_counts(monkeypatch):
    """By a clock that moves while a program is judged, by 3 s, and never else."""
    now, is_read, is_judged = [0.0], threading.Event(), threading.Event()

    def read_clock():
        seen = now[0]
        is_read.set()
        return seen

    def work(items):
        for item in items:
            assert is_read.wait(PATIENCE_SECS)
            now[0] += 3.0
            is_judged.set()
            yield item

    monkeypatch.setattr(beside_, "time", types.SimpleNamespace(monotonic=read_clock))
    hidden, seen = Waits(), Waits()
    with Beside(work, waits=hidden) as beside:
        is_read.set()  # it is judged while rows decode
        beside.put(1)
        assert is_judged.wait(PATIENCE_SECS)
        assert beside.results() == [1]
    is_read.clear()  # it is judged when the last row has ended
    with Beside(work, waits=seen) as beside:
        beside.put(1)
        assert beside.results() == [1]
    assert (hidden.judge_secs, seen.judge_secs) == (0.0, 3.0)


def test_after_an_error_what_has_not_begun_is_given_up():
    begun, given_up = [], []

    def work(items):
        try:
            for item in items:
                begun.append(item)
                time.sleep(0.05)
                yield item
        finally:
            given_up.append(True)

    def decode(beside):
        for item in range(1000):
            beside.put(item)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Beside(work, waits=Waits()) as beside:
        decode(beside)
    assert len(begun) < 1000 and given_up == [True]


def test_a_judge_that_refuses_the_work_is_heard(pool):
    strange = dataclasses.replace(PROBLEM, checker="nobody's")
    with pytest.raises(UserError, match="nobody's"):
        start_attempts(
            Script(ANSWERS[:1]), [strange], samples=1, pool=pool, seed_path=(0,)
        )


def test_the_policy_tells_of_each_turn_once_while_others_are_decoded(tmp_path):
    toy = make_toy(tmp_path)
    policy = Policy(
        sampler=toy.sampler,
        params=toy.params,
        tokenizer=toy.tokenizer,
        method=SamplingMethod(),
        max_new_tokens=12,
    )
    too_long = "a b c " * 20
    queries = [
        Query(
            task="solve",
            prompt=too_long if number == 3 else "a",
            seed_path=(number,),
            # So that rows finish one after the other.
            max_new_tokens=1 + number,
        )
        for number in range(8)
    ]
    told = []
    turns = policy.complete(queries, on_turn=lambda *pair: told.append(pair))
    assert sorted(index for index, _ in told) == [0, 1, 2, 4, 5, 6, 7]
    assert all(turn is turns[index] for index, turn in told)
    assert turns[3].completion_ids == ()
    order = [index for index, _ in told]
    assert order.index(0) < order.index(7)
    again = policy.complete(queries)
    assert [t.completion_ids for t in again] == [t.completion_ids for t in turns]
