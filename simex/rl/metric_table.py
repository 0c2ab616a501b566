"""Every metric of an RL run, by its fixed name: what is in ``metrics.jsonl``.

A name in braces stands for one of many: ``{objective}`` is the name of an objective,
``{part}`` of a part of its rewards. A metric that a step has nothing to say of is
absent from its line. Shares lie between 0 and 1; ratios are trainer over sampler.
"""

import re
from collections.abc import Iterable, Mapping

METRICS: Mapping[str, str] = {
    "step": "train step, from 0",
    # --- the update -----------------------------------------------------------------
    "loss": "the sum of token losses over the denominator",
    "grad_norm": "global norm of the gradient, before it is clipped",
    "policy/entropy": "mean entropy of the policy at trained tokens, in nats",
    "policy/ratio": "mean of the ratio that is clipped, of tokens or of sequences",
    "policy/approx_kl": "k3 estimate of KL from the sampler to the trainer, nats a token",
    "policy/clip_fraction_low": "share of trained tokens below the lower bound, A < 0",
    "policy/clip_fraction_high": "share of trained tokens above the upper bound, A > 0",
    "policy/logprob_gap": "mean |trainer - sampler logprob| of a token, in nats",
    "policy/gap_above_tolerance": "share of tokens whose gap exceeds gap_tolerance",
    "policy/ratio_below_half": "share of tokens with a ratio under 0.5",
    "policy/ratio_above_2": "share of tokens with a ratio over 2",
    "policy/reference_kl": "KL to the params of the start, by the chosen estimator",
    "replay/loss": "mean supervised loss of a replayed target token, in nats",
    "first_update/{policy}": "the policy metrics at step 0, before any update",
    # --- what was trained on --------------------------------------------------------
    "batch/rollouts": "valid rollouts that count in the loss's denominator",
    "batch/trained_share": "share of those with an advantage other than 0",
    "batch/tokens_trained": "sampled tokens with a loss",
    "batch/denominator": "what the sum of token losses is divided by",
    "batch/masked_overlong": "rollouts without a loss since they were truncated",
    "batch/masked_gibberish": "rollouts without a loss for a token hardly likely",
    "batch/groups_dropped": "groups left out for a raw pass rate of 0 or 1",
    "batch/refill_rounds": "further rounds of sampling for groups left out",
    "batch/groups_unfilled": "groups still missing after the last round",
    "batch/share_of_unsolved": "share of the weighted |advantage| from groups that mostly "
    "fail; the rest comes from those that mostly pass",
    "batch/net_push": "weighted sum of advantages over that of their sizes, -1 to 1",
    # --- each objective -------------------------------------------------------------
    "{objective}/reward": "mean reward of a valid rollout",
    "{objective}/reward_std": "its standard deviation over all rollouts",
    "{objective}/passed": "pass rate: share of valid rollouts that passed",
    "{objective}/refused": "share of valid rollouts without a readable answer",
    "{objective}/part/{part}": "mean of a part of the reward",
    "{objective}/flat_all_failed": "share of groups in which every rollout failed",
    "{objective}/flat_all_passed": "share of groups in which every rollout passed",
    "{objective}/tokens_when_passed": "mean sampled tokens of a rollout that passed",
    "{objective}/tokens_when_failed": "mean sampled tokens of a rollout that failed",
    "{objective}/truncated": "share of turns that did not end by themselves",
    "{objective}/stop/{stop}": "share of turns that ended so",
    "{objective}/end/{end}": "share of rollouts that ended so, e.g. submitted",
    "{objective}/refused_for/{reason}": "refused completions a rollout, by reason",
    "{objective}/verdict/{verdict}": "share of the tests of last programs judged so",
    "{objective}/predicted_feedback": "share of feedback that was predicted, not run",
    "{objective}/turns": "mean turns of a rollout",
    "{objective}/lost_to_infra": "share of rollouts without a reward, by our own fault",
    "{objective}/data_position": "items asked about so far, over all epochs",
    "{objective}/epoch": "data_position over the number of items",
    # --- items that are never trained on --------------------------------------------
    "validation/{figure}": "reward, passed, tokens a rollout and lost_to_infra after the "
    "update, of all objectives together or, as in validation/solve/reward, of one",
    # --- asynchrony -----------------------------------------------------------------
    "staleness/steps": "train steps between the params that sampled and this update",
    "staleness/dropped_rollouts": "rollouts thrown away in this step as too old",
    # --- time -----------------------------------------------------------------------
    "time/step_secs": "the whole train step",
    "time/collect_secs": "sampling and judging of this step's batch, wherever it ran",
    "time/judge_wait_secs": "of that: rows were all decoded, but not all programs judged",
    "time/wait_secs": "how long the update waited for that batch",
    "time/score_secs": "logprobs of recorded turns, at first the invariants too",
    "time/update_secs": "packing, gradients and the optimizer",
    "time/validation_secs": "rewards on held-out items, 0 where it was not time",
    "time/save_secs": "the checkpoint before this step, 0 without one",
    "speed/tokens_per_sec": "sampled tokens over the time of the step",
    "speed/rollouts_per_sec": "sampled rollouts over the time of the step",
    "compile/count": "programs that jax compiled during the step",
    # --- the sandbox ----------------------------------------------------------------
    "sandbox/deadlines_missed": "calls in this step that were given up unanswered",
    "sandbox/{figure}": "what the pool says of this step: counts, and means in seconds "
    "of latency and queue; shares of statuses and verdicts",
}

# Of two runs with one seed these may differ; all others are equal bit for bit.
UNREPEATABLE = ("time/", "speed/", "compile/", "sandbox/")


def describe(name: str) -> str | None:
    """What a metric means; None for one that the table does not know."""
    if name in METRICS:
        return METRICS[name]
    for template, meaning in METRICS.items():
        if "{" in template and _pattern(template).fullmatch(name):
            return meaning
    return None


def unknown_metrics(names: Iterable[str]) -> list[str]:
    """The names that are missing from the table."""
    return [name for name in names if describe(name) is None]


def _pattern(template: str) -> re.Pattern[str]:
    """A name in braces at the end may hold slashes, as in "sandbox/status/ok"."""
    pieces = re.split(r"(\{\w+\})", template)
    ends_open = pieces[-1] == ""
    wild = [r"[^/]+" for _ in pieces[1::2]]
    if ends_open:
        wild[-1] = r".+"
    fixed = [re.escape(piece) for piece in pieces[0::2]]
    return re.compile("".join(a + b for a, b in zip(fixed, [*wild, ""], strict=True)))
