"""What the training stages of an experiment need of memory, all devices together.

Params (embeddings among them), the optimizer and the cache are counted from the shapes of
the run. Gradients are as large as the params. Activations are what the backward pass
reads again; the formula is checked against a compiled update to within a factor of 2.
`simex plan --topology cpu:N` compiles everything, and knows more in minutes.
"""

import dataclasses
import math
import os

import jax
import numpy as np

from simex.models.config import ModelConfig
from simex.plans.stage import RlStage, Stage
from simex.sharding.mesh import make_mesh
from simex.train.logprobs import MAX_CHUNK_LOGITS
from simex.train.optimizer import make_optimizer
from simex.train.state import abstract_train_state


@dataclasses.dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes by kind, over all devices of a mesh."""

    params: int
    optimizer: int
    gradients: int
    activations: int
    cache: int  # keys and values of the sampler

    @property
    def total(self) -> int:
        """All kinds at once: RL keeps its cache while it updates."""
        return sum(dataclasses.astuple(self))

    def __str__(self) -> str:
        kinds = dataclasses.asdict(self)
        return ", ".join(f"{k} {v / 2**20:,.0f} MiB" for k, v in kinds.items() if v)


def estimate_memory(stage: Stage) -> Need:
    """Raises UserError for a mesh that the devices of this machine cannot form."""
    mesh = make_mesh(stage.mesh)
    state = abstract_train_state(
        stage.model, make_optimizer(stage.optimizer, mesh), mesh
    )
    params = _bytes_on_all(state.params)
    copies = stage.num_param_copies if isinstance(stage, RlStage) else 0
    is_rl = isinstance(stage, RlStage)
    rows = stage.rows if isinstance(stage, RlStage) else stage.batch_rows
    micro = 1 if isinstance(stage, RlStage) else stage.num_micro_batches
    return Need(
        params=params * (1 + copies),
        optimizer=_bytes_on_all(state.opt_state),
        gradients=params * (2 if micro > 1 or is_rl else 1),  # a sum beside them
        activations=activation_bytes(stage.model, rows // micro, stage.seq_len),
        cache=_cache_bytes(stage) if isinstance(stage, RlStage) else 0,
    )


def activation_bytes(model: ModelConfig, rows: int, seq_len: int) -> int:
    """What one forward pass leaves for the backward pass, and one block of logits."""
    is_cpu = jax.default_backend() == "cpu"
    # A CPU computes in float32 whatever the inputs of matmuls are rounded to.
    size = 4 if is_cpu else np.dtype(model.compute_dtype).itemsize
    width_q = model.num_query_heads * model.head_dim
    width_kv = model.num_kv_heads * model.head_dim
    # Inputs of two norms and two residual sums, normed twice; q, k, v, rotated and not,
    # and what attention gives; gate, up, their product and the gate's activation.
    kept = 6 * model.d_model + 3 * width_q + 4 * width_kv + 4 * model.d_ff
    if is_cpu:  # scores and weights of attention, whole
        kept += 2 * model.num_query_heads * seq_len
    layers = model.num_layers
    # Compilers for CPUs keep what is to be computed again, unless a loop forbids it.
    if model.remat == "none" or (is_cpu and not model.scan_layers):
        a_token = layers * kept
    else:  # the input of each layer, and one layer computed again
        a_token = layers * model.d_model + kept
    logits = min(rows * seq_len * model.vocab_size, MAX_CHUNK_LOGITS)
    return rows * seq_len * a_token * size + 3 * 4 * logits


def machine_bytes() -> int:
    """Of all devices; of the machine where they share its memory. 0: not known."""
    if jax.default_backend() == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    stats = jax.local_devices()[0].memory_stats() or {}
    return int(stats.get("bytes_limit", 0)) * jax.device_count()


def _bytes_on_all(tree: object) -> int:
    """Of the parts of all devices; what is replicated counts on each."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape))
        * leaf.dtype.itemsize
        * len(leaf.sharding.device_set)
        for leaf in jax.tree.leaves(tree)
    )


def _cache_bytes(stage: RlStage) -> int:
    model, sizes = stage.model, stage.sampler
    positions = sizes.num_slots * stage.seq_len
    numbers = 2 * positions * model.num_layers * model.num_kv_heads * model.head_dim
    return numbers * np.dtype(sizes.cache_dtype).itemsize
