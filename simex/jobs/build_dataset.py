"""Job: explanations, programs and repairs as examples, written by a TFDS builder."""

import collections
import pathlib
from collections.abc import Iterator, Mapping

import gin

from simex.core.files import read_jsonl
from simex.data.builder import build_dataset as build_tfds
from simex.data.records import Example
from simex.problems.records import ProblemWithPrograms, from_record
from simex.tasks import explain, predict_output, solve, submit_or_fix
from simex.tasks.rewards import is_output_right

# Two datasets from the same runs: with the explanation, and with the answer alone.
VARIANTS = ("nlex", "direct")


@gin.configurable
def build_dataset(workdir: pathlib.Path) -> None:
    """Writes build_dataset/{nlex,direct}/ (ArrayRecord, split "train").

    Both hold solving and fixing examples; "direct" leaves out every explanation, so
    that a model trained on it answers at once.
    """
    explanations = workdir / "write_explanations" / "explanations.jsonl"
    problems = {
        item.problem.id: item
        for item in map(
            from_record, read_jsonl(workdir / "make_problems" / "train.jsonl")
        )
    }
    for variant in VARIANTS:
        examples = _make_examples(list(read_jsonl(explanations)), problems, variant)
        build_tfds({"train": examples}, workdir / "build_dataset" / variant)


def _make_examples(
    records: list[dict], problems: Mapping[str, ProblemWithPrograms], variant: str
) -> Iterator[Example]:
    outputs: dict[tuple[str, str], dict[str, str]] = collections.defaultdict(dict)
    for record in records:
        if "thought" in record and record.get("split", "train") == "train":
            thought = record["thought"] if variant == "nlex" else ""
            yield _make_explained(record, thought)
        if "stdout" in record and record["role"] != "function":
            key = (record["problem_id"], record["source"])
            outputs[key][record["stdin"]] = record["stdout"]
    for item in problems.values():
        yield _make_solution(item)
    for (problem_id, source), by_stdin in outputs.items():
        item = problems[problem_id]
        if len(by_stdin) == len(item.problem.public_tests):
            yield _make_fix(item, source, by_stdin)


def _make_explained(record: dict, thought: str) -> Example:
    if record["role"] == "function":
        call, value = record["call"], record["stdout"]
        source = record["source"].rsplit("\nprint(", 1)[0]
        return Example(
            id=f"{record['id']}/explain",
            task="explain",
            prompt=explain.render_prompt(source, call),
            target=explain.render_target(thought, call, value),
            group=record["group"],
            source="functions",
        )
    return Example(
        id=f"{record['id']}/predict",
        task="predict_output",
        prompt=predict_output.render_prompt(record["source"], record["stdin"]),
        target=predict_output.render_target(thought, record["stdout"]),
        group=record["group"],
        source="curriculum",
    )


def _make_solution(item: ProblemWithPrograms) -> Example:
    problem = item.problem
    return Example(
        id=f"{problem.id}/solve",
        task="solve",
        prompt=solve.render_prompt(problem.statement, problem.public_tests),
        target=solve.render_target("", item.right_programs[0]),
        group=problem.composition,
        source=problem.source,
    )


def _make_fix(
    item: ProblemWithPrograms, source: str, by_stdin: Mapping[str, str]
) -> Example:
    """Submit where every public test passes, else the right program."""
    problem = item.problem
    tests = problem.public_tests
    shown = [by_stdin[test.stdin] for test in tests]
    passed = [
        is_output_right(output, test.expected_stdout, checker=problem.checker)
        for test, output in zip(tests, shown, strict=True)
    ]
    fixed = None if all(passed) else item.right_programs[0]
    role = "right" if source in item.right_programs else "wrong"
    return Example(
        id=f"{problem.id}/{role}/submit_or_fix",
        task="submit_or_fix",
        prompt=submit_or_fix.render_prompt(problem.statement, source, tests, shown),
        target=submit_or_fix.render_target(submit_or_fix.render_thought(passed), fixed),
        group=problem.composition,
        source=problem.source,
    )
