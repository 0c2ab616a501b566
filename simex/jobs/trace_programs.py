"""Job: run programs under the tracer in the sandbox and keep what they did."""

import functools
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import InfraError, UserError
from simex.core.files import read_jsonl
from simex.core.progress import progress
from simex.core.stamps import has_stage
from simex.data.listed_runs import ImportedRuns
from simex.data.runs import is_as_expected
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.problems.problem import Limits
from simex.problems.records import from_record
from simex.traces import records
from simex.traces.collect import TraceFailure, collect_traces


@gin.configurable
def trace_programs(
    workdir: pathlib.Path,
    *,
    max_events: int = 2_000,
    max_bytes: int = 1 << 20,
    max_functions: int = 1_000,
    verify: bool = True,
    imported: ImportedRuns | None = None,
    cpu_secs: float = 2.0,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes trace_programs/{curriculum,validation,functions,imported}.jsonl.

    One record a run. Curriculum: a right and a wrong program of each training problem
    on its public tests; validation: the same of the problems that are held out to be
    looked at during training. Functions: the harvested calls, each with its split.
    Imported: what `import_problems` left, if asked for. A run that cannot be traced
    keeps its place, with the reason. sandbox.json names the jail and the Python, which
    is one for all of them.

    Args:
      workdir: of the run.
      max_events: longer runs are cut there, and marked.
      max_bytes: of a trace as it is written in the sandbox; likewise.
      max_functions: calls of functions to trace.
      verify: also run everything untraced and require the same stdout. Right programs
        and functions ran before, and are always held against what they printed then;
        without `verify` nobody knows whether a wrong program prints the same twice.
      imported: which of the imported programs' runs to take; None for none.
      cpu_secs: of a run.
      sandbox: where programs run.

    Raises:
      UserError: there is nothing to trace.
    """
    problems = workdir / "make_problems" / "train.jsonl"
    held_out = workdir / "make_problems" / "validation.jsonl"
    functions = workdir / "harvest_functions" / "functions.jsonl"
    if imported is None and not _is_there(problems, workdir):
        raise UserError(
            f"trace_programs needs {problems}, of a stage of this run, or "
            "trace_programs.imported; there is neither. Put make_problems into "
            "run.stages, or set the other and run import_problems."
        )
    folder = workdir / "trace_programs"
    with sandbox.open_pool() as pool:
        note_sandbox(folder, pool)
        collect = functools.partial(
            collect_traces,
            pool,
            max_events=max_events,
            max_bytes=max_bytes,
            limits=Limits(cpu_secs=cpu_secs),
            verify=verify,
        )
        if _is_there(problems, workdir):
            items = list(_list_curriculum(problems))
            _trace_all(items, folder / "curriculum.jsonl", collect)
        if _is_there(held_out, workdir):
            items = [
                {**item, "split": "validation"} for item in _list_curriculum(held_out)
            ]
            _trace_all(items, folder / "validation.jsonl", collect)
        if imported is not None:
            items = list(_list_imported(imported, workdir))
            _trace_all(items, folder / "imported.jsonl", collect)
        if _is_there(functions, workdir):
            calls = itertools.islice(_list_functions(functions), max_functions)
            _trace_all(list(calls), folder / "functions.jsonl", collect)


def _is_there(path: pathlib.Path, workdir: pathlib.Path) -> bool:
    """Not what an earlier list of stages left behind."""
    return has_stage(workdir, path.parent.name) and path.exists()


def _trace_all(
    items: list[dict], path: pathlib.Path, collect: Callable[..., Iterator[object]]
) -> None:
    def records_from(start: int) -> Iterator[dict]:
        runs = [(item["source"], item["stdin"]) for item in items[start:]]
        traces = collect(runs)
        shown = progress(
            traces, total=len(runs), label=f"traces/{path.stem}", unit="run"
        )
        for item, trace in zip(items[start:], shown, strict=True):
            yield _make_record(item, trace)

    continue_jsonl(path, records_from)


def _make_record(item: dict, trace: object) -> dict:
    if isinstance(trace, TraceFailure):
        return {**item, "dropped": trace.reason}
    if isinstance(trace, InfraError):
        return {**item, "dropped": f"infra error: {trace}"}
    if not is_as_expected(
        trace.stdout,  # type: ignore[attr-defined]
        item.get("expected"),
        checker=item.get("checker", "exact"),
        float_tol=item.get("float_tol"),
    ):
        return {**item, "dropped": "traced stdout differs from what is expected"}
    return {**item, "trace": records.to_record(trace)}  # type: ignore[arg-type]


def _list_curriculum(path: pathlib.Path) -> Iterator[dict]:
    for record in read_jsonl(path):
        item = from_record(record)
        problem = item.problem
        programs = [("right", item.right_programs[:1])]
        programs += [("wrong", item.wrong_programs[:1])]
        for role, sources in programs:
            for source, (index, test) in itertools.product(
                sources, enumerate(problem.public_tests)
            ):
                yield {
                    "id": f"{problem.id}/{role}/{index}",
                    "group": problem.composition,
                    "role": role,
                    "problem_id": problem.id,
                    "source": source,
                    "stdin": test.stdin,
                    "expected": test.expected_stdout if role == "right" else None,
                }


def _list_imported(imported: ImportedRuns, workdir: pathlib.Path) -> Iterator[dict]:
    for program in imported.programs(workdir):
        for run in program.runs:
            record = {
                "id": run.id,
                "group": run.group,
                "split": program.split,
                "role": "function" if run.call else "program",
                "problem_id": run.problem,
                "origin": run.origin,
                "license": run.license,
                "source": run.source,
                "stdin": run.stdin,
                "expected": run.expected,
            }
            yield record | ({"call": run.call} if run.call else {})


def _list_functions(path: pathlib.Path) -> Iterable[dict]:
    for record in read_jsonl(path):
        yield {
            "id": record["id"],
            "group": record["group"],
            "split": record["split"],
            "role": "function",
            "license": record.get("license", "unknown"),
            "call": record["call"],
            "source": record["program"],
            "stdin": "",
            "expected": record["stdout"],
        }
