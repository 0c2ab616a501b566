"""Grounded predictions: real traces, a scripted policy."""

import dataclasses
import pickle
import threading

import numpy as np
import pytest

from simex.core.errors import InfraError
from simex.rollouts import predict_output as predict_output_
from simex.rollouts.beside import Waits
from simex.rollouts.grounded import trace_items
from simex.rollouts.predict_output import PredictOutputObjective
from simex.rollouts.rollout import Turn
from simex.rollouts.token_text import token_span
from simex.sampling.samples import Stop
from simex.sandbox.pool import SandboxPool
from simex.sharding import processes
from simex.tasks.grounded import GroundingReward
from simex.tasks.predict_output import PredictionItem, render_target
from simex.traces.collect import TraceFailure
from simex.traces.trace import Trace

SOURCE = "t = 0\nfor x in [4, 7]:\n    if x < 5:\n        t += x\nprint(t)\n"
TOLD = "t=0\nx=4 4 < 5 yes 0 + 4 t=4\nx=7 7 < 5 no"
ITEM = PredictionItem(
    id="i",
    group="g",
    role="right",
    source=SOURCE,
    stdin="",
    stdout="4\n",
    checker="codecontests",
)


PATIENCE_SECS = 60.0


class Letters:
    """A seam: a tokenizer with a token for every character."""

    def decode(self, ids):
        return "".join(map(chr, ids))


class Speller:
    """A seam: a policy that answers from a script, a token a character."""

    tokenizer = Letters()

    def __init__(self, *answers):
        self._answers = list(answers)
        self.waits = Waits()

    def complete(self, queries):
        return [self._turn(query, self._answers.pop(0)) for query in queries]

    def _turn(self, query, text):
        return Turn(
            task=query.task,
            prompt_ids=(2, 3),
            completion_ids=(*map(ord, text), 0),
            sampler_logprobs=np.zeros(len(text) + 1, np.float32),
            stop=Stop.STOP_ID,
            text=text,
        )


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(1) as opened:
        yield opened


def collect(pool, *answers, item=ITEM, **grounding):
    objective = PredictOutputObjective(
        weight=1.0,
        group_size=len(answers),
        reward_scale=0.8,
        grounding=GroundingReward(**grounding),
    )
    (group,) = objective.collect(
        Speller(*answers), [item], pool=pool, seed_path=(0, 0, 0)
    )
    return group.rollouts


def test_a_run_is_traced_while_the_policy_explains_it(pool):
    has_traced = threading.Event()

    class Watched:
        num_workers = pool.num_workers

        def submit(self, request):
            future = pool.submit(request)
            future.add_done_callback(lambda _: has_traced.set())
            return future

    class Slow(Speller):
        def complete(self, queries):
            assert has_traced.wait(PATIENCE_SECS), "nobody traces meanwhile"
            return super().complete(queries)

    objective = PredictOutputObjective(
        weight=1.0, group_size=1, reward_scale=0.8, grounding=GroundingReward()
    )
    policy = Slow(render_target(TOLD, "4"))
    (group,) = objective.collect(policy, [ITEM], pool=Watched(), seed_path=(0, 0, 0))
    assert group.rollouts[0].parts["passed"] == 1.0


