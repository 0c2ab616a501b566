"""The decoder of the benchmarks, with the same weights in simex, torch and Tunix.

Six layers like Qwen3's, 13.8M parameters, random. Imports of a peer stay inside the
function that needs it: each contestant runs in a process of its own.
"""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from simex.hf.config_export import model_json
from simex.hf.families import family_of
from simex.hf.names import to_tensors
from simex.hf.shards import save_tensors
from simex.models.config import ModelConfig
from simex.models.transformer import init_params

CONFIG = ModelConfig(
    vocab_size=2048,
    d_model=384,
    num_layers=6,
    num_query_heads=6,
    num_kv_heads=2,
    head_dim=64,
    d_ff=1536,
    max_positions=512,
)
PAD_ID, END_ID = 0, 1


def make_params(config: ModelConfig = CONFIG) -> dict[str, Any]:
    """Random params, always the same."""
    return init_params(config, jax.random.key(0))


def save_folder(folder: pathlib.Path, config: ModelConfig = CONFIG) -> None:
    """Writes config.json and model.safetensors, as transformers and Tunix read them."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = to_tensors(make_params(config), config, dtype=np.dtype(np.float32))
    save_tensors(folder, tensors)
    described = model_json(
        config, family_of(config), dtype="float32", end_id=END_ID, pad_id=PAD_ID
    )
    (folder / "config.json").write_text(json.dumps(described))


def load_torch(folder: pathlib.Path, *, num_threads: int) -> Any:
    """The model in transformers, on the CPU."""
    import torch
    import transformers

    torch.set_num_threads(num_threads)
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


def load_tunix(folder: pathlib.Path, config: ModelConfig = CONFIG) -> Any:
    """The model in Tunix, float32."""
    import jax.numpy as jnp
    from tunix.models.qwen3 import model, params

    shape = model.ModelConfig(
        num_layers=config.num_layers,
        vocab_size=config.vocab_size,
        embed_dim=config.d_model,
        hidden_dim=config.d_ff,
        num_heads=config.num_query_heads,
        num_kv_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        rope_theta=int(config.rope_theta),
        norm_eps=config.norm_eps,
        use_tied_embedding=config.tie_embeddings,
        dtype=jnp.float32,
        param_dtype=jnp.float32,
    )
    return params.create_model_from_safe_tensors(str(folder), shape, dtype=jnp.float32)
