"""One training example as it is stored."""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from simex.core.errors import UserError
from simex.core.files import read_jsonl


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt with the answer that is to be learned.

    Example: ``Example(id="sum/0/explain/1", task="explain", group="sum",
    prompt="[PYTHON]\\nprint(1 + 2)\\n[/PYTHON]\\n", target="[ANSWER]3[/ANSWER]",
    source="curriculum", license="Apache-2.0")``.
    """

    id: str  # unique in its dataset
    task: str  # a name in simex.tasks.TASKS, or a word of your own: a mixture names it
    prompt: str
    target: str
    group: str  # examples of one group never sit on both sides of a split
    source: str  # a name in problems.sources.SOURCES
    license: str = "unknown"  # of the program that it shows

    def __post_init__(self) -> None:
        for name in FIELDS:
            value = getattr(self, name)
            if not isinstance(value, str):
                raise TypeError(
                    f"Example.{name} must be text; got {type(value).__name__} in "
                    f"{self.id!r}."
                )
        for name in ("id", "task", "target", "group"):
            if not getattr(self, name):
                raise ValueError(f"Example.{name} must not be empty; {self!r}.")


FIELDS = tuple(field.name for field in dataclasses.fields(Example))


def parse_record(record: Mapping[str, Any]) -> Example:
    """The example of a stored record, whose texts are UTF-8 bytes or str."""
    return Example(**{name: _text(record[name]) for name in FIELDS})


def load_written(path: pathlib.Path) -> Iterator[Example]:
    """Examples that somebody wrote down, one JSON object a line.

    Of the fields of `Example` id, task, prompt and target must be there; a group is the
    id where none is given, and the source the file's name.

    Raises:
      UserError: there is no such file, or a record lacks a field or has an empty one.
    """
    for record in read_jsonl(path):
        given = {"group": record.get("id"), "source": path.stem, **record}
        try:
            yield Example(**{name: given[name] for name in FIELDS if name in given})
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{path}: each line must have id, task, prompt and target, as texts "
                f"that are not empty; {record.get('id')!r} is not so: {error}"
            ) from None


def render_record(example: Example) -> dict[str, str]:
    """The record of an example; the inverse of `parse_record`."""
    return {name: getattr(example, name) for name in FIELDS}


def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value