@pytest.mark.parametrize("number", [0, 1])
def test_a_run_is_traced_by_one_process_and_all_learn_what_it_found(
    pool, monkeypatch, number
):
    """The second process's first trace is a fault; both must leave the group out."""
    fault = TraceFailure(reason="infra error: the box is gone", status=None)
    own = list(trace_items([ITEM], pool))
    found = [own, [fault]]
    traced = []

    def trace_some(items, *, pool):
        for item in items:
            traced.append(item.id)
            yield found[number][0]

    monkeypatch.setattr(processes, "num_processes", lambda: 2)
    monkeypatch.setattr(processes, "process_number", lambda: number)
    # A seam: the bytes of the other process, which really go over a network.
    monkeypatch.setattr(
        predict_output_,
        "gather",
        lambda value: [
            value if i == number else pickle.loads(pickle.dumps(found[i]))
            for i in range(2)
        ],
    )
    monkeypatch.setattr(predict_output_, "trace_items", trace_some)
    objective = PredictOutputObjective(
        weight=1.0, group_size=1, reward_scale=0.8, grounding=GroundingReward()
    )
    items = [ITEM, dataclasses.replace(ITEM, id="j")]
    answers = [render_target(TOLD, "4")] * 2
    told, lost = objective.collect(
        Speller(*answers), items, pool=pool, seed_path=(0, 0, 0)
    )
    assert traced == [items[number].id]
    assert told.rollouts[0].reward == 0.8 and told.rollouts[0].parts["sound"] == 1.0
    assert lost.rollouts[0].reward is None


def test_explanations_of_one_answer_are_told_apart_by_the_real_run(pool):
    false = TOLD.replace("t=4", "t=5")
    sound, slipped = collect(pool, render_target(TOLD, "4"), render_target(false, "4"))
    assert sound.reward == pytest.approx(0.8) and sound.turns[0].fault is None
    # Three of six facts come before t=5: 0.8 * (1 + 0) / 2.
    assert slipped.reward == pytest.approx(0.4)
    assert slipped.parts["passed"] == 1.0 and slipped.parts["sound"] == 0.5
    start, end = slipped.turns[0].fault
    ids = slipped.turns[0].completion_ids[start:end]
    assert "".join(map(chr, ids)) == "t=5"


def test_the_trace_is_of_the_program_on_its_stdin(pool):
    item = dataclasses.replace(
        ITEM, source="n = int(input())\nprint(n + 1)\n", stdin="6\n", stdout="7\n"
    )
    (right, wrong) = collect(
        pool, render_target("n=6", "7"), render_target("n=5", "7"), item=item
    )
    assert (right.parts["exact"], wrong.parts["exact"]) == (1.0, 0.0)


def test_a_run_that_cannot_be_told_whole_is_rewarded_by_its_output_alone(pool):
    long = "for i in range(20000):\n    pass\nprint(4)\n"
    item = dataclasses.replace(ITEM, source=long)
    right, wrong = collect(
        pool, render_target("", "4"), render_target("", "5"), item=item
    )
    assert (right.reward, wrong.reward) == (0.8, -0.8)
    assert "sound" not in right.parts


def test_a_run_is_traced_within_the_limits_of_its_problem(pool):
    hungry = "n = len('a' * 300 * 2**20)\nprint(4)\n"  # 300 MiB
    item = dataclasses.replace(ITEM, source=hungry)
    narrow = dataclasses.replace(item, limits={"memory_mib": 128})
    found = list(trace_items([item, narrow, narrow, item, ITEM], pool))
    is_told = [isinstance(run, Trace) for run in found]
    assert is_told == [True, False, False, True, True]
    assert found[1] is None  # it ran out of memory, for no fault of ours


def test_after_a_fault_of_the_sandbox_nobody_knows_the_reward(pool):
    class Broken:
        num_workers = 1

        def submit(self, request):
            raise InfraError("no answer")

    class Late:
        num_workers = 1

        def submit(self, request):
            future = pool.submit(request)
            future.result = lambda: Broken().submit(request)
            return future

    (lost,) = collect(Late(), render_target(TOLD, "4"))
    assert lost.reward is None and "no answer" in lost.notes["lost"]


def test_characters_are_found_in_tokens():
    texts = {1: "t=", 2: "3 ", 3: "x", 9: ""}

    def decode(ids):
        return "".join(texts[i] for i in ids)

    ids = [1, 2, 9, 3, 9]
    assert token_span(decode, ids, (3, 5)) == (1, 4)
    assert token_span(decode, ids, (0, 1)) == (0, 1)
    assert token_span(decode, ids, (4, 5)) == (3, 4)
    assert token_span(decode, ids, (2, 2)) is None
