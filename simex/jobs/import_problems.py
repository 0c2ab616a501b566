"""Job: problems and programs of other people's files, filtered and run, as records."""

import collections
import contextlib
import dataclasses
import itertools
import json
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically
from simex.core.progress import progress
from simex.jobs.imported_records import make_report, write_kept
from simex.jobs.own_tests import check_tests, run_own_tests
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.problems.filters.behaviour import Fate, TestRun, fate_of, why_failing
from simex.problems.filters.contamination import ContaminationIndex
from simex.problems.filters.duplicates import ExactDuplicates, NearDuplicates
from simex.problems.filters.report import DropReport
from simex.problems.filters.sift import FilterSettings, Sifted, sift
from simex.problems.program import Claim, Program, SourceItem
from simex.problems.records import from_record, item_of, to_record, with_programs
from simex.problems.rows import BrokenRow
from simex.problems.sources.table import ReadItem, get_source, read_items
from simex.sandbox.pool import SandboxPool

DEFAULT_FILTERS = FilterSettings()
DEFAULT_SANDBOX = SandboxConfig()
Files = Sequence[Sequence[str]]  # (source, path) pairs


@gin.configurable
def import_problems(
    workdir: pathlib.Path,
    *,
    inputs: Files,
    evaluation: Files = (),
    filters: FilterSettings = DEFAULT_FILTERS,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.05,
    seed: int = 0,
    sandbox: SandboxConfig = DEFAULT_SANDBOX,
) -> None:
    """Writes import_problems/{train,validation,test}.jsonl, functions, runs, report.

    * {split}.jsonl: problems with a statement, as `make_problems` writes them; those of
      a source for evaluation are all in test.jsonl, with all their tests and whatever
      became of their programs, but for what no comparison can judge: without a test, or
      with many right answers;
    * functions.jsonl: calls of functions, as `harvest_functions` writes them;
    * runs.jsonl: programs on one stdin without a statement, with what they print;
    * report.json: what was read, kept and dropped, by reason, with examples.

    On the way read.jsonl holds a line for each record of the inputs and checked.jsonl
    one for each that was run; both are continued by a second call. sandbox.json names the
    jail and the Python, which is one for all of them.

    Args:
      workdir: of the run.
      inputs: (source, path) pairs; a source is a name in problems.sources.table.
      evaluation: the same for what must not come back in training data.
      filters: what is taken.
      validation_fraction: share of the compositions that a source gives no split.
      test_fraction: likewise.
      seed: of the split.
      sandbox: where programs run.

    Raises:
      UserError: a path or source does not exist, a fraction is impossible, or nothing
        was left.
    """
    _check(inputs, evaluation, validation_fraction + test_fraction)
    folder = workdir / "import_problems"
    if (folder / "report.json").exists():
        return
    started = time.monotonic()
    read, checked = folder / "read.jsonl", folder / "checked.jsonl"
    if not read.exists():
        index = ContaminationIndex(_evaluation_items(evaluation), filters.ngrams)
        continue_jsonl(
            read, lambda start: _read_all(inputs, filters, index, start=start)
        )
    unique, duplicates = _drop_duplicates(read, inputs, filters)
    with contextlib.ExitStack() as stack:
        pools = (
            stack.enter_context(sandbox.open_pool()),
            stack.enter_context(sandbox.open_pool(other_hash_seed=True)),
        )
        note_sandbox(folder, pools[0])
        continue_jsonl(checked, lambda start: _check_all(pools, read, unique[start:]))
    write_kept(
        folder,
        validation_fraction=validation_fraction,
        test_fraction=test_fraction,
        seed=seed,
    )
    report = make_report(folder, duplicates)
    report["seconds"] = round(time.monotonic() - started, 1)  # of the last attempt
    # Last: its presence says that the job is done.
    with write_atomically(folder / "report.json") as file:
        json.dump(report, file, indent=1)


def _check(inputs: Files, evaluation: Files, fraction: float) -> None:
    if not inputs or not 0 <= fraction < 1:
        raise UserError(
            "import_problems needs at least one (source, path) under inputs and "
            "fractions that leave something for training; got "
            f"{len(inputs)} and {fraction}. Change the setting."
        )
    for name, path in itertools.chain(inputs, evaluation):
        get_source(name)
        if not pathlib.Path(path).exists():
            raise UserError(
                f"{path} must exist, as a file or folder of {name!r}; it does not. "
                "Change import_problems.inputs or evaluation."
            )


def _evaluation_items(files: Files) -> Iterator[SourceItem]:
    """Raises UserError at a broken record: a hole there would let its twin through."""
    for name, path in files:
        for read in read_items(name, pathlib.Path(path)):
            if isinstance(read, BrokenRow):
                raise UserError(
                    f"{read.place}: a record of an evaluation set must be whole; it "
                    f"is not: {read.reason}. Mend the file."
                )
            yield read.item


