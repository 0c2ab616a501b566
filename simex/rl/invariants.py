"""What must hold at the first update, where sampler and trainer hold the same params.

Most silent errors of RL code (temperature on one side only, re-tokenized completions,
misaligned masks, another forward in the sampler) show here as a ratio other than 1.
"""

from collections.abc import Mapping

from simex.core.errors import UserError
from simex.rl.loss import PolicyLossConfig


def check_first_update(values: Mapping[str, float], config: PolicyLossConfig) -> None:
    """Checks the metrics of an update whose rollouts the very same params sampled.

    Raises:
      UserError: with the numbers, when the policies are not the same.
    """
    limits = {
        "policy/approx_kl": config.gap_tolerance,
        "policy/clip_fraction_low": 0.0,
        "policy/clip_fraction_high": 0.0,
        "policy/gap_above_tolerance": 0.0,
    }
    broken = [
        f"{name} = {values[name]:.3g} (at most {limit:g})"
        for name, limit in limits.items()
        if values[name] > limit
    ]
    ratio = values["policy/ratio"]
    if abs(ratio - 1) > config.gap_tolerance:
        broken.append(f"policy/ratio = {ratio:.6f} (1 ± {config.gap_tolerance:g})")
    if broken:
        raise UserError(
            "At the first update trainer and sampler must agree on every sampled "
            f"token; they do not: {'; '.join(broken)}. In bfloat16 raise "
            "PolicyLossConfig.gap_tolerance knowingly; in float32 it is a defect."
        )
