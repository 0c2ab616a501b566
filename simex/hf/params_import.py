"""Tensors of a checkpoint as params, each device reading its own part from the disk."""

import collections
from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.hf.names import Place, param_shapes, places
from simex.hf.tensor_files import TensorFile
from simex.models.config import ModelConfig
from simex.models.transformer import Params, init_params
from simex.sharding.mesh import make_shardings

# Written by older versions of transformers; it follows from config.json.
_IGNORED_SUFFIX = "rotary_emb.inv_freq"


def check_tensors(tensors: Mapping[str, TensorFile], config: ModelConfig) -> None:
    """Raises UserError that lists missing, extra and misshapen tensors."""
    wanted = {place.name: place for place in places(config)}
    faults = []
    for name, place in wanted.items():
        if name not in tensors:
            faults.append(f"no {name}")
        elif tensors[name].shape != place.stored_shape:
            got = tensors[name].shape
            faults.append(f"{name} of shape {got}, not {place.stored_shape}")
    extra = set(tensors) - set(wanted)
    if config.tie_embeddings:
        extra.discard("lm_head.weight")  # a copy of the embedding; compared below
    extra = {name for name in extra if not name.endswith(_IGNORED_SUFFIX)}
    faults += [f"{name}, which such a model does not have" for name in sorted(extra)]
    if config.tie_embeddings and "lm_head.weight" in tensors:
        faults += _untied_head(tensors)
    if faults:
        shown, rest = faults[:8], len(faults) - 8
        more = f"; and {rest} more" if rest > 0 else ""
        raise UserError(
            "The tensors must be those of the model in config.json; there is "
            f"{'; '.join(shown)}{more}."
        )


def load_params_sharded(
    tensors: Mapping[str, TensorFile], config: ModelConfig, mesh: Mesh
) -> Params:
    """Params in the types that the files have, placed by the rules of training.

    The largest come first: each needs its own size once more while it is copied.
    """
    sources: dict[str, list[Place]] = collections.defaultdict(list)
    for place in places(config):
        sources[place.path].append(place)
    boxed = jax.eval_shape(lambda: init_params(config, jax.random.key(0), boxed=True))
    shardings = make_shardings(boxed, mesh)
    shapes = param_shapes(config)
    params: Params = {}
    for path in sorted(shapes, key=lambda path: -np.prod(shapes[path])):
        *parents, last = path.split("/")
        node, sharding = params, shardings
        for key in parents:
            node, sharding = node.setdefault(key, {}), sharding[key]
        node[last] = _load_param(tensors, sources[path], shapes[path], sharding[last])
    return params


def _load_param(
    tensors: Mapping[str, TensorFile],
    sources: list[Place],
    shape: tuple[int, ...],
    sharding: jax.sharding.Sharding,
) -> jax.Array:
    def read(index: tuple[slice, ...] | None) -> np.ndarray:
        index = index or ()
        if sources[0].expert is None:
            return _read(tensors, sources[0], index)
        experts = range(shape[0])[index[0]] if index else range(shape[0])
        return np.stack([_read(tensors, sources[e], index[1:]) for e in experts])

    dtype = tensors[sources[0].name].dtype
    array = jax.make_array_from_callback(shape, sharding, read, dtype=dtype)
    return array.block_until_ready()


def _read(
    tensors: Mapping[str, TensorFile], place: Place, index: tuple[slice, ...]
) -> np.ndarray:
    if not place.is_transposed:
        return tensors[place.name].read(index)
    return np.ascontiguousarray(tensors[place.name].read(index[::-1]).T)


def _untied_head(tensors: Mapping[str, TensorFile]) -> list[str]:
    head = tensors["lm_head.weight"]
    embedding = tensors.get("model.embed_tokens.weight")
    if embedding is None or head.shape != embedding.shape:
        return ["lm_head.weight of another shape than the embedding it is tied to"]
    for start in range(0, head.shape[0], 4096):
        part = (slice(start, start + 4096),)
        if not np.array_equal(head.read(part), embedding.read(part)):
            told = "lm_head.weight other than model.embed_tokens.weight, to which "
            return [told + "tie_word_embeddings ties it"]
    return []
