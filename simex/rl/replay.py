"""Supervised examples beside the rollouts of a train step: what SFT taught is kept.

RL on a sharp reward forgets what it is not rewarded for; a share of supervised loss in
every update holds it (as the pretraining mix of InstructGPT, arXiv 2203.02155, did).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from simex.core.errors import UserError
from simex.core.prng import host_rng
from simex.data.mixture import Mixture
from simex.data.tokenized import TokenizedSplit
from simex.models.config import ModelConfig
from simex.rl.batch import MicroBatch
from simex.tokens.chat import Rendered
from simex.tokens.packing import first_fit_decreasing, pack
from simex.train.logprobs import token_logprobs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """Rows of supervised examples for each train step, a function of seed and step."""

    split: TokenizedSplit
    rows: int  # of a micro-batch; its row length is that of the split
    weight: float  # of the mean supervised loss of a target token, beside the policy's
    seed: int
    mixture: Mixture = Mixture()

    def __post_init__(self) -> None:
        """Raises UserError for a weight or a mixture that cannot be."""
        if not self.weight > 0:
            raise UserError(
                f"The weight of replayed examples must be above 0; it is {self.weight}."
            )
        if not any(map(len, self.split.tasks.values())):
            raise UserError(
                "The examples to replay must hold one of at most "
                f"{self.split.seq_len} tokens; they hold none. Make rows longer "
                "(max_positions), or train without ReplayConfig."
            )
        self._shares()

    def make_batch(self, step: int) -> MicroBatch:
        """One micro-batch of [rows, T]; examples are drawn with replacement."""
        rng = host_rng(self.seed, "replay", step)
        tasks, shares = zip(*self._shares().items(), strict=True)
        seq_len, chosen = self.split.seq_len, list[Rendered]()
        while True:
            task = self.split.tasks[tasks[rng.choice(len(tasks), p=shares)]]
            example = task[int(rng.integers(len(task)))]
            lengths = np.array([len(one) for one in (*chosen, example)])
            if first_fit_decreasing(lengths, seq_len)[0].max() >= self.rows:
                break
            chosen.append(example)
        pad_id = self.split.pad_id
        return dict(pack(chosen, seq_len, pad_id=pad_id, num_rows=self.rows).arrays)

    def _shares(self) -> dict[str, float]:
        known = [name for name, task in self.split.tasks.items() if len(task)]
        shares = self.mixture.shares(known)
        if shares is None:
            sizes = {name: len(self.split.tasks[name]) for name in known}
            shares = {name: size / sum(sizes.values()) for name, size in sizes.items()}
        return shares


def make_replay_loss(model: ModelConfig) -> Any:
    """(params, batch) -> (sum of weighted losses, target tokens, metrics)."""

    def loss_fn(params: Any, batch: Mapping[str, jax.Array]) -> tuple[Any, Any, dict]:
        logprobs_BT, _ = token_logprobs(model, params, batch)
        mask_BT = batch["loss_mask"]
        losses_BT, num_tokens = -logprobs_BT * mask_BT, mask_BT.sum()
        weighted = (losses_BT * batch["weights"]).sum()
        return weighted, num_tokens, {"replay/loss": (losses_BT.sum(), num_tokens)}

    return loss_fn


def weigh(batch: MicroBatch, *, weight: float, denominator: float) -> MicroBatch:
    """The batch with the weight that each of its tokens has in the sum of losses.

    The sum is divided by `denominator` in the end; with weights of
    weight * denominator / (target tokens) what remains is weight * mean loss.
    """
    num_tokens = float(batch["loss_mask"].sum())
    each = weight * denominator / max(num_tokens, 1.0)
    return {**batch, "weights": np.full_like(batch["loss_mask"], each)}
