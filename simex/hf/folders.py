"""Folders that appear under their name only when they are whole."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator

from simex.core.errors import UserError
from simex.core.files import disk_full_error


@contextlib.contextmanager
def replacing_folder(out: pathlib.Path, *, marker: str) -> Iterator[pathlib.Path]:
    """A new folder that becomes `out` if the block ends well, and else disappears.

    Raises UserError if `out` is there without the file `marker`: then it is not an
    earlier one of the same kind. Raises UserError for a full disk.
    """
    if out.exists() and not (out / marker).is_file():
        raise UserError(
            f"Only an earlier folder with {marker} is replaced; {out} is something else. "
            "Move it away, or name another folder."
        )
    folder, old = out.with_name(f".{out.name}.tmp"), out.with_name(f".{out.name}.old")
    _remove(folder, old)  # of a run that was stopped
    try:
        folder.mkdir(parents=True)
        yield folder
        if out.exists():  # a folder cannot be renamed onto a full one
            out.rename(old)
        folder.rename(out)
    except OSError as error:
        raise disk_full_error(error, out) or error
    finally:
        _remove(folder, old)


def _remove(*folders: pathlib.Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
