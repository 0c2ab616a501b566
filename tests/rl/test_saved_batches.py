"""A batch of rollouts is the same after a checkpoint, values and types."""

import dataclasses
import json

import numpy as np
import pytest

from simex.rl.collection import Collected, Cursor
from simex.rl.saved_batches import from_json, to_json
from simex.rollouts.program import ProgramReport, TestReport
from simex.rollouts.rollout import End
from simex.sampling.samples import Stop
from tests.rl.rollout_examples import MIXED


def through_json(value):
    return from_json(json.loads(json.dumps(to_json(value))))


def assert_same(one, other):
    assert type(one) is type(other)
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def test_a_batch_comes_back_as_it_was():
    first, second = MIXED.rollouts
    turn = dataclasses.replace(
        first.turns[0],
        text="naïve \ud800",  # a completion may hold half of a character
        stop=Stop.LENGTH,
        fault=(1, 2),
        sampler_logprobs=np.array([-0.1, -np.pi], np.float32),
    )
    test = TestReport(visibility="public", verdict="", is_prediction_right=True)
    rollout = dataclasses.replace(
        first,
        turns=(turn, *first.turns[1:]),
        reward=0.1 + 0.2,
        end=End.NO_FEEDBACK,
        programs=(ProgramReport(source="print(1)", tests=(test,)),),
    )
    lost = dataclasses.replace(second, reward=None)
    batch = Collected(
        groups=(dataclasses.replace(MIXED, rollouts=(rollout, lost)),),
        cursor=Cursor(
            batch=3, positions={"solve": 7}, pass_rates={"solve": {"4": 0.5}}
        ),
        version=2,
        secs=1.5,
    )
    assert_same(through_json(batch), batch)


def test_numbers_of_numpy_keep_their_precision():
    for value in (np.float32(0.1), np.int64(5), np.zeros((0, 2), np.int32)):
        assert_same(through_json(value), value)


def test_what_has_no_place_in_a_checkpoint_is_refused_both_ways():
    with pytest.raises(TypeError, match="holds no set"):
        to_json({1})
    with pytest.raises(KeyError):
        from_json({"kind": "Popen", "fields": {}})
