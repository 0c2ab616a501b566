"""The programs of a stage, with abstract arguments in place of arrays.

Each is the function that the run itself would call (`train.step`, `train.accumulate`,
`sampling.programs`); only its arguments are shapes, so that nothing is allocated.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from simex.plans.stage import RlStage, SftStage, Stage
from simex.rl.trainer import make_loss_fn, make_trainer
from simex.sampling.rows import idle_rows
from simex.sampling.sampler import Sampler
from simex.sft.step import make_sft_step
from simex.sharding.decode import decode_sharding
from simex.sharding.mesh import (
    batch_sharding,
    make_decode_mesh,
    num_decode_shards,
    replicated,
    require_division,
)
from simex.train.optimizer import make_optimizer
from simex.train.state import abstract_train_state


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """One program of a stage, ready to be lowered."""

    name: str
    function: Any  # jitted
    arguments: tuple[Any, ...]  # trees of ShapeDtypeStruct with shardings
    kinds: tuple[tuple[str, Any], ...]  # what the arguments are: (kind, tree)
    beside: tuple[tuple[str, Any], ...] = ()  # on the devices too, but not arguments


SFT_UPDATE, PREFILL, DECODE = "sft_update", "prefill", "decode_chunk"
LOGPROBS, GRADIENTS, APPLY = "token_logprobs", "rl_gradients", "rl_apply"


def make_program(stage: Stage, name: str, mesh: Mesh) -> Program:
    """The program called `name` of a stage; see `program_names`."""
    return MAKERS[name](stage, mesh)


def program_names(stage: Stage) -> tuple[str, ...]:
    """In the order in which a train step calls them."""
    if isinstance(stage, SftStage):
        return (SFT_UPDATE,)
    return (PREFILL, DECODE, LOGPROBS, GRADIENTS, APPLY)


def _make_sft_update(stage: SftStage, mesh: Mesh) -> Program:
    tx = make_optimizer(stage.optimizer, mesh)
    step = make_sft_step(
        stage.model, tx, mesh, num_micro_batches=stage.num_micro_batches
    )
    state = abstract_train_state(stage.model, tx, mesh)
    batch = _batch(mesh, stage.batch_rows, stage.seq_len, _FLOATS[:1])
    return Program(
        name=SFT_UPDATE,
        function=step,
        arguments=(state, batch),
        kinds=_state_kinds(state) + (("batch", batch),),
    )


def _make_prefill(stage: RlStage, mesh: Mesh) -> Program:
    sampler, params = _sampler(stage, mesh)
    rows = stage.sampler.prefill_rows * num_decode_shards(sampler.mesh)
    block = _ids(rows, sampler.prefill_width, decode_sharding(sampler.mesh))
    cache = _abstract_cache(sampler)
    return Program(
        name=PREFILL,
        function=sampler.programs.prefill,
        arguments=(params, *block.values()),
        kinds=(("decode params", params), ("batch", block)),
        beside=(("kv cache", cache), *_resident(stage, mesh)),
    )


def _make_decode(stage: RlStage, mesh: Mesh) -> Program:
    sampler, params = _sampler(stage, mesh)
    cache = _abstract_cache(sampler)
    rows = _shapes_of(idle_rows(sampler.num_slots), decode_sharding(sampler.mesh))
    return Program(
        name=DECODE,
        function=sampler.programs.decode_chunk,
        arguments=(params, cache, rows),
        kinds=(("decode params", params), ("kv cache", cache), ("batch", rows)),
        beside=_resident(stage, mesh),
    )


def _make_logprobs(stage: RlStage, mesh: Mesh) -> Program:
    require_division("tokens", (stage.rows, stage.seq_len), mesh)
    trainer, state = _trainer(stage, mesh)
    batch = _ids(stage.rows, stage.seq_len, batch_sharding(mesh))
    return Program(
        name=LOGPROBS,
        function=trainer.score,
        arguments=(state.params, batch),
        kinds=(("params", state.params), ("batch", batch)),
        beside=(("optimizer", state.opt_state), *_copies(stage, mesh)),
    )


def _make_gradients(stage: RlStage, mesh: Mesh) -> Program:
    trainer, state = _trainer(stage, mesh)
    batch = _rl_batch(stage, mesh)
    sums = _abstract_sums(stage, state, batch, mesh)
    return Program(
        name=GRADIENTS,
        function=trainer.accumulator.add,
        arguments=(sums, state.params, batch),
        kinds=(("gradients", sums), ("params", state.params), ("batch", batch)),
        beside=(("optimizer", state.opt_state), *_copies(stage, mesh)),
    )


def _make_apply(stage: RlStage, mesh: Mesh) -> Program:
    trainer, state = _trainer(stage, mesh)
    sums = _abstract_sums(stage, state, _rl_batch(stage, mesh), mesh)
    one = jax.ShapeDtypeStruct((), jnp.float32, sharding=replicated(mesh))
    return Program(
        name=APPLY,
        function=trainer.accumulator.apply,
        arguments=(state, sums, one),
        kinds=_state_kinds(state) + (("gradients", sums),),
        beside=_copies(stage, mesh),
    )


MAKERS: Mapping[str, Callable[[Any, Mesh], Program]] = {
    SFT_UPDATE: _make_sft_update,
    PREFILL: _make_prefill,
    DECODE: _make_decode,
    LOGPROBS: _make_logprobs,
    GRADIENTS: _make_gradients,
    APPLY: _make_apply,
}


def _trainer(stage: RlStage, mesh: Mesh) -> tuple[Any, Any]:
    tx = make_optimizer(stage.optimizer, mesh)
    trainer = make_trainer(
        stage.model,
        stage.algorithm,
        tx,
        mesh,
        rows=stage.rows,
        temperature=stage.temperature,
        reference_params=None,
    )
    return trainer, abstract_train_state(stage.model, tx, mesh)


def _sampler(stage: RlStage, mesh: Mesh) -> tuple[Sampler, Any]:
    """The sampler, and the params as it keeps them while it samples."""
    sizes = stage.sampler
    decode_mesh = mesh
    if sizes.tensor is not None:
        decode_mesh = make_decode_mesh(mesh, tensor=sizes.tensor)
    sampler = Sampler(
        stage.model,
        decode_mesh,
        num_slots=sizes.num_slots,
        max_prompt_len=sizes.max_prompt_len,
        max_total_len=stage.model.max_positions,
        stop_ids=sizes.stop_ids,
        chunk_steps=sizes.chunk_steps,
        prefill_rows=sizes.prefill_rows,
        cache_dtype=sizes.cache_dtype,
    )
    params = _abstract_state(stage, mesh).params
    return sampler, sampler.programs.abstract_params(params)


def _abstract_cache(sampler: Sampler) -> Any:
    """The largest that it can come to: every slot with room for the longest row."""
    return sampler.programs.abstract_cache(sampler.num_slots, sampler.num_positions)


def _abstract_state(stage: Stage, mesh: Mesh) -> Any:
    return abstract_train_state(
        stage.model, make_optimizer(stage.optimizer, mesh), mesh
    )


def _abstract_sums(stage: RlStage, state: Any, batch: Any, mesh: Mesh) -> Any:
    """What `Accumulator.first` returns."""
    loss_fn = make_loss_fn(stage.model, stage.algorithm, temperature=stage.temperature)
    _, _, metrics = jax.eval_shape(loss_fn, state.params, batch)
    scalar = jax.ShapeDtypeStruct((), jnp.float32, sharding=replicated(mesh))
    metrics = {**metrics, "loss": (scalar, scalar)}
    return state.params, _shapes_of(metrics, replicated(mesh))


_FLOATS = ("loss_mask", "advantages", "weights", "sampler_logprobs")


def _rl_batch(stage: RlStage, mesh: Mesh) -> dict[str, Any]:
    floats = (*_FLOATS, "reference_logprobs")
    names = floats if stage.algorithm.has_reference else _FLOATS
    return _batch(mesh, stage.rows, stage.seq_len, names)


def _batch(
    mesh: Mesh, rows: int, seq_len: int, floats: tuple[str, ...]
) -> dict[str, Any]:
    require_division("tokens", (rows, seq_len), mesh)
    extra = {
        name: jax.ShapeDtypeStruct(
            (rows, seq_len), jnp.float32, sharding=batch_sharding(mesh)
        )
        for name in floats
    }
    return _ids(rows, seq_len, batch_sharding(mesh)) | extra


def _ids(rows: int, seq_len: int, sharding: Any) -> dict[str, Any]:
    shape = jax.ShapeDtypeStruct((rows, seq_len), jnp.int32, sharding=sharding)
    return {name: shape for name in ("tokens", "segment_ids", "positions")}


def _state_kinds(state: Any) -> tuple[tuple[str, Any], ...]:
    return (("params", state.params), ("optimizer", state.opt_state))


def _resident(stage: RlStage, mesh: Mesh) -> tuple[tuple[str, Any], ...]:
    """What stays on the devices while rollouts are sampled."""
    state = _abstract_state(stage, mesh)
    return _state_kinds(state) + _copies(stage, mesh)


def _copies(stage: RlStage, mesh: Mesh) -> tuple[tuple[str, Any], ...]:
    params = _abstract_state(stage, mesh).params
    return (("param copies", [params] * stage.num_param_copies),)


def _shapes_of(tree: Any, sharding: Any) -> Any:
    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        dtype = np.asarray(leaf).dtype if isinstance(leaf, np.ndarray) else leaf.dtype
        return jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=sharding)

    return jax.tree.map(shape, tree)
