"""The items of a checkpoint in the form that orbax stores, and back.

An item is a TrainState, stored as its params and the rest, so that the params can be read
alone; a pytree of arrays and keys; an iterator with a position (grain); or JSON data.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax

from simex.train.state import TrainState


def to_stored(items: Mapping[str, Any]) -> dict[str, Any]:
    """What is written of `items`, by the names under which it lies on disk."""
    stored: dict[str, Any] = {}
    for name, item in items.items():
        if isinstance(item, TrainState):
            stored |= _parts_of(name, item)
        elif is_iterator(item) or has_arrays(item):
            stored[name] = item
        else:
            stored[name] = {"json": json.dumps(item)}
    return stored


def to_targets(targets: Mapping[str, Any]) -> dict[str, Any]:
    """The abstract forms of items, None for JSON data, by those names."""
    stored: dict[str, Any] = {}
    for name, target in targets.items():
        is_state = isinstance(target, TrainState)
        stored |= _parts_of(name, target) if is_state else {name: target}
    return stored


def from_stored(
    stored: Mapping[str, Any], targets: Mapping[str, Any]
) -> dict[str, Any]:
    """The items for which `targets` asked, of what was read for `to_targets` of them."""
    items: dict[str, Any] = {}
    for name, target in targets.items():
        if isinstance(target, TrainState):
            params = stored[f"{name}.params"]
            items[name] = TrainState(params=params, **stored[f"{name}.rest"])
        elif target is None:
            items[name] = json.loads(stored[name]["json"])
        else:
            items[name] = stored[name]
    return items


def is_iterator(item: Any) -> bool:
    """Whether it has a position that orbax can save."""
    return hasattr(item, "save") and hasattr(item, "load")


def has_arrays(item: Any) -> bool:
    """Whether any leaf is an array, or the abstract form of one."""
    kinds = (jax.Array, jax.ShapeDtypeStruct)
    return any(isinstance(leaf, kinds) for leaf in jax.tree.leaves(item))


def _parts_of(name: str, state: TrainState) -> dict[str, Any]:
    rest = {"opt_state": state.opt_state, "step": state.step}
    return {f"{name}.params": state.params, f"{name}.rest": rest}
