"""What a checkpoint on disk holds, looked at before any of it is read.

A read that fails half-way leaves other reads behind that complain later, in other
places. So damage and changed shapes are found first: by the sizes and checksums noted
when the step was written, and by the shapes in its metadata.
"""

import json
import pathlib
import zlib
from typing import Any

import jax

from simex.core.files import write_atomically

SUMS_NAME = "file_sums.json"
_MAX_SUMMED_BYTES = 64 * 2**20  # of a larger file only the size is noted


def note_files(step_dir: pathlib.Path) -> None:
    """Writes the size and CRC-32 of every file of a finished step into it."""
    sums = {
        str(path.relative_to(step_dir)): _sum_of(path)
        for path in sorted(step_dir.rglob("*"))
        if path.is_file() and path.name != SUMS_NAME
    }
    with write_atomically(step_dir / SUMS_NAME) as file:
        json.dump(sums, file)


def check_files(step_dir: pathlib.Path) -> None:
    """Raises ValueError naming the first file that is not as it was written.

    A step without notes (stopped right after it was finished, or written by orbax
    alone) passes: it is then orbax that finds out.
    """
    notes = step_dir / SUMS_NAME
    if not notes.exists():
        return
    for name, noted in json.loads(notes.read_text()).items():
        path = step_dir / name
        if not path.is_file():
            raise ValueError(f"{name} is missing")
        now = _sum_of(path)
        if now != noted:
            raise ValueError(
                f"{name} is damaged: written with (bytes, CRC-32) {noted}, found {now}"
            )


def check_shapes(name: str, stored: Any, target: Any) -> None:
    """Raises ValueError unless `target` has the arrays of `stored`, shape by shape.

    Args:
        name: of the item, for the message.
        stored: orbax's metadata of the item, a tree whose leaves have a shape.
        target: the tree that is to be read; leaves without a shape are not compared.
    """
    found, wanted = _shapes(stored), _shapes(target)
    for path in sorted(found.keys() | wanted.keys()):
        if found.get(path) != wanted.get(path):
            raise ValueError(
                f"{name}/{'/'.join(path)} has shape {found.get(path, 'nothing')} on "
                f"disk, and {wanted.get(path, 'nothing')} is asked for"
            )


def _sum_of(path: pathlib.Path) -> list[int]:
    size = path.stat().st_size
    if size > _MAX_SUMMED_BYTES:
        return [size]
    return [size, zlib.crc32(path.read_bytes())]


def _shapes(tree: Any) -> dict[tuple[str, ...], tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=_has_shape)
    return {
        tuple(_key_text(key) for key in path): _stored_shape(leaf)
        for path, leaf in leaves
        if _has_shape(leaf)
    }


def _stored_shape(leaf: Any) -> tuple[int, ...]:
    # A random key lies on disk as its words.
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.eval_shape(jax.random.key_data, leaf)
    return tuple(leaf.shape)


def _has_shape(node: Any) -> bool:
    return hasattr(node, "shape") and hasattr(node, "dtype")


def _key_text(key: Any) -> str:
    # A field of a named tuple, a key of a dict and an index are one word on disk.
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
