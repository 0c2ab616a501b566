"""One update of the policy from micro-batches of any number."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.core.metrics import mean_values
from simex.models.config import ModelConfig
from simex.models.segments import can_share_prefixes
from simex.rl.algorithm import Algorithm
from simex.rl.batch import MicroBatch
from simex.rl.loss import policy_loss
from simex.rl.replay import make_replay_loss, weigh
from simex.rollouts.rollout import Turn
from simex.sharding.activations import placed
from simex.sharding.compiles import watch_compiles
from simex.sharding.mesh import platform_of, put_batch, replicated
from simex.tokens.chat import Rendered
from simex.tokens.packing import pack
from simex.train.accumulate import Accumulator, add_gradients, make_accumulator
from simex.train.logprobs import token_logprobs
from simex.train.state import TrainState, state_shardings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer:
    """The compiled parts of an update, with the reference policy where one is used."""

    model: ModelConfig
    algorithm: Algorithm
    rows: int  # of a micro-batch
    shares_prompts: bool  # by turns that answer the same one
    accumulator: Accumulator
    replay: Accumulator  # of supervised examples; compiles where it is used
    score: Callable[[Any, Mapping[str, Any]], jax.Array]
    """(params, micro-batch) -> logprobs_BT on every device, as an update sees them."""

    score_reference: Callable[[Mapping[str, Any]], jax.Array] | None
    mesh: Mesh

    def update(
        self,
        state: TrainState,
        micro_batches: Sequence[MicroBatch],
        *,
        denominator: float,
        replayed: MicroBatch | None = None,
        replay_weight: float = 0.0,
    ) -> tuple[TrainState, dict[str, float]]:
        """One optimizer update; none where no rollout is trained on.

        Sums run over micro-batches and devices first and are divided once. The state
        passed in is donated where there is an update. Of `replayed` examples the mean
        loss a token is added, `replay_weight` times.
        """
        sums = None
        for arrays in micro_batches:
            batch = self._put(arrays)
            if sums is None:
                sums = self.accumulator.first(state.params, batch)
            else:
                sums = self.accumulator.add(sums, state.params, batch)
        if sums is None or denominator <= 0:
            return state, {}
        if replayed is not None:
            weighed = weigh(replayed, weight=replay_weight, denominator=denominator)
            batch = put_batch(weighed, self.mesh)
            sums = add_gradients(sums, self.replay.first(state.params, batch))
        state, metrics = self.accumulator.apply(state, sums, jnp.float32(denominator))
        return state, mean_values(metrics)

    def measure(self, params: Any, arrays: MicroBatch) -> dict[str, float]:
        """The metrics of the loss on one micro-batch; nothing is updated."""
        _, metrics = self.accumulator.first(params, self._put(arrays))
        return mean_values({k: v for k, v in metrics.items() if k != "loss"})

    def score_turns(self, params: Any, turns: Sequence[Turn]) -> list[np.ndarray]:
        """For each turn the logprobs of its sampled ids, as an update would see them.

        Beside the sampler's they show where the two disagree. Nothing is updated.
        """
        if not turns:
            return []
        sequences = [Rendered.from_ids(t.prompt_ids, t.completion_ids) for t in turns]
        seq_len = self.model.max_positions
        num_shared = None
        if self.shares_prompts:  # the rows are then those of an update
            num_shared = [max(len(turn.prompt_ids) - 1, 0) for turn in turns]
        packed = pack(sequences, seq_len, num_shared=num_shared)
        padded = -(-len(packed.arrays["tokens"]) // self.rows) * self.rows
        packed = pack(sequences, seq_len, num_rows=padded, num_shared=num_shared)
        blocks = [
            {name: v[start : start + self.rows] for name, v in packed.arrays.items()}
            for start in range(0, padded, self.rows)
        ]
        logprobs_BT = np.concatenate(
            [np.asarray(self.score(params, put_batch(b, self.mesh))) for b in blocks]
        )
        found = packed.unpack(logprobs_BT)
        return [
            values[len(turn.prompt_ids) :]
            for turn, values in zip(turns, found, strict=True)
        ]

    def _put(self, arrays: MicroBatch) -> dict[str, Any]:
        batch = dict(put_batch(arrays, self.mesh))
        if self.score_reference is not None:
            batch["reference_logprobs"] = self.score_reference(batch)
        return batch


def make_trainer(
    model: ModelConfig,
    algorithm: Algorithm,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    *,
    rows: int,
    temperature: float,
    reference_params: Any,
    share_prompts: bool = True,
) -> Trainer:
    """Compiles the update.

    Args:
      model: the decoder.
      algorithm: the choices.
      tx: from `make_optimizer`.
      mesh: the devices.
      rows: of a micro-batch, on all devices.
      temperature: of the sampler; logprobs on both sides are of it.
      reference_params: those that KL is measured to; read only where it is.
      share_prompts: compute a prompt once for the turns of a row that answer it, where
        `models.segments.can_share_prefixes`.

    Raises:
      UserError: a temperature of 0.
    """
    refuse_greedy(temperature)

    def score(params: Any, batch: Mapping[str, Any]) -> jax.Array:
        with placed(mesh):
            return token_logprobs(model, params, batch, temperature=temperature)[0]

    scorer = watch_compiles(jax.jit(score), "reference", max_shapes=1)
    shardings = state_shardings(model, tx, mesh)
    return Trainer(
        model=model,
        algorithm=algorithm,
        rows=rows,
        shares_prompts=share_prompts and can_share_prefixes(model, platform_of(mesh)),
        accumulator=make_accumulator(
            make_loss_fn(model, algorithm, temperature=temperature),
            tx,
            mesh,
            shardings=shardings,
        ),
        replay=make_accumulator(make_replay_loss(model), tx, mesh, shardings=shardings),
        score=watch_compiles(
            jax.jit(score, out_shardings=replicated(mesh)), "scoring", max_shapes=1
        ),
        score_reference=(
            (lambda batch: scorer(reference_params, batch))
            if algorithm.has_reference
            else None
        ),
        mesh=mesh,
    )


def refuse_greedy(temperature: float) -> None:
    """Raises UserError for a temperature at which there is nothing to learn from."""
    if not temperature > 0:
        raise UserError(
            "RL must sample at a temperature above 0: the rollouts of a prompt are to "
            f"differ, and logits are divided by it; it is {temperature}. Set it to 1, "
            "or 0 in validation only."
        )


def make_loss_fn(
    model: ModelConfig, algorithm: Algorithm, *, temperature: float
) -> Callable[[Any, Mapping[str, Any]], tuple[Any, Any, dict]]:
    """(params, micro-batch) -> (sum of losses, trained tokens, metrics)."""

    def loss_fn(params: Any, batch: Mapping[str, Any]) -> tuple[Any, Any, dict]:
        logprobs_BT, entropy_BT = token_logprobs(
            model, params, batch, temperature=temperature
        )
        loss, metrics = policy_loss(
            logprobs_BT,
            batch["sampler_logprobs"],
            entropy_BT=entropy_BT,
            reference_logprobs_BT=batch.get("reference_logprobs"),
            advantages_BT=batch["advantages"],
            weights_BT=batch["weights"],
            mask_BT=batch["loss_mask"],
            segments_BT=batch["segment_ids"],
            algorithm=algorithm,
        )
        return loss, batch["loss_mask"].sum(), metrics

    return loss_fn
