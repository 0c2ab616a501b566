"""Runs of programs that stand in files, dealt into shards before anything runs.

A shard of a file's runs is then a small file of its own: whoever makes it, on whatever
machine, reads nothing else.
"""

import dataclasses
import hashlib
import itertools
import json
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically, write_jsonl
from simex.data.runs import Run
from simex.problems.problem import Visibility
from simex.problems.records import from_record

_STAGE = "import_problems"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedProgram:
    """One program with the runs that may be made of it, the shortest stdin first."""

    split: str
    runs: tuple[Run, ...]
    public_ids: frozenset[str] = frozenset()  # of runs on tests that a problem shows


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileRuns:
    """Runs from a JSON-lines file: id, program and stdin; group, split, license.

    A record without the first three is an error that names it; nothing is passed over.
    That a program prints the same each time is not looked at here: `verify` of
    `explain_programs` finds those that do not, but for those that print in the order
    of a set, which only `import_problems` and `harvest_functions` drop.
    """

    path: str
    split: str = "train"  # of records that name none

    def programs(self, workdir: pathlib.Path) -> Iterator[ListedProgram]:
        """A program a line."""
        del workdir
        for record in read_jsonl(pathlib.Path(self.path)):
            missing = {"id", "program", "stdin"} - set(record)
            if missing:
                raise UserError(
                    f"{self.path}: each record must have id, program and stdin; "
                    f"{record.get('id', '?')!r} lacks {', '.join(sorted(missing))}."
                )
            try:
                (record["program"] + record["stdin"]).encode()
            except (TypeError, UnicodeEncodeError) as error:
                raise UserError(
                    f"{self.path}: program and stdin must be texts that UTF-8 can hold; "
                    f"those of {record['id']!r} are not: {error}."
                ) from None
            run = Run(
                id=str(record["id"]),
                program=str(record["id"]),
                group=str(record.get("group") or record.get("problem") or record["id"]),
                source=record["program"],
                stdin=record["stdin"],
                origin=pathlib.Path(self.path).stem,
                license=str(record.get("license", "unknown")),
            )
            yield ListedProgram(split=record.get("split", self.split), runs=(run,))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportedRuns:
    """What `import_problems` left in this run: functions, programs, solutions.

    Right and wrong programs alike, each on its own tests. Short inputs come first, as
    they make short traces: of a long program the shortest run can be told. Where not
    all tests of a problem are run, its public ones are, and then the shortest: a fix is
    taught on what a program prints for every public test.
    """

    folder: str = ""  # where import_problems wrote; "": in the run's own folder
    inputs_per_program: int = 4
    programs_per_role: int | None = None
    """Of each problem the first so many right programs, and the first so many wrong
    ones: the paper's are balanced, published archives seldom are. None: all."""

    def programs(self, workdir: pathlib.Path) -> Iterator[ListedProgram]:
        """Functions, programs without a statement, solutions of problems."""
        folder = pathlib.Path(self.folder) if self.folder else workdir / _STAGE
        found = itertools.chain(
            _read_runs(folder / "functions.jsonl"),
            _read_runs(folder / "runs.jsonl"),
            *(
                _read_solutions(folder / f"{split}.jsonl", self.programs_per_role)
                for split in _SPLITS
            ),
        )
        for program in found:
            shortest = sorted(program.runs, key=lambda run: len(run.stdin))
            wanted = sorted(shortest, key=lambda run: run.id not in program.public_ids)
            ids = {run.id for run in wanted[: self.inputs_per_program]}
            runs = tuple(run for run in shortest if run.id in ids)
            yield dataclasses.replace(program, runs=runs)


_SPLITS = ("train", "validation", "test")


def _read_runs(path: pathlib.Path) -> Iterator[ListedProgram]:
    """One program for the lines that follow each other with one group and source."""

    def program_of(record: dict[str, Any]) -> tuple[str, str, str]:
        return record["split"], record["group"], _text_of(record)

    for (split, _, _), records in itertools.groupby(read_jsonl(path), program_of):
        lines = list(records)
        runs = (
            Run(
                id=line["id"],
                program=lines[0]["id"],
                group=line["group"],
                source=_text_of(line),
                stdin=line.get("stdin", ""),
                origin=line["origin"],
                license=line["license"],
                expected=line.get("expected", line.get("stdout")),
                checker=line.get("checker", "exact"),
                float_tol=line.get("float_tol"),
                call=line.get("call", ""),
            )
            for line in lines
        )
        yield ListedProgram(split=split, runs=tuple(runs))


