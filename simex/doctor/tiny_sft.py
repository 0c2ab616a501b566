"""One supervised train step with a stage's mesh and settings, and one tiny export."""

import pathlib
import tempfile

import jax
import numpy as np

from simex.core.prng import host_rng, key
from simex.doctor.tiny_step import MODEL
from simex.hf.export import export_hf
from simex.models.config import ModelConfig
from simex.models.transformer import init_params
from simex.plans.stage import SftStage
from simex.sft.step import make_sft_step
from simex.sharding.mesh import make_mesh, num_batch_shards, put_batch
from simex.tokens.train_tokenizer import train_sentencepiece
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import make_train_state


def run_tiny_sft(stage: SftStage) -> float:
    """The loss of random tokens before the update, in nats; about ln 64.

    Raises:
      UserError: the mesh cannot be made, or positions do not divide over it.
    """
    mesh = make_mesh(stage.mesh)
    model = ModelConfig(
        compute_dtype=stage.model.compute_dtype,
        remat=stage.model.remat,
        scan_layers=stage.model.scan_layers,
        **MODEL,
    )
    tx = make_optimizer(
        OptimizerConfig(name=stage.optimizer.name, learning_rate=1e-3), mesh
    )
    micro = stage.num_micro_batches
    step = make_sft_step(model, tx, mesh, num_micro_batches=micro)
    state = make_train_state(model, tx, mesh, key=key(0, "doctor"))
    shape = (num_batch_shards(mesh) * micro, model.max_positions)
    tokens = host_rng(0, "doctor").integers(1, model.vocab_size, shape)
    batch = {
        "tokens": tokens.astype(np.int32),
        "segment_ids": np.ones(shape, np.int32),
        "positions": np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape),
        "loss_mask": np.ones(shape, np.float32),
    }
    _, metrics = step(state, put_batch(batch, mesh))
    total, weight = metrics["loss"]
    return float(total) / float(weight)


def run_tiny_export(dtype: str) -> str:
    """Exports a tiny model, loads and compares it; what was verified.

    Raises:
      UserError: the dtype is unknown, or what is loaded differs.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        texts = [f"print({i} + {7 * i})" for i in range(100)]
        tokenizer = train_sentencepiece(
            texts, folder / "tokenizer.model", vocab_size=380, symbols=()
        )
        model = ModelConfig(**{**MODEL, "vocab_size": tokenizer.vocab_size})
        params = jax.jit(lambda: init_params(model, key(0, "doctor")))()
        report = export_hf(
            folder / "model",
            params,
            config=model,
            tokenizer=folder / "tokenizer.model",
            title="doctor",
            dtype=dtype,
        )
    return str(report["status"])
