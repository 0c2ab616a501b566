"""Problems of other people, from the file of their source to a rollout of RL."""

import dataclasses
import json

import pytest

from simex.core.errors import UserError
from simex.core.files import write_jsonl
from simex.jobs.import_problems import import_problems
from simex.jobs.run_programs import run_programs
from simex.jobs.sandbox import SandboxConfig
from simex.problems.splits import problems_path
from simex.rollouts.fix import FixObjective
from simex.rollouts.predict_output import PredictOutputObjective
from simex.rollouts.solve import SolveObjective
from simex.sandbox.pool import SandboxPool
from simex.tasks import predict_output, solve
from tests.scripted import RIGHT, WRONG, Script

SANDBOX = SandboxConfig(num_workers=1)
FROM = {"problems_from": "import_problems"}
# Two public tests; `codecontests` names languages by number, 3 is Python 3.
RECORD = {
    "name": "1_A. Sum",
    "description": "Print the sum of two numbers.",
    "public_tests": {"input": ["1 2\n", "2 2\n"], "output": ["3\n", "4\n"]},
    "private_tests": {"input": ["4 5\n"], "output": ["9\n"]},
    "generated_tests": {"input": [], "output": []},
    "solutions": {"language": [3], "solution": [RIGHT]},
    "incorrect_solutions": {"language": [3], "solution": [WRONG]},
}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run that imported the problem and ran its programs on every public test."""
    workdir = tmp_path_factory.mktemp("run")
    path = workdir / "contests.jsonl"
    path.write_text(json.dumps(RECORD) + "\n")
    import_problems(
        workdir,
        inputs=[("codecontests", str(path))],
        validation_fraction=0.0,
        test_fraction=0.0,
        sandbox=SANDBOX,
    )
    run_programs(workdir, **FROM, inputs_per_program=None, sandbox=SANDBOX)
    return workdir


@pytest.mark.slow
def test_an_imported_problem_reaches_a_rollout_of_each_objective(workdir):
    program = {s: solve.render_target("", s) for s in (RIGHT, WRONG)}
    said = predict_output.render_target("", "0")
    asked = {
        PredictOutputObjective(weight=1.0, group_size=1): [said] * 4,
        SolveObjective(weight=1.0, group_size=1, **FROM): [program[WRONG]] * 2,
        FixObjective(weight=1.0, group_size=1, attempts=1, **FROM): [
            program[WRONG],
            program[RIGHT],
        ],
    }
    rewards = {}
    with SandboxPool(1) as pool:
        for objective, answers in asked.items():
            items = objective.load_items(workdir)
            groups = objective.collect(Script(answers), items, pool=pool, seed_path=())
            rewards[objective.name] = [r.reward for g in groups for r in g.rollouts]
    assert rewards == {
        # 0 is what the wrong program prints on both public tests, the right one never.
        "predict_output": [-0.8, 0.8, -0.8, 0.8],
        "solve": [-1.0],
        "fix": [1.0],
    }


@pytest.mark.slow
def test_items_of_a_file_take_the_place_of_those_of_training_alone(workdir):
    (item, *_) = PredictOutputObjective(weight=1.0).load_items(workdir)
    other = dataclasses.asdict(item) | {"id": "own/0"}
    for name in ("one/items.jsonl", "two/items.jsonl"):
        write_jsonl(workdir / name, [other])
    objective = PredictOutputObjective(
        weight=1.0, items_from=("one/items.jsonl", str(workdir / "two/items.jsonl"))
    )
    assert [i.id for i in objective.load_items(workdir)] == ["own/0", "own/0"]
    assert objective.load_items(workdir, split="validation") == []


@pytest.mark.parametrize("split", ["validation", "test"])
def test_programs_of_held_out_problems_are_not_trained_on(split, tmp_path):
    def item(name, group):
        return {
            "id": name,
            "group": group,
            "role": "right",
            "source": RIGHT,
            "stdin": "1 2\n",
            "stdout": "3\n",
            "checker": "lines",
        }

    # A model's own programs have other ids than published ones of the same problem.
    write_jsonl(tmp_path / "own.jsonl", [item("p/0/0", "p"), item("q/0/0", "q")])
    objective = PredictOutputObjective(weight=1.0, items_from=("own.jsonl",))
    assert len(objective.load_items(tmp_path)) == 2  # nothing is held out here
    path = tmp_path / "run_programs" / f"{split}.jsonl"
    write_jsonl(path, [item("q/right/0", "q")])
    with pytest.raises(UserError, match=rf"{split}\.jsonl.* shares 1, 'q' among"):
        objective.load_items(tmp_path)


def test_only_rl_takes_the_problems_for_training_where_none_are_set_apart(tmp_path):
    write_jsonl(tmp_path / "import_problems" / "train.jsonl", [])
    write_jsonl(tmp_path / "make_problems" / "train.jsonl", [])
    write_jsonl(tmp_path / "make_problems" / "rl.jsonl", [])

    def found(stage, split):
        return problems_path(tmp_path, stage, split).relative_to(tmp_path).as_posix()

    assert found("make_problems", "rl") == "make_problems/rl.jsonl"
    assert found("import_problems", "rl") == "import_problems/train.jsonl"
    for split in ("validation", "test"):
        assert found("import_problems", split) == f"import_problems/{split}.jsonl"
    with pytest.raises(UserError, match=r"no/train\.jsonl must exist"):
        SolveObjective(weight=1.0, problems_from="no").load_items(tmp_path)
