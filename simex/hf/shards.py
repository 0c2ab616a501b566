"""Tensors as safetensors files of a bounded size, with the index that loaders follow."""

import json
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
from safetensors.numpy import save_file

MAX_SHARD_BYTES = 5_000_000_000
# Older loaders refuse a file that does not say which framework's layout it holds.
_METADATA = {"format": "pt"}


def save_tensors(
    out: pathlib.Path,
    tensors: Mapping[str, np.ndarray],
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes model.safetensors, or numbered shards and their index, into the folder.

    A tensor is never cut: one larger than `max_shard_bytes` gets a shard of its own.
    """
    shards = list(_shards(tensors, max_shard_bytes))
    if len(shards) == 1:
        save_file(shards[0], out / "model.safetensors", metadata=_METADATA)
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, out / file, metadata=_METADATA)
        weight_map |= dict.fromkeys(shard, file)
    sizes = {
        "total_size": sum(t.nbytes for t in tensors.values()),
        "total_parameters": sum(t.size for t in tensors.values()),
    }
    index = {"metadata": sizes, "weight_map": weight_map}
    text = json.dumps(index, indent=2)
    (out / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _shards(
    tensors: Mapping[str, np.ndarray], max_bytes: int
) -> Iterator[dict[str, np.ndarray]]:
    shard: dict[str, np.ndarray] = {}
    num_bytes = 0
    for name, tensor in tensors.items():
        if shard and num_bytes + tensor.nbytes > max_bytes:
            yield shard
            shard, num_bytes = {}, 0
        shard[name] = tensor
        num_bytes += tensor.nbytes
    yield shard
