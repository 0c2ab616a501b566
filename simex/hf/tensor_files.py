"""Reads tensors of a safetensors checkpoint, whole or in parts, one at a time.

The format: 8 bytes little-endian length, a JSON header of so many bytes with type, shape
and byte range of every tensor, then the bytes. A tensor is mapped while it is copied
and no longer, so that reading a model never needs its size again.
"""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from simex.core.errors import UserError

_DTYPES = {
    "F32": np.dtype(np.float32),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F16": np.dtype(np.float16),
}
_MAX_HEADER_BYTES = 100_000_000
INDEX = "model.safetensors.index.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorFile:
    """Where one tensor lies."""

    name: str
    path: pathlib.Path
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int  # bytes from the start of the file

    @property
    def num_bytes(self) -> int:
        """Of the whole tensor."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, index: tuple[slice, ...] = ()) -> np.ndarray:
        """A copy of the tensor, or of the part that `index` names."""
        mapped = np.memmap(
            self.path, self.dtype, mode="r", offset=self.offset, shape=self.shape
        )
        return np.array(mapped[index])


def find_tensors(folder: pathlib.Path) -> dict[str, TensorFile]:
    """Every tensor of model.safetensors or of the shards that the index names.

    Raises UserError for files that are missing, truncated or no safetensors, types that
    are no floats, and an index that the shards do not bear out.
    """
    if (folder / INDEX).is_file():
        return _find_in_shards(folder)
    path = folder / "model.safetensors"
    if not path.is_file():
        raise UserError(
            f"{folder} must hold model.safetensors or {INDEX}; it has neither. Convert "
            "other formats with transformers' save_pretrained first."
        )
    return _read_header(path)


def _find_in_shards(folder: pathlib.Path) -> dict[str, TensorFile]:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        weight_map: Mapping[str, str] = index["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / INDEX} must hold a weight_map ({error!r})."
        ) from None
    found: dict[str, TensorFile] = {}
    for file in sorted(set(weight_map.values())):
        path = folder / file
        if path.parent != folder or not path.is_file():
            raise UserError(
                f"The index of {folder} names the shard {file}; there is none."
            )
        found |= _read_header(path)
    missing = sorted(set(weight_map) - set(found))
    if missing:
        raise UserError(
            f"The shards of {folder} must hold what the index names; they lack "
            f"{len(missing)} tensors, such as {', '.join(missing[:3])}."
        )
    return found


def _read_header(path: pathlib.Path) -> dict[str, TensorFile]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
            raise UserError(
                f"{path} must be a whole safetensors file; its {size} bytes do not hold "
                f"a header of {length}. Download it again."
            )
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise UserError(f"{path} must be a safetensors file; it is not.") from None
    header.pop("__metadata__", None)
    tensors = {
        name: _make_tensor(path, name, entry, 8 + length)
        for name, entry in header.items()
    }
    end = max((t.offset + t.num_bytes for t in tensors.values()), default=0)
    if end > size:
        raise UserError(
            f"{path} is truncated: its tensors end at byte {end}, the file at {size}. "
            "Download it again."
        )
    return tensors


def _make_tensor(
    path: pathlib.Path, name: str, entry: Mapping[str, Any], start: int
) -> TensorFile:
    if entry["dtype"] not in _DTYPES:
        raise UserError(
            f"Tensors must be of one of the types {', '.join(_DTYPES)}; {name} in "
            f"{path} is {entry['dtype']}."
        )
    tensor = TensorFile(
        name=name,
        path=path,
        dtype=_DTYPES[entry["dtype"]],
        shape=tuple(entry["shape"]),
        offset=start + entry["data_offsets"][0],
    )
    begin, end = entry["data_offsets"]
    if end - begin != tensor.num_bytes:
        raise UserError(
            f"{name} in {path} must take {tensor.num_bytes} bytes as {entry['dtype']} "
            f"of shape {tensor.shape}; it takes {end - begin}."
        )
    return tensor
