"""What must hold at the first update, where sampler and trainer hold the same params.

Most silent errors of RL code (temperature on one side only, re-tokenized completions,
misaligned masks, another forward in the sampler) show here as a ratio other than 1.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from simex.core.errors import UserError
from simex.rl.algorithm import Algorithm
from simex.rl.batch import MicroBatch
from simex.rollouts.rollout import Turn


def check_first_update(values: Mapping[str, float], algorithm: Algorithm) -> None:
    """Checks the metrics of an update whose rollouts the very same params sampled.

    Raises:
      UserError: with the numbers, when the policies are not the same.
    """
    tolerance = algorithm.gap_tolerance
    limits = {
        "policy/approx_kl": tolerance,
        "policy/gap_above_tolerance": algorithm.gap_share,
    }
    for side in ("low", "high"):
        # Bounds within the tolerance (GSPO's) would clip what is allowed to differ.
        if getattr(algorithm, f"clip_{side}") > tolerance:
            limits[f"policy/clip_fraction_{side}"] = algorithm.gap_share
    broken = [
        f"{name} = {values[name]:.3g} (at most {limit:g})"
        for name, limit in limits.items()
        # Not `>`: a value that is no number must not pass.
        if not values[name] <= limit
    ]
    ratio = values["policy/ratio"]
    if not abs(ratio - 1) <= tolerance:
        broken.append(f"policy/ratio = {ratio:.6f} (1 ± {tolerance:g})")
    if broken:
        raise UserError(
            "At the first update trainer and sampler must agree on every sampled "
            f"token; they do not: {'; '.join(broken)}. In bfloat16 raise "
            "gap_tolerance and gap_share in train_rl.changes knowingly; in float32 it "
            "is a defect."
        )


def check_reference(values: Mapping[str, float], algorithm: Algorithm) -> None:
    """At step 0 of a run the policy is the reference, so their KL is 0.

    Raises:
      UserError: with the number, when it is not.
    """
    kl = values.get("policy/reference_kl", 0.0)
    if not abs(kl) <= algorithm.gap_tolerance:
        raise UserError(
            "At the first update the policy must be its own reference; their KL is "
            f"{kl:.3g} (at most {algorithm.gap_tolerance:g}). The reference holds "
            "other params, or its logprobs are not of the same tokens."
        )


def check_mask(micro_batches: Sequence[MicroBatch], turns: Sequence[Turn]) -> None:
    """The rows hold the turns' own ids, with loss on what the policy sampled alone.

    Raises:
      UserError: with the number of turns for which that is not so.
    """
    expected = collections.Counter(
        (
            (*turn.prompt_ids, *turn.completion_ids),
            (0,) * len(turn.prompt_ids) + (1,) * len(turn.completion_ids),
            np.asarray(turn.sampler_logprobs, np.float32).tobytes(),
        )
        for turn in turns
    )
    found = collections.Counter(
        turn
        for arrays in micro_batches
        for row in range(len(arrays["tokens"]))
        for turn in _turns({name: values[row] for name, values in arrays.items()})
    )
    stray = sum(
        int((arrays["loss_mask"] * (arrays["segment_ids"] == 0)).sum())
        for arrays in micro_batches
    )
    missing = sum((expected - found).values())
    if missing or stray or expected != found:
        raise UserError(
            "The ids with a loss must be the ids that the policy sampled, each with "
            f"its stored logprob. Of {sum(expected.values())} turns {missing} are not "
            f"found so in the rows, and {stray} tokens of padding have a loss. This is "
            "a defect of packing or of what wrote the rollouts."
        )


def _turns(row: MicroBatch) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], bytes]]:
    """What each turn of a row is: a segment, behind the prompt that it may share."""
    segments = row["segment_ids"]
    prefixes = row.get("prefix_ids", segments)
    shared = set(prefixes[prefixes != segments].tolist())
    for segment in range(1, 1 + int(segments.max())):
        if segment in shared:
            continue
        prefix = prefixes[segments == segment][0]
        is_here = (segments == segment) | (segments == prefix)
        mask = row["loss_mask"][is_here]
        yield (
            tuple(row["tokens"][is_here].tolist()),
            tuple(mask.astype(int).tolist()),
            row["sampler_logprobs"][is_here][mask > 0].tobytes(),
        )
