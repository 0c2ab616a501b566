"""Job: explanations, programs and repairs as examples, written by a TFDS builder."""

import collections
import functools
import itertools
import pathlib
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import gin

from simex.core.files import read_jsonl
from simex.core.names import unknown_name
from simex.data.builder import build_dataset as build_tfds
from simex.data.explained import make_example
from simex.data.records import Example
from simex.data.runs import Run
from simex.problems.records import ProblemWithPrograms, from_record
from simex.problems.solvable import why_unsolvable
from simex.tasks import solve, submit_or_fix
from simex.tasks.rewards import are_outputs_right

# Two datasets from the same runs: with the explanation, and with the answer alone.
Variant = Literal["nlex", "direct"]
VARIANTS: tuple[Variant, ...] = typing.get_args(Variant)
Fixes = Literal["all", "failing"]  # attempts that fixing is taught on
FIXES: tuple[str, ...] = typing.get_args(Fixes)
OWN_LICENSE = "Apache-2.0"  # of the generated curriculum


@gin.configurable
def build_dataset(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    problems: Sequence[str] = ("make_problems",),
    explanations: str = "write_explanations",
    roles: Sequence[str] | None = None,
    fixes: Fixes = "all",
) -> None:
    """Writes {nlex,direct}/ (ArrayRecord), splits "train" and "validation".

    The validation split is of what was held out for it, where anything was: explained
    runs of that split and the problems of the stages' validation.jsonl. A group that is
    trained on has no example in it. Both datasets hold solving and fixing examples;
    "direct" leaves out every explanation, so that a model trained on it answers at once.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      problems: the stages whose train.jsonl and validation.jsonl are to be solved:
        "make_problems", "import_problems".
      explanations: the stage that told the traces.
      roles: the roles of programs to be explained, such as "right"; None: all. Fixes
        are taught on all roles.
      fixes: "failing" leaves out the attempts that pass, which teach to submit: for a
        policy that is asked for a fix only where the feedback fails.
    """
    if fixes not in FIXES:
        raise unknown_name("build_dataset.fixes", fixes, FIXES)
    told = list(read_jsonl(workdir / explanations / "explanations.jsonl"))
    train = _load_problems([workdir / stage / "train.jsonl" for stage in problems])
    paths = [workdir / stage / "validation.jsonl" for stage in problems]
    held_out = _load_problems([path for path in paths if path.exists()])
    for variant in VARIANTS:
        make = functools.partial(
            _make_examples, told, variant=variant, roles=roles, fixes=fixes
        )
        examples = make(train, split="train")
        held = make(held_out, split="validation")
        build_tfds(_without_shared_groups(examples, held), stage_dir / variant)


def _load_problems(paths: Sequence[pathlib.Path]) -> dict[str, ProblemWithPrograms]:
    items = map(from_record, itertools.chain(*map(read_jsonl, paths)))
    return {item.problem.id: item for item in items if _is_solvable(item)}


def _without_shared_groups(
    train: Iterable[Example], validation: Iterable[Example]
) -> dict[str, list[Example]]:
    """The splits; what is held out shares no group with what is trained on."""
    trained = list(train)
    groups = {example.group for example in trained}
    held = [example for example in validation if example.group not in groups]
    return {"train": trained, **({"validation": held} if held else {})}


def _is_solvable(item: ProblemWithPrograms) -> bool:
    """A problem for whole programs, with a right one."""
    return why_unsolvable(item.problem) is None and bool(item.right_programs)


def _make_examples(
    records: list[dict],
    problems: Mapping[str, ProblemWithPrograms],
    *,
    variant: str,
    roles: Sequence[str] | None,
    fixes: str,
    split: str,
) -> Iterator[Example]:
    outputs: dict[tuple[str, str], dict[str, str]] = collections.defaultdict(dict)
    for record in records:
        if record.get("split", "train") != split:
            continue
        if "thought" in record and (roles is None or record["role"] in roles):
            thought = record["thought"] if variant == "nlex" else ""
            yield _make_explained(record, thought)
        if "stdout" in record and record.get("problem_id") in problems:
            key = (record["problem_id"], record["source"])
            outputs[key][record["stdin"]] = record["stdout"]
    for item in problems.values():
        yield _make_solution(item)
    numbers: collections.Counter[tuple[str, str]] = collections.Counter()
    for (problem_id, source), by_stdin in outputs.items():
        item = problems[problem_id]
        if by_stdin.keys() >= {test.stdin for test in item.problem.public_tests}:
            key = problem_id, _role_of(item, source)
            shown = [by_stdin[test.stdin] for test in item.problem.public_tests]
            passed = are_outputs_right(item.problem, shown, are_stated=False)
            if fixes == "all" or not all(passed):
                yield _make_fix(item, source, shown, passed, number=numbers[key])
            numbers[key] += 1


def _make_explained(record: dict, thought: str) -> Example:
    is_call = record["role"] == "function"
    default, own = ("functions", "unknown") if is_call else ("curriculum", OWN_LICENSE)
    run = Run(
        id=record["id"],
        program=record["id"],
        group=record["group"],
        source=record["source"],
        stdin=record["stdin"],
        origin=record.get("origin", default),
        license=record.get("license", own),
        call=record.get("call", ""),
    )
    return make_example(run, thought, record["stdout"])


def _make_solution(item: ProblemWithPrograms) -> Example:
    problem = item.problem
    return Example(
        id=f"{problem.id}/solve",
        task="solve",
        prompt=solve.render_prompt(problem.statement, problem.public_tests),
        target=solve.render_target("", item.right_programs[0]),
        group=problem.composition,
        source=problem.source,
        license=_license_of(item, item.right_programs[0]),
    )


def _license_of(item: ProblemWithPrograms, program: str) -> str:
    """Of the program; of the statement too, where that is another."""
    own = item.problem.license
    license = item.program_licenses.get(program, own)
    return license if license == own else f"{license}; statement: {own}"


def _make_fix(
    item: ProblemWithPrograms,
    source: str,
    shown: Sequence[str],
    passed: Sequence[bool],
    *,
    number: int,
) -> Example:
    """Submit where every public test passes, else the right program."""
    problem = item.problem
    fixed = None if all(passed) else item.right_programs[0]
    return Example(
        id=f"{problem.id}/{_role_of(item, source)}{number or ''}/submit_or_fix",
        task="submit_or_fix",
        prompt=submit_or_fix.render_prompt(
            problem.statement, source, problem.public_tests, shown
        ),
        target=submit_or_fix.render_target(submit_or_fix.render_thought(passed), fixed),
        group=problem.composition,
        source=problem.source,
        license=_license_of(item, source),
    )


def _role_of(item: ProblemWithPrograms, source: str) -> str:
    return "right" if source in item.right_programs else "wrong"
