"""What `import_problems` leaves behind: records by split and kind, and the report."""

import collections
import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping

from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically
from simex.core.prng import host_rng
from simex.problems.filters.report import DropReport
from simex.problems.records import from_record
from simex.problems.splits import SPLITS


def write_kept(
    folder: pathlib.Path, *, validation_fraction: float, test_fraction: float, seed: int
) -> None:
    """Sorts the items of checked.jsonl into {split}.jsonl, functions and runs.

    A problem has a statement; a function has a call whose value is asked for; what has
    neither is programs to be run. Every file appears whole or not at all.
    """
    names = (*SPLITS, "functions", "runs")
    with contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context(write_atomically(folder / f"{name}.jsonl"))
            for name in names
        }
        for line in read_jsonl(folder / "checked.jsonl"):
            if "item" not in line:
                continue
            record = line["item"]
            if record["split"] == "train":
                record["split"] = split_of(
                    record["composition"],
                    validation_fraction=validation_fraction,
                    test_fraction=test_fraction,
                    seed=seed,
                )
            for name, written in _sort(record):
                text = json.dumps(written, ensure_ascii=False, allow_nan=False)
                files[name].write(f"{text}\n")


def split_of(
    composition: str, *, validation_fraction: float, test_fraction: float, seed: int
) -> str:
    """The side of a composition; it depends on nothing else that is imported."""
    drawn = host_rng(seed, "splits of imported problems", composition).random()
    if drawn < test_fraction:
        return "test"
    return "validation" if drawn < test_fraction + validation_fraction else "train"


def _sort(record: dict) -> Iterator[tuple[str, dict]]:
    """(file, record) of an item; of an item without a statement one for each run."""
    if record["statement"].strip():
        yield record["split"], record
        return
    programs = [("right", s) for s in record["right_programs"]]
    programs += [("wrong", s) for s in record["wrong_programs"]]
    licenses = record.get("program_licenses", {})
    for rank, (role, source) in enumerate(programs):
        for index, test in enumerate(t for t in record["tests"] if "stdin" in t):
            run = {
                "id": f"{record['id']}/{rank}/{index}",
                "group": record["composition"],
                "split": record["split"],
                "license": licenses.get(source, record["license"]),
            }
            if record.get("call"):
                yield "functions", _function_record(run, record, source, test)
            else:
                is_known = role == "right" and not record.get("has_many_answers")
                expected = test["stdout"] if is_known else None
                more = {"role": role, "source": source, "stdin": test["stdin"]}
                more |= {"origin": record["source"], "expected": expected}
                # What the import accepted is not refused again for its form.
                more |= {
                    name: record[name]
                    for name in ("checker", "float_tol")
                    if expected is not None and name in record
                }
                yield "runs", run | more


def _function_record(run: dict, record: dict, source: str, test: dict) -> dict:
    return run | {
        "entry": record.get("title", ""),
        "module": record.get("origin", ""),
        "origin": record["source"],
        "call": record["call"],
        "program": source,
        "stdout": test["stdout"],
        "num_chars": len(source),
        "num_lines": source.count("\n"),
    }


def make_report(folder: pathlib.Path, duplicates: DropReport) -> dict:
    """What was read, dropped and kept; every record of the inputs is accounted for.

    Raises:
        UserError: nothing was kept.
    """
    drops, program_drops = DropReport(), DropReport()
    read: collections.Counter[str] = collections.Counter()
    num_tests_cut = 0
    for line in read_jsonl(folder / "read.jsonl"):
        read[line["source"]] += 1
        num_tests_cut += line.get("num_tests_cut", 0)
        for reason, detail in line.get("programs_dropped", ()):
            program_drops.add(reason, line["place"], detail)
        if "dropped" in line:
            drops.add(line["dropped"], line["place"], line["detail"])
    outcomes: collections.Counter[str] = collections.Counter()
    kept: collections.Counter[str] = collections.Counter()
    licenses: collections.Counter[str] = collections.Counter()
    for line in read_jsonl(folder / "checked.jsonl"):
        outcomes.update(line["programs"])
        if "dropped" in line:
            drops.add(line["dropped"], line["place"], line["detail"])
        else:
            kept[line["source"]] += 1
            licenses.update(_licenses(line["item"]))
    report = {
        "read": dict(read),
        "kept": dict(kept),
        "dropped": drops.to_record() | duplicates.to_record(),
        "programs_dropped_unrun": program_drops.to_record(),
        "programs_run": dict(outcomes),
        "num_tests_cut": num_tests_cut,
        "licenses": dict(licenses.most_common()),
        "records": {
            name: sum(1 for _ in read_jsonl(folder / f"{name}.jsonl"))
            for name in (*SPLITS, "functions", "runs")
        },
    }
    _check_whole(report, num_dropped=drops.total + duplicates.total)
    return report


def _licenses(record: Mapping) -> set[str]:
    item = from_record(record)
    return {item.problem.license, *item.program_licenses.values()}


def _check_whole(report: Mapping, *, num_dropped: int) -> None:
    num_read, num_kept = sum(report["read"].values()), sum(report["kept"].values())
    if num_read != num_kept + num_dropped:
        raise AssertionError(
            f"{num_read} records were read, {num_kept} kept and {num_dropped} dropped"
        )
    if not num_kept:
        counts = {r: found["count"] for r, found in report["dropped"].items()}
        examples = [e for f in report["dropped"].values() for e in f["examples"]]
        raise UserError(
            f"Nothing is left of {num_read} records. Dropped: {counts}; for "
            f"example {examples[:1]}. Check that the source fits the files, or relax the filters."
        )
