"""What the params are called in a transformers checkpoint, and how they lie there."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from simex.core.errors import UserError
from simex.models.config import ModelConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """One parameter on both sides.

    Example: ``Place(path="layer_0/attention/q/kernel", name=
    "model.layers.0.self_attn.q_proj.weight", shape=(256, 128), is_transposed=True)``.
    """

    path: str  # in simex's nested dict, joined with "/"
    name: str  # of the tensor in model.safetensors
    shape: tuple[int, ...]  # as simex holds it
    is_transposed: bool = False  # torch's linear layers hold [out, in]


_ATTENTION = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}
_FEED_FORWARD = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def places(config: ModelConfig) -> Iterator[Place]:
    """Every parameter of a model of this shape.

    Tied embeddings have no head of their own: the loader takes the embedding for it.
    """
    width = config.d_model
    yield Place(
        path="embedder/embedding",
        name="model.embed_tokens.weight",
        shape=(config.vocab_size, width),
    )
    for layer in range(config.num_layers):
        yield from _layer_places(config, layer)
    yield Place(path="final_norm/scale", name="model.norm.weight", shape=(width,))
    if not config.tie_embeddings:
        yield _kernel("head", "lm_head", width, config.vocab_size)


def to_tensors(
    params: Mapping[str, Any], config: ModelConfig, *, dtype: np.dtype
) -> dict[str, np.ndarray]:
    """The checkpoint's tensors by name.

    Args:
        params: simex's nested dict of arrays (numpy or jax).
        config: the model's shape.
        dtype: of every tensor; ``ml_dtypes.bfloat16`` is a numpy dtype, too.

    Raises UserError that lists what is missing, what is extra and what has another
    shape than `config` says.
    """
    found = dict(_flat(params))
    wanted = {place.path: place for place in places(config)}
    if faults := list(_faults(found, wanted)):
        raise UserError(
            "The params must be those of a model of this config; got: "
            f"{'; '.join(faults)}. Export with the config that the model was trained "
            "with."
        )
    return {
        place.name: _laid_out(found[path], place, dtype)
        for path, place in wanted.items()
    }


def _layer_places(config: ModelConfig, layer: int) -> Iterator[Place]:
    ours, theirs = f"layer_{layer}", f"model.layers.{layer}"
    width, head = config.d_model, config.head_dim
    queries, keys = config.num_query_heads * head, config.num_kv_heads * head
    outs = {"q": queries, "k": keys, "v": keys}
    for mine, other in (
        ("attention_norm", "input_layernorm"),
        ("feed_forward_norm", "post_attention_layernorm"),
    ):
        yield _norm(f"{ours}/{mine}", f"{theirs}.{other}", width)
    for key, other in _ATTENTION.items():
        sizes = (queries, width) if key == "o" else (width, outs[key])
        yield _kernel(f"{ours}/attention/{key}", f"{theirs}.self_attn.{other}", *sizes)
        if config.qkv_bias and key != "o":
            yield Place(
                path=f"{ours}/attention/{key}/bias",
                name=f"{theirs}.self_attn.{other}.bias",
                shape=(outs[key],),
            )
    for norm in ("q_norm", "k_norm") if config.qk_norm else ():
        yield _norm(f"{ours}/attention/{norm}", f"{theirs}.self_attn.{norm}", head)
    for key, other in _FEED_FORWARD.items():
        sizes = (config.d_ff, width) if key == "down" else (width, config.d_ff)
        yield _kernel(f"{ours}/feed_forward/{key}", f"{theirs}.mlp.{other}", *sizes)


def _norm(path: str, name: str, size: int) -> Place:
    return Place(path=f"{path}/scale", name=f"{name}.weight", shape=(size,))


def _kernel(path: str, name: str, num_in: int, num_out: int) -> Place:
    return Place(
        path=f"{path}/kernel",
        name=f"{name}.weight",
        shape=(num_in, num_out),
        is_transposed=True,
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield prefix + key, value


def _faults(found: Mapping[str, Any], wanted: Mapping[str, Place]) -> Iterator[str]:
    for path, place in wanted.items():
        if path not in found:
            yield f"no {path}, which is {place.name} there"
        elif tuple(found[path].shape) != place.shape:
            yield f"{path} of shape {tuple(found[path].shape)}, not {place.shape}"
    for path in found:
        if path not in wanted:
            yield f"{path}, which such a model does not have"


def _laid_out(value: Any, place: Place, dtype: np.dtype) -> np.ndarray:
    array = np.asarray(value)
    # safetensors writes the buffer as it lies in memory and would ignore strides.
    return np.ascontiguousarray(array.T if place.is_transposed else array, dtype=dtype)
