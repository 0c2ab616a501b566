"""The sentence for a name that nobody knows."""

import difflib
from collections.abc import Iterable

from simex.core.errors import UserError


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, where: str = ""
) -> UserError:
    """The error for an unknown `name`: the nearest known name, then all of them.

    Example: ``unknown_name("task", "solv", TASKS)`` says "There is no task 'solv'.
    Did you mean 'solve'? Known: explain, solve."
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    question = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) or "none"
    prefix = f"{where}: " if where else ""
    return UserError(f"{prefix}There is no {kind} {name!r}.{question} Known: {listed}.")
