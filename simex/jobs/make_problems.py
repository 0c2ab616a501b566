"""Job: draw the curriculum and let the sandbox say what each program prints."""

import functools
import itertools
import pathlib
from collections.abc import Iterator, Sequence

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import InfraError, UserError
from simex.core.progress import progress
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.problems.problem import Problem, TestCase, Visibility
from simex.problems.records import ProblemWithPrograms, to_record
from simex.problems.sources.curriculum.draft import ProblemDraft, draw_drafts
from simex.problems.sources.curriculum.spec import Grammar
from simex.sandbox.judge import JudgeItem, judge_all
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.pool import SandboxPool

CHECKER = "codecontests"


@gin.configurable
def make_problems(
    workdir: pathlib.Path,
    *,
    seed: int,
    num_train: int,
    num_rl: int,
    num_validation: int,
    num_test: int,
    num_public: int = 3,
    num_hidden: int = 5,
    num_wrong: int = 1,
    grammar: Grammar = Grammar(),
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes make_problems/{train,rl,validation,test}.jsonl.

    `train` and `rl` share the training compositions; `train` problems have public tests
    only, since nobody judges programs on them. A draft whose own program fails, or whose
    "wrong" programs turn out right, is kept with what the sandbox said.
    """
    folder = workdir / "make_problems"
    sizes = {
        "train": ("train", 0, num_train, 0),
        "rl": ("train", 1, num_rl, num_hidden),
        "validation": ("validation", 0, num_validation, num_hidden),
        "test": ("test", 0, num_test, num_hidden),
    }
    with sandbox.open_pool() as pool:
        # Which jail judged belongs to every result of the run.
        note_sandbox(folder, pool)
        for name, (split, stream, count, hidden) in sizes.items():
            drafts = list(
                draw_drafts(
                    2 * seed + stream,
                    split,
                    grammar=grammar,
                    num_problems=count,
                    num_public=num_public,
                    num_hidden=hidden,
                    num_wrong=num_wrong,
                )
            )
            continue_jsonl(
                folder / f"{name}.jsonl",
                functools.partial(_make_records, pool, drafts, name),
            )


def _make_records(
    pool: SandboxPool, all_drafts: Sequence[ProblemDraft], name: str, start: int
) -> Iterator[dict]:
    drafts = all_drafts[start:]
    requests = (
        RunRequest(source=d.right_program, stdin=stdin)
        for d in drafts
        for stdin in d.public_inputs + d.hidden_inputs
    )
    outcomes = pool.run_all(requests)
    problems = (
        _make_problem(d, list(itertools.islice(outcomes, _count_inputs(d))), name)
        for d in drafts
    )
    for_judge, for_record = itertools.tee(problems)
    judgements = judge_all(
        pool,
        (
            JudgeItem.of(problem, source)
            for problem, draft in zip(for_judge, drafts, strict=True)
            for source in draft.wrong_programs
        ),
        early_stop=True,
    )
    rows = zip(for_record, drafts, strict=True)
    for problem, draft in progress(
        rows, total=len(drafts), label=f"problems/{name}", unit="problem"
    ):
        wrong: list[str] = []
        right = [draft.right_program]
        for source in draft.wrong_programs:
            judgement = next(judgements)
            if isinstance(judgement, InfraError):
                continue  # nobody knows whether it is wrong; the pool counts it
            (right if judgement.is_accepted else wrong).append(source)
        yield to_record(
            ProblemWithPrograms(
                problem=problem,
                right_programs=tuple(right),
                wrong_programs=tuple(wrong),
            )
        )


def _count_inputs(draft: ProblemDraft) -> int:
    return len(draft.public_inputs) + len(draft.hidden_inputs)


def _make_problem(
    draft: ProblemDraft, outcomes: list[RunOutcome | InfraError], name: str
) -> Problem:
    tests: list[TestCase] = []
    inputs = draft.public_inputs + draft.hidden_inputs
    for index, (stdin, outcome) in enumerate(zip(inputs, outcomes, strict=True)):
        if isinstance(outcome, InfraError):
            raise outcome
        if not outcome.status.is_ok:
            raise UserError(
                f"The right program of {draft.id} must run without error; on "
                f"{stdin!r} it ended with {outcome.status.value}: {outcome.stderr_tail}"
            )
        is_public = index < len(draft.public_inputs)
        tests.append(
            TestCase(
                stdin=stdin,
                expected_stdout=outcome.stdout.decode(),
                visibility=Visibility.PUBLIC if is_public else Visibility.GENERATED,
            )
        )
    return Problem(
        id=f"{name}/{draft.id}",
        statement=draft.statement,
        tests=tuple(tests),
        checker=CHECKER,
        source="curriculum",
        composition=draft.composition,
        split=draft.split,
    )
