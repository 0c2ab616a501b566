"""The compiled update of supervised fine-tuning."""

from typing import Any

import optax
from jax.sharding import Mesh

from simex.models.config import ModelConfig
from simex.sft.loss import cross_entropy
from simex.train.logprobs import token_logprobs
from simex.train.state import state_shardings
from simex.train.step import TrainStep, make_train_step


def make_sft_step(
    model: ModelConfig,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    *,
    num_micro_batches: int = 1,
) -> TrainStep:
    """(state, batch) -> (state, metrics), as `make_train_step` says.

    The loss is the mean cross-entropy over the target tokens of a batch.
    """

    def loss_fn(params: Any, batch: Any) -> tuple[Any, Any, dict]:
        logprobs_BT, entropy_BT = token_logprobs(model, params, batch)
        mask_BT = batch["loss_mask"]
        loss, weight = cross_entropy(logprobs_BT, mask_BT)
        return loss, weight, {"entropy": ((entropy_BT * mask_BT).sum(), weight)}

    return make_train_step(
        loss_fn,
        tx,
        mesh,
        shardings=state_shardings(model, tx, mesh),
        num_micro_batches=num_micro_batches,
    )
