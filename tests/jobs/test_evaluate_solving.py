"""Solving, simulating and fixing with policies from a script, stopped and continued."""

import dataclasses
import json
import types

import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_jsonl
from simex.evals.fix_loop import FixLoop
from simex.jobs import evaluate_solving as job
from simex.jobs.sandbox import SandboxConfig
from simex.problems.records import ProblemWithPrograms, to_record
from simex.sampling.methods import SamplingMethod
from simex.tasks import solve
from tests.scripted import PROBLEM, RIGHT, WRONG, Script

PROBLEMS = [
    dataclasses.replace(PROBLEM, id=f"sum/{i}", origin=f"2024-08-0{i}T00:00:00")
    for i in (1, 2, 3)
]
FILES = ("candidates.jsonl", "simulated.jsonl", "loops/fix.jsonl")


@dataclasses.dataclass(kw_only=True)
class Seeded(Script):
    """Answers by the task and the seed of each prompt, so that order cannot matter.

    The first candidate of a problem is wrong, the second right, each fix right, each
    prediction "3". Seeds are written into programs: whoever asks anew is found out.
    """

    stage: str
    method: SamplingMethod
    asked: list  # (stage, task, temperature) of each prompt, of all copies
    stop_before: str = ""  # a task
    answers: list = dataclasses.field(default_factory=list)

    def complete(self, queries, *, on_turn=lambda index, turn: None):
        for query in queries:
            tasks = [task for _, task, _ in self.asked]
            if query.task == self.stop_before and query.task in tasks:
                raise KeyboardInterrupt  # at the second block
        self.asked += [(self.stage, q.task, self.method.temperature) for q in queries]
        self.answers += map(self.answer, queries)
        return super().complete(queries, on_turn=on_turn)

    def answer(self, query):
        if query.task == "predict_output":
            return "</think><output>3</output>"
        is_wrong = query.task == "solve" and query.seed_path[-1] == 0
        source = WRONG if is_wrong else RIGHT
        return solve.render_target("", f"{source}# {query.task} {query.seed_path}")


def run(tmp_path, name, *, stop_before="", **settings):
    """One call of the job; who was asked for what."""
    path = tmp_path / "make_problems" / "test.jsonl"
    path.parent.mkdir(exist_ok=True)
    items = [
        ProblemWithPrograms(problem=p, right_programs=(), wrong_programs=())
        for p in PROBLEMS
    ]
    write_jsonl(path, map(to_record, items))
    asked = []
    setup = types.SimpleNamespace(
        make_mesh=lambda: None,
        load_params=lambda workdir, stage, *, mesh: stage,
        make_policy=lambda workdir, params, *, mesh, method: Seeded(
            stage=params, method=method, asked=asked, stop_before=stop_before
        ),
    )
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    job.evaluate_solving(
        tmp_path,
        folder,
        setup=setup,
        seed=7,
        solver="rl",
        samples=2,
        attempts_per_problem=1,
        sandbox=SandboxConfig(num_workers=1),
        **{"num_problems": 3, "loops": {"fix": FixLoop()}} | settings,
    )
    return asked


@pytest.fixture(autouse=True)
def one_problem_a_block(monkeypatch):
    monkeypatch.setattr(job, "BLOCK", 1)


def test_each_problem_is_solved_simulated_and_fixed_from_its_first_candidates(tmp_path):
    asked = run(tmp_path, "whole")
    candidates, simulated, loop = (
        list(read_jsonl(tmp_path / "whole" / name)) for name in FILES
    )
    ids = [p.id for p in PROBLEMS]
    assert [c["problem_id"] for c in candidates] == [i for i in ids for _ in range(2)]
    assert [c["is_right"] for c in candidates] == [False, True] * 3
    assert len({c["source"] for c in candidates}) == 6  # a seed for each
    assert [s["predicted_pass"] for s in simulated] == [[[True]]] * 6
    assert [s["source"] for s in simulated] == [c["source"] for c in candidates]
    assert [o["problem_id"] for o in loop] == ids
    assert [o["right"] for o in loop] == [[False, True]] * 3
    assert [o["sources"][0] for o in loop] == [c["source"] for c in candidates[::2]]
    # One round is greedy; solving and fixing are always drawn.
    assert set(asked) == {
        ("rl", "solve", 1.0),
        ("rl", "predict_output", 0.0),
        ("rl", "submit_or_fix", 1.0),
    }
    assert len(asked) == 6 + 6 + 3


@pytest.mark.parametrize("task", ["solve", "predict_output", "submit_or_fix"])
def test_what_was_stopped_goes_on_to_the_same_files(tmp_path, task):
    run(tmp_path, "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "stopped", stop_before=task)
    asked = run(tmp_path, "stopped")
    assert sum(t == task for _, t, _ in asked) == {"submit_or_fix": 2}.get(task, 4)
    for name in FILES:
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "stopped" / name).read_bytes() == whole


def test_several_rounds_are_drawn_by_the_verifier_that_is_named(tmp_path):
    asked = run(tmp_path, "rounds", rounds=2, verifier="nlex", loops={})
    assert asked[6:] == [("nlex", "predict_output", 1.0)] * 12  # 6 programs, 2 rounds
    (first, *_) = read_jsonl(tmp_path / "rounds" / "simulated.jsonl")
    assert first["predicted"] == [["3"], ["3"]]


def test_the_problems_that_were_asked_are_described(tmp_path):
    window = {"since": "2024-08-02", "until": "2024-08-31", "data_version": "v6"}
    asked = run(tmp_path, "dated", is_simulated=False, **window)
    assert [task for _, task, _ in asked] == ["solve"] * 4
    about = json.loads((tmp_path / "dated" / "problems.json").read_text())
    assert len(about.pop("sha256")) == 64
    assert about == {
        "file": "make_problems/test.jsonl",
        "version": "v6",
        "first_date": "2024-08-02",
        "last_date": "2024-08-03",
        "num_problems": 2,
    }


def test_a_loop_of_more_rounds_than_are_simulated_is_refused_at_once(tmp_path):
    loops = {"fix": FixLoop(rounds=5, min_doubt=0.8)}
    with pytest.raises(UserError, match=r"it is 1, and FixLoop.rounds of 'fix' is 5"):
        run(tmp_path, "rounds", loops=loops)
    assert not any((tmp_path / "rounds").iterdir())  # nothing was asked
    told = {"fix": FixLoop(rounds=5, feedback="executed")}  # simulates nothing
    assert run(tmp_path, "told", loops=told)


def test_more_attempts_than_candidates_are_refused(tmp_path):
    with pytest.raises(UserError, match="1..samples; got 3 and 2"):
        job.evaluate_solving(
            tmp_path, tmp_path, setup=None, seed=0, solver="rl", num_problems=1,
            samples=2, attempts_per_problem=3,
        )  # fmt: skip
