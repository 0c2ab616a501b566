"""The policy loss against numbers worked out by hand and a float64 reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.rl.invariants import check_first_update
from simex.rl.loss import PolicyLossConfig, policy_loss

CONFIG = PolicyLossConfig(clip_low=0.2, clip_high=0.25)


def loss_of(ratios, advantages, mask=None):
    logprobs = jnp.log(jnp.asarray([ratios], jnp.float32))
    mask = jnp.ones_like(logprobs) if mask is None else jnp.asarray([mask])
    return policy_loss(
        logprobs,
        jnp.zeros_like(logprobs),
        advantages_BT=jnp.asarray([advantages], jnp.float32),
        mask_BT=mask,
        config=CONFIG,
    )


def test_on_policy_the_loss_is_minus_the_sum_of_advantages():
    loss, metrics = loss_of([1.0, 1.0, 1.0], [0.5, -1.0, 0.25])
    np.testing.assert_allclose(loss, 0.25, atol=1e-6)  # -(0.5 - 1 + 0.25)
    np.testing.assert_allclose(metrics["policy/ratio"], (3.0, 3.0), atol=1e-6)


@pytest.mark.parametrize(
    ("ratio", "advantage", "surrogate"),
    [
        (1.5, 2.0, 2.5),  # clipped to 1.25
        (0.5, 2.0, 1.0),  # min(0.5·2, 0.8·2)
        (1.5, -2.0, -3.0),  # min(1.5·-2, 1.25·-2)
        (0.5, -2.0, -1.6),  # clipped to 0.8
    ],
)
def test_clipping_takes_the_lower_surrogate(ratio, advantage, surrogate):
    loss, _ = loss_of([ratio], [advantage])
    np.testing.assert_allclose(loss, -surrogate, rtol=1e-6)


def test_masked_tokens_have_no_loss_and_no_weight():
    loss, metrics = loss_of([1.0, 9.0], [1.0, 5.0], mask=[1.0, 0.0])
    np.testing.assert_allclose(loss, -1.0, atol=1e-6)
    assert float(metrics["policy/clip_fraction_high"][0]) == 0.0
    assert float(metrics["policy/ratio"][1]) == 1.0


def test_an_all_masked_batch_has_loss_0():
    loss, _ = loss_of([2.0, 3.0], [1.0, 1.0], mask=[0.0, 0.0])
    assert float(loss) == 0.0


def test_the_gradient_is_that_of_finite_differences_in_float64():
    rng = np.random.default_rng(0)
    logprobs = rng.normal(-1.0, 0.1, (2, 5))
    sampler = logprobs + rng.normal(0.0, 0.3, (2, 5))
    advantages = rng.normal(size=(2, 5))
    mask = (rng.random((2, 5)) < 0.7).astype(float)

    def reference(values):
        ratio = np.exp((values - sampler) * mask)
        clipped = np.clip(ratio, 0.8, 1.25)
        return -(np.minimum(ratio * advantages, clipped * advantages) * mask).sum()

    def loss(values):
        return policy_loss(
            values,
            jnp.asarray(sampler, jnp.float32),
            advantages_BT=jnp.asarray(advantages, jnp.float32),
            mask_BT=jnp.asarray(mask, jnp.float32),
            config=CONFIG,
        )[0]

    found = jax.grad(loss)(jnp.asarray(logprobs, jnp.float32))
    step = 1e-6
    for index in np.ndindex(2, 5):
        up, down = logprobs.copy(), logprobs.copy()
        up[index] += step
        down[index] -= step
        slope = (reference(up) - reference(down)) / (2 * step)
        np.testing.assert_allclose(found[index], slope, atol=1e-3)


def test_equal_policies_pass_the_first_update():
    _, metrics = loss_of([1.0, 1.0], [1.0, -1.0])
    check_first_update({k: float(t / w) for k, (t, w) in metrics.items()}, CONFIG)


def test_unequal_policies_stop_the_run_with_the_numbers():
    _, metrics = loss_of([1.4, 1.0], [1.0, -1.0])
    values = {k: float(t / w) for k, (t, w) in metrics.items()}
    with pytest.raises(UserError, match=r"policy/ratio = 1\.2"):
        check_first_update(values, CONFIG)


def test_impossible_bounds_are_refused():
    with pytest.raises(ValueError, match="clip_low"):
        PolicyLossConfig(clip_low=1.5)