def _text_of(record: dict[str, Any]) -> str:
    # Calls keep the name that `harvest_functions` gives to their program.
    return str(record["program"] if "program" in record else record["source"])


def _read_solutions(
    path: pathlib.Path, per_role: int | None
) -> Iterator[ListedProgram]:
    """The programs of problems with tests on stdin, right ones and wrong ones."""
    for record in read_jsonl(path):
        item = from_record(record)
        problem = item.problem
        programs = [("right", text) for text in item.right_programs[:per_role]]
        programs += [("wrong", text) for text in item.wrong_programs[:per_role]]
        for role, text in programs:
            digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
            name = f"{problem.id}/{role}/{digest}"
            runs = (
                Run(
                    id=f"{name}/{number}",
                    program=name,
                    group=problem.composition,
                    source=text,
                    stdin=test.stdin,
                    origin=problem.source,
                    license=item.program_licenses.get(text, problem.license),
                    problem=problem.id,
                )
                for number, test in enumerate(problem.tests)
            )
            public = (
                f"{name}/{number}"
                for number, test in enumerate(problem.tests)
                if test.visibility is Visibility.PUBLIC
            )
            if problem.tests:
                yield ListedProgram(
                    split=problem.split, runs=tuple(runs), public_ids=frozenset(public)
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DealtRuns:
    """The runs that `deal` wrote, by shard."""

    folder: str

    def shard(self, split: str, index: int, *, size: int, seed: int) -> Iterator[Run]:
        """As `ShardedRuns`; sizes were settled when the runs were dealt."""
        del size, seed
        path = _shard_path(pathlib.Path(self.folder), split, index)
        return (Run(**record) for record in read_jsonl(path))


def deal(
    programs: Iterable[ListedProgram], folder: pathlib.Path, *, shard_size: int
) -> dict[str, int]:
    """Writes the runs of each shard to a file; how many shards each split has.

    A shard has whole programs, and more than `shard_size` runs only if one program
    has. What was dealt before is left as it is.

    Raises:
      UserError: a group on both sides of a split, an id that comes twice, or no run.
    """
    table = folder / "num_shards.json"
    if table.exists():
        return dict(json.loads(table.read_text()))
    open_: dict[str, list[Run]] = {}
    num_shards: dict[str, int] = {}
    checked = _Checked()
    for program in programs:
        checked.add(program)
        shard = open_.setdefault(program.split, [])
        if shard and len(shard) + len(program.runs) > shard_size:
            _write_shard(folder, program.split, shard, num_shards)
        shard += program.runs
    for split, shard in sorted(open_.items()):
        _write_shard(folder, split, shard, num_shards)
    if not num_shards:
        raise UserError("There must be at least one program to run; there is none.")
    # Last: its presence says that every file is there.
    with write_atomically(table) as file:
        json.dump(num_shards, file)
    return num_shards


class _Checked:
    """Ids and groups that came so far."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._split_by_group: dict[str, str] = {}

    def add(self, program: ListedProgram) -> None:
        split = program.split
        if not re.fullmatch(r"\w[\w-]*", split) or split == "all":
            raise UserError(
                "A split must be a name of letters, digits, _ and -, and not all, which "
                f"TFDS keeps for itself; got {split!r}."
            )
        for run in program.runs:
            if run.id in self._ids:
                raise UserError(f"Ids of runs must be unique; {run.id!r} comes twice.")
            self._ids.add(run.id)
            split = self._split_by_group.setdefault(run.group, program.split)
            if split != program.split:
                raise UserError(
                    f"A group must lie in one split; {run.group!r} has runs in "
                    f"{split!r} and {program.split!r}. Split by group."
                )


def _write_shard(
    folder: pathlib.Path, split: str, runs: list[Run], num_shards: dict[str, int]
) -> None:
    index = num_shards.get(split, 0)
    write_jsonl(_shard_path(folder, split, index), map(dataclasses.asdict, runs))
    num_shards[split] = index + 1
    runs.clear()


def _shard_path(folder: pathlib.Path, split: str, index: int) -> pathlib.Path:
    return folder / f"{split}-{index:05d}.jsonl"
