"""The runs of a sweep: every combination of the values, each with a name of its own.

Keys of `--grid` multiply; keys of `--zip` go together, the first values of all, then
the second values. A run is named by the keys that change and by their values alone, so
that the same words find the same folders again.

Example: ``train_rl.learning_rate=1e-6,3e-6`` and ``SEED=0,1`` are four runs, the first
of which is called ``learning_rate=1e-06,SEED=0``.
"""

import dataclasses
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Sequence

from simex.core.bindings import read_values
from simex.core.config import Experiment, load_experiment
from simex.core.errors import UserError

MAX_NAME_CHARS = 120
# What a value may look like to stand in a name as it is. Some file systems do not tell
# capital from small letters: only Python's own words have one, and no text is like them.
_PLAIN_NUMBER = re.compile(r"-?\d[\d.e+-]{0,39}|True|False|None")
_PLAIN_TEXT = re.compile(r"'(?!(?:true|false|none)')([a-z_][a-z0-9_.+-]{0,39})'")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A setting as one run of the sweep has it."""

    key: str  # "nlex/train_sft.num_steps", or the name of a macro
    text: str  # its value in gin's language


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One run of a sweep."""

    name: str  # of its folder too
    changes: tuple[Change, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings that change, sorted: the same for all runs of a sweep."""
        return tuple(sorted(change.key for change in self.changes))

    @property
    def overrides(self) -> list[str]:
        """The changes as words of `--set`."""
        return [f"{change.key}={change.text}" for change in self.changes]


Axis = tuple[tuple[Change, ...], ...]  # what a run takes one member of


def make_points(grid: Sequence[str], zipped: Sequence[str] = ()) -> list[Point]:
    """Every run that the words ask for; the last key changes fastest.

    Args:
      grid: "key=value,value" each; keys multiply.
      zipped: the same; all of these keys go together, as one more factor.

    Raises:
      UserError: a word cannot be read, a key or value comes twice, or zipped keys do
        not have equally many values.
    """
    columns = [_read_column(text, word="--grid") for text in grid]
    together = [_read_column(text, word="--zip") for text in zipped]
    if not columns and not together:
        raise UserError(
            "A sweep needs a key with values, such as "
            "--grid 'train_rl.learning_rate=1e-6,3e-6'."
        )
    keys = [column[0].key for column in [*columns, *together]]
    for key, count in Counter(keys).items():
        if count > 1:
            raise UserError(f"{key} must be given once; it is given {count} times.")
    axes: list[Axis] = [tuple((change,) for change in c) for c in columns]
    if together:
        axes.append(_zip_columns(together))
    names = _short_names(keys)
    combinations = [
        tuple(itertools.chain.from_iterable(members))
        for members in itertools.product(*axes)
    ]
    return [Point(name=_make_name(c, names), changes=c) for c in combinations]


def load_points(
    path: str, points: Sequence[Point], overrides: Sequence[str] = ()
) -> list[Experiment]:
    """The experiment of every run, all checked before anything runs.

    Args:
      path: of the experiment file.
      points: from `make_points`.
      overrides: as of `--set`, for every run.

    Raises:
      UserError: a run's settings are refused, or two runs would be the same.
    """
    swept = {change.key for change in points[0].changes}
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in swept:
            raise UserError(f"{key} must stand in --set or in the sweep, not in both.")
    experiments = [load_experiment(path, [*overrides, *p.overrides]) for p in points]
    seen: dict[tuple[object, ...], Point] = {}
    for point, experiment in zip(points, experiments, strict=True):
        run = tuple((s.name, tuple(s.settings.items())) for s in experiment.stages)
        twin = seen.setdefault(run, point)
        if twin is not point:
            raise UserError(
                f"Each run must differ from the others in a setting of a stage; "
                f"{twin.name} and {point.name} do not. Another line may hide the key: "
                "a scope, or a macro's."
            )
    return experiments


def _read_column(text: str, *, word: str) -> tuple[Change, ...]:
    key, values = read_values(text, word=word)
    texts = [repr(value) for value in values]
    for value, count in Counter(texts).items():
        if count > 1:
            raise UserError(
                f"{word} {text!r} must give each value once; {value} is not."
            )
    return tuple(Change(key=key, text=value) for value in texts)


def _zip_columns(columns: Sequence[tuple[Change, ...]]) -> Axis:
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{column[0].key} {len(column)}" for column in columns)
        raise UserError(
            f"Keys of --zip go together and need equally many values; got {counts}."
        )
    return tuple(zip(*columns, strict=True))


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """``learning_rate`` for ``train_rl.learning_rate``, where no other key ends so."""
    lasts = {key: re.split(r"[./]", key)[-1] for key in keys}
    counts = Counter(lasts.values())
    return {
        key: last if counts[last] == 1 else key.replace("/", ".")
        for key, last in lasts.items()
    }


def _make_name(changes: Sequence[Change], names: dict[str, str]) -> str:
    name = ",".join(f"{names[c.key]}={_value_name(c.text)}" for c in changes)
    if len(name) > MAX_NAME_CHARS:
        mark = f"~{_digest(name)}"
        name = name[: MAX_NAME_CHARS - len(mark)] + mark
    return name


def _value_name(text: str) -> str:
    """`text` where it may stand in a file's name; else what may, and a mark of it all."""
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    plain = _PLAIN_TEXT.fullmatch(text)
    if plain:
        return plain[1]
    readable = re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).strip("-.")[:40]
    return f"{readable}~{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
