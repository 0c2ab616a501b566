"""What stops a run at its first update."""

import contextlib

import jax.numpy as jnp
import pytest

from simex.core.errors import UserError
from simex.core.metrics import mean_values
from simex.rl.algorithm import override
from simex.rl.invariants import check_first_update, check_reference
from simex.rl.loss import policy_loss
from simex.rl.presets import PRESETS

PAPER = PRESETS["paper"]


def values_of(ratios, reference=None):
    logprobs = jnp.log(jnp.asarray([ratios], jnp.float32))
    ones = jnp.ones_like(logprobs)
    _, metrics = policy_loss(
        logprobs,
        jnp.zeros_like(logprobs),
        entropy_BT=ones,
        reference_logprobs_BT=reference,
        advantages_BT=jnp.resize(jnp.asarray([1.0, -1.0]), logprobs.shape),
        weights_BT=ones,
        mask_BT=ones,
        segments_BT=jnp.ones(logprobs.shape, jnp.int32),
        algorithm=PRESETS["grpo_verl"] if reference is not None else PAPER,
    )
    return mean_values(metrics)


def test_equal_policies_pass():
    check_first_update(values_of([1.0, 1.0]), PAPER)


def test_unequal_policies_stop_the_run_with_the_numbers():
    with pytest.raises(UserError, match=r"policy/ratio = 1\.2"):
        check_first_update(values_of([1.4, 1.0]), PAPER)


def test_one_token_of_many_is_enough_to_stop_it():
    with pytest.raises(UserError, match="gap_above_tolerance = 0.01"):
        check_first_update(values_of([1.0] * 99 + [1.002]), PAPER)


@pytest.mark.parametrize(
    ("ratios", "name"), [([1.5, 1.0], "fraction_high"), ([1.0, 0.5], "fraction_low")]
)
def test_clipped_tokens_are_named(ratios, name):
    with pytest.raises(UserError, match=f"policy/clip_{name} = 0.5"):
        check_first_update(values_of(ratios), PAPER)


def test_in_bfloat16_a_share_of_the_tokens_may_lie_further():
    """One of a hundred is off by 0.3, a clipped one: 1 % passes where 1 % is allowed."""
    values = values_of([1.0] * 99 + [1.3])
    for share, passes in ((0.01, True), (0.009, False)):
        rounded = override(PAPER, {"gap_tolerance": 0.1, "gap_share": share})
        with contextlib.nullcontext() if passes else pytest.raises(UserError):
            check_first_update(values, rounded)


def test_bounds_tighter_than_the_tolerance_say_nothing():
    """Of GSPO's 3e-4: every sequence may be clipped by gaps of half a thousandth."""
    values = values_of([1.0, 1.0005]) | {"policy/clip_fraction_high": 1.0}
    check_first_update(values, PRESETS["gspo"])


def test_a_value_that_is_no_number_does_not_pass():
    values = values_of([1.0, 1.0]) | {"policy/approx_kl": float("nan")}
    with pytest.raises(UserError, match="approx_kl = nan"):
        check_first_update(values, PAPER)


def test_a_reference_that_is_not_the_policy_stops_the_run():
    verl = PRESETS["grpo_verl"]
    check_reference(values_of([1.0], reference=jnp.zeros((1, 1))), verl)
    with pytest.raises(UserError, match="its own reference"):
        check_reference(values_of([1.0], reference=jnp.ones((1, 1))), verl)
