"""The files in which tools keep what a model generated, read with all that can be wrong.

* cruxeval: one object, ``{"sample_0": ["<answer>", ...], ...}``
* livecodebench: one list, ``[{"question_id": "...", "code_list": ["<code>", ...]}]``, or
  a list of lists of code in the order of the sorted ids, as texts, into which the
  benchmark's own runner brings its problems (not the order of its file)
* samples (human-eval, evalplus, MBPP): JSON lines, ``{"task_id": "HumanEval/0",
  "completion": "<what follows the prompt>"}`` or ``"solution": "<a whole program>"``
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from simex.core.errors import UserError

MAX_COMPLETION_CHARS = 1 << 20

_FORMS = {
    "cruxeval": 'one JSON object {"sample_0": ["answer", ...], ...}',
    "livecodebench": 'one JSON list [{"question_id": "...", "code_list": [...]}, ...]',
    "samples": 'JSON lines {"task_id": "...", "completion" or "solution": "..."}',
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Completion:
    """One text that a model wrote for one item."""

    text: str
    is_whole_program: bool = True  # False: it follows the item's prompt


Generations = dict[str, tuple[Completion, ...]]


def read_generations(
    form: str,
    path: pathlib.Path,
    item_ids: Sequence[str],
    *,
    wanted_ids: Sequence[str] | None = None,
    is_partial: bool = False,
) -> Generations:
    """What was generated for each wanted item, in the order of `item_ids`.

    Args:
        form: a name in READERS.
        path: the file.
        item_ids: of the benchmark, in its own order.
        wanted_ids: those that are scored, such as those of a window of dates; the file
            may hold others of the benchmark, which are left out. None: all.
        is_partial: allow items without generations, and unequal numbers of them. Ids
            that the benchmark does not have are refused all the same.

    Raises:
        UserError: the file cannot be read as `form`, or its ids or counts are not the
            benchmark's; with file, place and the form that is expected.
    """
    found: dict[str, list[Completion]] = {}
    known, wanted = frozenset(item_ids), frozenset(wanted_ids or item_ids)
    for place, item_id, completion in READERS[form](path, item_ids, wanted):
        if item_id not in known:
            raise UserError(
                f"{place}: the benchmark has no item {item_id!r}; its ids run from "
                f"{item_ids[0]!r} to {item_ids[-1]!r}. Name the benchmark that these "
                "generations are for, or remove what does not belong to it."
            )
        _check_text(place, item_id, completion.text)
        found.setdefault(item_id, []).append(completion)
    if not found:
        raise UserError(f"{path} must hold generations; it holds none.")
    item_ids = [i for i in item_ids if i in wanted]
    if not is_partial:
        _check_counts(path, found, item_ids)
    return {i: tuple(found[i]) for i in item_ids if i in found}


def _check_text(place: str, item_id: str, text: str) -> None:
    if len(text) > MAX_COMPLETION_CHARS:
        raise UserError(
            f"{place}: a generation may have {MAX_COMPLETION_CHARS:,} characters; "
            f"one of {item_id!r} has {len(text):,}. Cut or remove it."
        )
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(
            f"{place}: a generation must be text that UTF-8 can hold; one of "
            f"{item_id!r} has half of a surrogate pair. Write what was generated with "
            "errors='replace'."
        )


def _check_counts(
    path: pathlib.Path,
    found: Mapping[str, Sequence[Completion]],
    item_ids: Sequence[str],
) -> None:
    missing = [i for i in item_ids if i not in found]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(item_ids)} items have no generation, "
            f"first {missing[0]!r}. Generate them, or ask for a partial score with "
            "--partial."
        )
    counts = {i: len(found[i]) for i in item_ids}
    usual = counts[item_ids[0]]
    odd = next((i for i in item_ids if counts[i] != usual), None)
    if odd is not None:
        raise UserError(
            f"{path}: every item must have as many generations as the first "
            f"({item_ids[0]!r}: {usual}); {odd!r} has {counts[odd]}. Generate the rest, "
            "or ask for a partial score with --partial."
        )


_Found = Iterator[tuple[str, str, Completion]]  # place, item id, completion


def _read_cruxeval(
    path: pathlib.Path, item_ids: Sequence[str], wanted: frozenset[str]
) -> _Found:
    del item_ids, wanted
    content, lines = _read_json(path, "cruxeval")
    if not isinstance(content, dict):
        _refuse(path, "cruxeval", f"it holds a {type(content).__name__}")
    for item_id, answers in content.items():
        place = f"{path}:{_line_with(lines, item_id)}"
        for text in _texts(place, answers, "cruxeval"):
            yield place, item_id, Completion(text=text)


def _read_livecodebench(
    path: pathlib.Path, item_ids: Sequence[str], wanted: frozenset[str]
) -> _Found:
    content, lines = _read_json(path, "livecodebench")
    if not isinstance(content, list):
        _refuse(path, "livecodebench", f"it holds a {type(content).__name__}")
    if content and all(isinstance(entry, list) for entry in content):
        if len(content) == len(wanted):
            item_ids = list(wanted)
        elif len(content) != len(item_ids):
            raise UserError(
                f"{path}: a list of lists must have one list an item of the benchmark, "
                f"{len(item_ids)}, or of the {len(wanted)} that are scored; it has "
                f"{len(content)}. Add the ids: {_FORMS['livecodebench']}."
            )
        content = [
            {"question_id": item_id, "code_list": codes}
            for item_id, codes in zip(sorted(item_ids), content, strict=True)
        ]
    for index, entry in enumerate(content):
        place = f"{path}: entry {index}"
        if not isinstance(entry, dict) or not {"question_id", "code_list"} <= set(
            entry
        ):
            _refuse(place, "livecodebench", f"it is {_shown(entry)}")
        item_id = str(entry["question_id"])
        place = f"{path}:{_line_with(lines, item_id)}: entry {index}"
        for text in _texts(place, entry["code_list"], "livecodebench"):
            yield place, item_id, Completion(text=text)


def _read_samples(
    path: pathlib.Path, item_ids: Sequence[str], wanted: frozenset[str]
) -> _Found:
    del item_ids, wanted
    for place, line in _lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            _refuse(place, "samples", f"it is no JSON ({error})")
        if not isinstance(record, dict) or not isinstance(record.get("task_id"), str):
            _refuse(place, "samples", f"it is {_shown(record)}")
        whole, rest = record.get("solution"), record.get("completion")
        if isinstance(whole, str) == isinstance(rest, str):
            _refuse(place, "samples", f"it has {sorted(record)}")
        text = whole if isinstance(whole, str) else rest
        assert isinstance(text, str)
        is_whole = isinstance(whole, str)
        yield (
            place,
            record["task_id"],
            Completion(text=text, is_whole_program=is_whole),
        )


READERS: dict[str, Callable[[pathlib.Path, Sequence[str], frozenset[str]], _Found]] = {
    "cruxeval": _read_cruxeval,
    "livecodebench": _read_livecodebench,
    "samples": _read_samples,
}


def _lines(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    with _open(path) as file:
        for number, raw in enumerate(file, start=1):
            place = f"{path}:{number}"
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError:
                raise UserError(
                    f"{place}: the file must be UTF-8; this line is not. Write it anew."
                ) from None
            if line.strip():
                yield place, line


def _line_with(lines: Sequence[tuple[str, str]], item_id: str) -> int:
    """The number of the first line that holds the id; 1 where it is written oddly."""
    name = json.dumps(item_id)
    places = (int(p.rpartition(":")[2]) for p, line in lines if name in line)
    return next(places, 1)


def _read_json(path: pathlib.Path, form: str) -> tuple[Any, list[tuple[str, str]]]:
    """The content, and the lines with their places."""
    lines = list(_lines(path))
    try:
        return json.loads("".join(line for _, line in lines)), lines
    except (ValueError, RecursionError) as error:
        looks = ""
        if len(lines) > 1 and '"task_id"' in lines[0][1]:
            looks = f" It looks like {_FORMS['samples']}: name that benchmark."
        raise UserError(
            f"{path}: must be {_FORMS[form]}; it is no such JSON: {error}.{looks}"
        ) from None


def _open(path: pathlib.Path) -> Any:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(
            f"{path} must be a file of generations; it cannot be read: "
            f"{error.strerror}. Name the file that a tool wrote."
        ) from None


def _texts(place: str, value: Any, form: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        _refuse(place, form, f"the generations are {_shown(value)}")
    return value


def _refuse(place: object, form: str, came: str) -> NoReturn:
    raise UserError(
        f"{place}: must be as in {_FORMS[form]}; {came}. If these are the generations "
        "of another benchmark, name that one."
    )


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
