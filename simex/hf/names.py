"""What the params are called in a transformers checkpoint, and how they lie there."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from simex.core.errors import UserError
from simex.models.config import ExpertsConfig, ModelConfig
from simex.models.layout import unstack_layers


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
    expert: int | None = None  # the tensor is this matrix of the parameter's stack

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """As the tensor is stored."""
        return self.shape[::-1] if self.is_transposed else self.shape


EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"  # a row an id
_ATTENTION = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}
_FEED_FORWARD = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


def places(config: ModelConfig) -> Iterator[Place]:
    """Every parameter of a model of this shape.

    Tied embeddings have no head of their own: the loader takes the embedding for it.
    """
    width = config.d_model
    yield Place(
        path="embedder/embedding",
        name=EMBEDDING,
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
    found = dict(flat(unstack_layers(config, params)))
    wanted = list(places(config))
    if faults := list(_faults(found, param_shapes(config))):
        raise UserError(
            "The params must be those of a model of this config; got: "
            f"{'; '.join(faults)}. Export with the config that the model was trained "
            "with."
        )
    return {place.name: _laid_out(found[place.path], place, dtype) for place in wanted}


def param_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter by its path, layers one by one."""
    num_experts = config.experts.num_experts if config.experts else 0
    return {
        place.path: place.shape if place.expert is None else (num_experts, *place.shape)
        for place in places(config)
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
        if config.o_bias if key == "o" else config.qkv_bias:
            yield _bias(f"{ours}/attention/{key}", f"{theirs}.self_attn.{other}", sizes)
    for norm in ("q_norm", "k_norm") if config.qk_norm else ():
        yield _norm(f"{ours}/attention/{norm}", f"{theirs}.self_attn.{norm}", head)
    if experts := config.experts_of(layer):
        yield from _expert_places(ours, theirs, width, experts)
        return
    for key, other in _FEED_FORWARD.items():
        sizes = (config.d_ff, width) if key == "down" else (width, config.d_ff)
        yield _kernel(f"{ours}/feed_forward/{key}", f"{theirs}.mlp.{other}", *sizes)
        if config.mlp_bias:
            yield _bias(f"{ours}/feed_forward/{key}", f"{theirs}.mlp.{other}", sizes)


def _expert_places(
    ours: str, theirs: str, width: int, experts: ExpertsConfig
) -> Iterator[Place]:
    yield Place(
        path=f"{ours}/feed_forward/router",
        name=f"{theirs}.mlp.gate.weight",
        shape=(width, experts.num_experts),
        is_transposed=True,
    )
    for number in range(experts.num_experts):
        for key, other in _FEED_FORWARD.items():
            d_ff = experts.d_ff
            yield Place(
                path=f"{ours}/feed_forward/{key}/kernel",
                name=f"{theirs}.mlp.experts.{number}.{other}.weight",
                shape=(d_ff, width) if key == "down" else (width, d_ff),
                is_transposed=True,
                expert=number,
            )


def _bias(path: str, name: str, sizes: tuple[int, ...]) -> Place:
    return Place(path=f"{path}/bias", name=f"{name}.bias", shape=sizes[1:])


def _norm(path: str, name: str, size: int) -> Place:
    return Place(path=f"{path}/scale", name=f"{name}.weight", shape=(size,))


def _kernel(path: str, name: str, num_in: int, num_out: int) -> Place:
    return Place(
        path=f"{path}/kernel",
        name=f"{name}.weight",
        shape=(num_in, num_out),
        is_transposed=True,
    )


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, leaf) of a nested dict, keys joined with "/"."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}/")
        else:
            yield prefix + key, value


def _faults(
    found: Mapping[str, Any], wanted: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    for path, shape in wanted.items():
        if path not in found:
            yield f"no {path}"
        elif tuple(found[path].shape) != shape:
            yield f"{path} of shape {tuple(found[path].shape)}, not {shape}"
    for path in found:
        if path not in wanted:
            yield f"{path}, which such a model does not have"


def _laid_out(value: Any, place: Place, dtype: np.dtype) -> np.ndarray:
    array = np.asarray(value if place.expert is None else value[place.expert])
    # safetensors writes the buffer as it lies in memory and would ignore strides.
    return np.ascontiguousarray(array.T if place.is_transposed else array, dtype=dtype)
