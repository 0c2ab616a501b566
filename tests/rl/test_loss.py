"""The policy loss against numbers worked out by hand and a float64 reference."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.rl.algorithm import Algorithm
from simex.rl.clipping import CLIPPINGS
from simex.rl.loss import policy_loss
from simex.rl.presets import PRESETS

PAPER = PRESETS["paper"]
SEGMENTS = np.array([[1, 1, 1, 2, 2, 0], [1, 1, 1, 1, 1, 1]], np.int32)


def loss_of(ratios, advantages, mask=None, algorithm=PAPER):
    logprobs = jnp.log(jnp.asarray([ratios], jnp.float32))
    ones = jnp.ones_like(logprobs)
    return policy_loss(
        logprobs,
        jnp.zeros_like(logprobs),
        entropy_BT=ones,
        advantages_BT=jnp.asarray([advantages], jnp.float32),
        weights_BT=ones,
        mask_BT=ones if mask is None else jnp.asarray([mask]),
        segments_BT=jnp.ones(logprobs.shape, jnp.int32),
        algorithm=algorithm,
    )


def test_on_policy_the_loss_is_minus_the_sum_of_advantages():
    loss, metrics = loss_of([1.0, 1.0, 1.0], [0.5, -1.0, 0.25])
    np.testing.assert_allclose(loss, 0.25, atol=1e-6)  # -(0.5 - 1 + 0.25)
    np.testing.assert_allclose(metrics["policy/ratio"], (3.0, 3.0), atol=1e-6)


@pytest.mark.parametrize(
    ("clipping", "ratio", "advantage", "surrogate"),
    [
        ("ppo", 1.5, 2.0, 2.5),  # clipped to 1.25
        ("ppo", 0.5, 2.0, 1.0),  # min(0.5·2, 0.8·2)
        ("ppo", 1.5, -2.0, -3.0),  # min(1.5·-2, 1.25·-2)
        ("ppo", 0.5, -2.0, -1.6),  # clipped to 0.8
        ("dual", 9.0, -2.0, -6.0),  # PPO would say -18; at least 3·-2
        ("dual", 9.0, 2.0, 2.5),
        ("cispo", 9.0, 2.0, 1.25 * 2.0 * np.log(9.0)),  # weight clipped, no bound
        ("none", 9.0, -2.0, -18.0),
        ("gspo", 9.0, 2.0, 2.5),  # a sequence of one token
    ],
)
def test_clipping_by_hand(clipping, ratio, advantage, surrogate):
    algorithm = dataclasses.replace(PAPER, clipping=clipping)
    loss, _ = loss_of([ratio], [advantage], algorithm=algorithm)
    np.testing.assert_allclose(loss, -surrogate, rtol=1e-6)


def test_gspo_clips_the_geometric_mean_of_a_sequence():
    algorithm = dataclasses.replace(PAPER, clipping="gspo")
    # sqrt(2 · 0.5) = 1: neither token is clipped, though each is outside the bounds.
    loss, metrics = loss_of([2.0, 0.5], [1.0, 1.0], algorithm=algorithm)
    np.testing.assert_allclose(loss, -2.0, atol=1e-6)
    assert float(metrics["policy/clip_fraction_high"][0]) == 0.0


def test_masked_tokens_have_no_loss_and_no_weight():
    loss, metrics = loss_of([1.0, 9.0], [1.0, 5.0], mask=[1.0, 0.0])
    np.testing.assert_allclose(loss, -1.0, atol=1e-6)
    assert float(metrics["policy/clip_fraction_high"][0]) == 0.0
    assert float(metrics["policy/ratio"][1]) == 1.0


def test_tails_of_the_ratio_are_counted():
    _, metrics = loss_of([3.0, 0.4, 1.0, 1.0], [1.0] * 4)
    assert float(metrics["policy/ratio_above_2"][0]) == 1.0
    assert float(metrics["policy/ratio_below_half"][0]) == 1.0


# --- against a float64 reference -----------------------------------------------------


def arrays_of(seed):
    """Random float64 arrays [2, 6]; no ratio lies on a kink of any clipping."""
    rng = np.random.default_rng(seed)
    logprobs = rng.normal(-1.0, 0.1, (2, 6))
    mask = (rng.random((2, 6)) < 0.8) * (SEGMENTS > 0).astype(float)
    return {
        "logprobs": logprobs,
        "sampler": logprobs + rng.normal(0.0, 0.4, (2, 6)),
        "reference": logprobs + rng.normal(0.0, 0.3, (2, 6)),
        "advantages": rng.normal(size=(2, 6)),
        "weights": rng.random((2, 6)),
        "mask": mask,
        "entropy": rng.random((2, 6)),
    }


def reference_loss(values, a, algorithm):
    """The same loss token by token in float64; constants of `stop_gradient` in `a`."""
    low, high = 1 - algorithm.clip_low, 1 + algorithm.clip_high
    total = 0.0
    for row, t in np.ndindex(2, 6):
        if not a["mask"][row, t]:
            continue
        gap = _reference_gap(values, a, algorithm, row, t)
        ratio, advantage = np.exp(gap), a["advantages"][row, t]
        frozen = np.exp(_reference_gap(a["logprobs"], a, algorithm, row, t))
        surrogate = {
            "none": ratio * advantage,
            "cispo": min(max(frozen, low), high) * advantage * gap,
        }.get(
            algorithm.clipping,
            min(ratio * advantage, min(max(ratio, low), high) * advantage),
        )
        if algorithm.clipping == "dual" and advantage < 0:
            surrogate = max(surrogate, algorithm.dual_clip * advantage)
        weight = 1.0
        if algorithm.importance == "truncated":
            behind = a["logprobs"][row, t] - a["sampler"][row, t]
            weight = min(np.exp(behind), algorithm.importance_cap)
        loss = -surrogate * weight - algorithm.entropy_weight * a["entropy"][row, t]
        d = values[row, t] - a["reference"][row, t]
        kl = {"none": 0.0, "k1": d, "k2": d * d / 2, "k3": np.exp(-d) - 1 + d}
        loss += algorithm.kl_weight * kl[algorithm.kl]
        total += loss * a["weights"][row, t]
    return total


def _reference_gap(values, a, algorithm, row, t):
    anchor = a["sampler"] if algorithm.importance == "sampler_ratio" else a["logprobs"]
    if algorithm.clipping != "gspo":
        return values[row, t] - anchor[row, t]
    own = (SEGMENTS[row] == SEGMENTS[row, t]) & (a["mask"][row] > 0)
    return (values - anchor)[row, own].mean()


CASES = [
    *(
        Algorithm(clipping=clipping, importance=importance, importance_cap=1.1)
        for clipping, importance in itertools.product(
            CLIPPINGS, ("sampler_ratio", "truncated")
        )
    ),
    *(
        Algorithm(kl=kl, kl_weight=0.3, entropy_weight=0.2)
        for kl in ("none", "k1", "k2", "k3")
    ),
]


@pytest.mark.parametrize(
    "algorithm",
    [*CASES, *PRESETS.values()],
    ids=[f"{a.clipping}-{a.importance}-{a.kl}" for a in CASES] + list(PRESETS),
)
def test_loss_and_gradient_are_those_of_a_float64_reference(algorithm):
    a = arrays_of(0)
    device = {k: jnp.asarray(v, jnp.float32) for k, v in a.items()}

    def loss(values):
        return policy_loss(
            values,
            device["sampler"],
            entropy_BT=device["entropy"],
            reference_logprobs_BT=device["reference"],
            advantages_BT=device["advantages"],
            weights_BT=device["weights"],
            mask_BT=device["mask"],
            segments_BT=jnp.asarray(SEGMENTS),
            algorithm=algorithm,
        )[0]

    value, gradient = jax.jit(jax.value_and_grad(loss))(device["logprobs"])
    np.testing.assert_allclose(value, reference_loss(a["logprobs"], a, algorithm), 2e-5)
    step = 1e-6
    for index in np.ndindex(2, 6):
        up, down = a["logprobs"].copy(), a["logprobs"].copy()
        up[index] += step
        down[index] -= step
        slope = reference_loss(up, a, algorithm) - reference_loss(down, a, algorithm)
        np.testing.assert_allclose(gradient[index], slope / (2 * step), atol=1e-4)


@pytest.mark.parametrize("name", PRESETS)
def test_an_all_masked_batch_gives_0_and_a_gradient_of_0(name):
    """Garbage outside the mask included: no NaN from 0 times infinity."""

    def loss(values):
        return policy_loss(
            values,
            jnp.full((1, 3), -jnp.inf),
            entropy_BT=jnp.ones((1, 3)),
            reference_logprobs_BT=jnp.full((1, 3), 900.0),
            advantages_BT=jnp.ones((1, 3)),
            weights_BT=jnp.ones((1, 3)),
            mask_BT=jnp.zeros((1, 3)),
            segments_BT=jnp.ones((1, 3), jnp.int32),
            algorithm=PRESETS[name],
        )[0]

    value, gradient = jax.value_and_grad(loss)(jnp.full((1, 3), -1.0))
    assert float(value) == 0.0 and not np.asarray(gradient).any()


def test_a_ratio_that_leaves_float32_stays_finite():
    algorithm = PRESETS["cispo"]

    def loss(values):
        ones = jnp.ones((1, 2))
        return policy_loss(
            values,
            jnp.zeros((1, 2)),
            entropy_BT=ones,
            advantages_BT=ones,
            weights_BT=ones,
            mask_BT=ones,
            segments_BT=jnp.ones((1, 2), jnp.int32),
            algorithm=algorithm,
        )[0]

    value, gradient = jax.value_and_grad(loss)(jnp.asarray([[-300.0, 300.0]]))
    assert np.isfinite(value) and np.isfinite(gradient).all()


def test_impossible_bounds_are_refused():
    with pytest.raises(UserError, match="clip_low"):
        Algorithm(clip_low=1.5)
