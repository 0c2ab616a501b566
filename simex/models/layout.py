"""Params of single layers and of one stack of layers, which `scan_layers` wants."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from simex.models.config import ModelConfig


def stack_layers(config: ModelConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    """`layer_0` ... -> `layers`, every leaf [L, ...]. Stacked params stay as they are."""
    if "layers" in params:
        return dict(params)
    names = [f"layer_{number}" for number in range(config.num_layers)]
    stacked = jax.tree.map(
        lambda *leaves: (
            jnp.stack(leaves) if isinstance(leaves[0], jax.Array) else np.stack(leaves)
        ),
        *(params[name] for name in names),
    )
    others = {name: tree for name, tree in params.items() if name not in names}
    return {**others, "layers": stacked}


def unstack_layers(config: ModelConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    """`layers` -> `layer_0` ...; single layers stay as they are."""
    if "layers" not in params:
        return dict(params)
    others = {name: tree for name, tree in params.items() if name != "layers"}

    def one(layer: int) -> Any:
        return jax.tree.map(lambda leaf: leaf[layer], params["layers"])

    return others | {f"layer_{layer}": one(layer) for layer in range(config.num_layers)}
