"""Algorithms by name: what a paper or a library does, as choices of `Algorithm`.

In an experiment file ``train_rl.algorithm = "dapo"`` takes one of them, and
``train_rl.changes = {"clip_high": 0.3}`` changes single choices.
"""

from collections.abc import Mapping
from typing import Literal

from simex.core.names import unknown_name
from simex.rl.algorithm import Algorithm, override

PresetName = Literal[
    "paper",
    "cwm",
    "grpo_trl",
    "grpo_verl",
    "dr_grpo",
    "dapo",
    "gspo",
    "cispo",
    "rloo",
]

# CWM (arXiv 2510.02387): no division by the standard deviation, no KL, clip-higher,
# token sums over a constant, gibberish filtered, flat groups without a loss.
_CWM = Algorithm(gibberish="mask")

PRESETS: Mapping[str, Algorithm] = {
    # Self-execution simulation (arXiv 2604.03253) names no other choice than CWM's.
    "paper": _CWM,
    "cwm": _CWM,
    # GRPOTrainer of TRL with loss_type="grpo", scale_rewards="group" and beta=0.
    "grpo_trl": Algorithm(
        advantage="mean_std",
        std_eps=1e-4,
        clip_high=0.2,
        reduction="sequence_mean",
    ),
    # verl's recipe for GRPO: dual clip, token mean and a k3 penalty in the loss.
    "grpo_verl": Algorithm(
        advantage="mean_std",
        clipping="dual",
        clip_high=0.2,
        reduction="token_mean",
        kl="k3",
        kl_weight=0.001,
    ),
    # Dr. GRPO (arXiv 2503.20783): neither the length nor the standard deviation.
    "dr_grpo": Algorithm(advantage="group_mean", clip_high=0.2),
    # DAPO (arXiv 2503.14476): clip-higher, dynamic sampling, token mean, soft
    # punishment of overlong answers. Its lengths are 16,384 + 4,096 of 20,480 tokens:
    # set overlong_max_tokens to the longest completion.
    "dapo": Algorithm(
        advantage="mean_std",
        clip_high=0.28,
        reduction="token_mean",
        overlong="shape",
        flat_groups="refill",
    ),
    # GSPO (arXiv 2507.18071): one ratio a sequence, hence much tighter bounds.
    "gspo": Algorithm(
        advantage="mean_std",
        clipping="gspo",
        clip_low=3e-4,
        clip_high=4e-4,
        reduction="sequence_mean",
    ),
    # CISPO (MiniMax-M1, arXiv 2506.13585): no lower bound; the upper one is 5, as
    # ScaleRL (arXiv 2510.13786) has it, since M1 does not print its own.
    "cispo": Algorithm(
        advantage="mean_std",
        clipping="cispo",
        clip_low=1.0,
        clip_high=4.0,
        reduction="token_mean",
    ),
    # RLOO (arXiv 2402.14740): REINFORCE over whole answers with a leave-one-out
    # baseline; its KL term in the reward is left out.
    "rloo": Algorithm(advantage="leave_one_out", clipping="none"),
}


def make_algorithm(name: str, changes: Mapping[str, object] | None = None) -> Algorithm:
    """The preset called `name`, with single choices changed.

    Raises:
      UserError: the preset or a choice is unknown, or a value is impossible.
    """
    if name not in PRESETS:
        raise unknown_name("algorithm", name, PRESETS)
    return override(PRESETS[name], changes or {})