def _read_all(
    inputs: Files, filters: FilterSettings, index: ContaminationIndex, *, start: int
) -> Iterator[dict]:
    reads = (
        (name, read)
        for name, path in inputs
        for read in read_items(name, pathlib.Path(path))
    )
    left = itertools.islice(reads, start, None)
    for name, read in progress(left, label="problems/read", unit="record"):
        yield _read_record(name, read, filters, index)


def _read_record(
    name: str,
    read: ReadItem | BrokenRow,
    filters: FilterSettings,
    index: ContaminationIndex,
) -> dict:
    line = {"place": read.place, "source": name}
    if isinstance(read, BrokenRow):
        return {**line, "dropped": "broken record", "detail": read.reason}
    problem = read.item.problem
    try:
        check_tests(problem)
    except (UserError, ValueError) as error:
        return {**line, "dropped": "broken record", "detail": str(error)}
    is_evaluation = get_source(name).is_evaluation
    if is_evaluation:
        filters = filters.for_evaluation()
    is_held_out = is_evaluation or read.item.problem.split != "train"
    sifted = sift(read.item, filters, None if is_held_out else index)
    return {**line, **_sifted_record(sifted)}


def _sifted_record(sifted: Sifted) -> dict:
    record: dict = {}
    if sifted.programs_dropped:
        record["programs_dropped"] = [list(pair) for pair in sifted.programs_dropped]
    if sifted.num_tests_cut:
        record["num_tests_cut"] = sifted.num_tests_cut
    if sifted.item is None:
        return record | {"dropped": sifted.reason, "detail": sifted.detail}
    return record | {"item": to_record(with_programs(sifted.item))}


def _drop_duplicates(
    read: pathlib.Path, inputs: Files, filters: FilterSettings
) -> tuple[list[int], DropReport]:
    """The lines of `read` that are to be run, and what was found to be there before.

    Evaluation sets come first, wherever they stand: they stay whole, and what repeats
    them elsewhere is the duplicate.
    """
    exact, near = ExactDuplicates(), NearDuplicates(filters.near_duplicate)
    unique: list[int] = []
    report = DropReport()
    kinds = {get_source(name).is_evaluation for name, _ in inputs}
    for is_evaluation in sorted(kinds, reverse=True):
        for number, line in enumerate(read_jsonl(read)):
            is_next = get_source(line["source"]).is_evaluation is is_evaluation
            if "item" not in line or not is_next:
                continue
            item = item_of(from_record(line["item"]))
            reasons = {"duplicate": exact.why_duplicate(item)}
            if reasons["duplicate"] is None:
                found = near.why_duplicate(item, stays=is_evaluation)
                reasons = {"near duplicate": found}
            reason, detail = next(iter(reasons.items()))
            if detail is None or is_evaluation:
                unique.append(number)
            else:
                report.add(reason, line["place"], f"{item.problem.id} {detail}")
    return sorted(unique), report


def _load(read: pathlib.Path, numbers: Sequence[int]) -> Iterator[dict]:
    wanted = set(numbers)
    for number, line in enumerate(read_jsonl(read)):
        if number in wanted:
            yield line


def _check_all(
    pools: tuple[SandboxPool, SandboxPool], read: pathlib.Path, numbers: Sequence[int]
) -> Iterator[dict]:
    for_items, for_lines = itertools.tee(_load(read, numbers))
    items = (item_of(from_record(line["item"])) for line in for_items)
    results = run_own_tests(pools, items)
    rows = zip(for_lines, results, strict=True)
    total = len(numbers)
    for line, programs in progress(rows, total, label="problems/run", unit="problem"):
        yield _checked_record(line, programs)


def _checked_record(
    line: Mapping, programs: list[tuple[Program, list[TestRun]]]
) -> dict:
    """The item with the programs as they turned out, or why it is dropped."""
    record = {"place": line["place"], "source": line["source"]}
    kept: list[Program] = []
    reasons: list[str] = []
    for program, runs in programs:
        fate, reason = fate_of(program.claim, runs)
        reasons += [reason] if reason else []
        if fate is not Fate.DROPPED:
            claim = Claim.RIGHT if fate is Fate.RIGHT else Claim.WRONG
            kept.append(dataclasses.replace(program, claim=claim))
    counts = collections.Counter(reasons)
    counts["as claimed"] = len(programs) - len(reasons)
    record["programs"] = dict(counts)
    item = dataclasses.replace(item_of(from_record(line["item"])), programs=tuple(kept))
    # A score needs every problem that is asked, also where its program is not to be had.
    is_asked = get_source(line["source"]).is_evaluation and item.problem.statement
    if reasons and not item.claimed(Claim.RIGHT) and not is_asked:
        why = why_failing(programs[0][1]) or ""
        detail = f"{item.problem.id}: {why}"
        return record | {"dropped": reasons[0], "detail": detail}
    return record | {"item": to_record(with_programs(item))}
