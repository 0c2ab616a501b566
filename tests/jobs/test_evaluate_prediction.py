"""Predictions of held-out items by policies from a script, greedy and drawn."""

import dataclasses
import types

import pytest

from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_jsonl
from simex.evals import summary
from simex.jobs.evaluate_prediction import evaluate_prediction
from simex.jobs.sandbox import SandboxConfig
from simex.sampling.methods import SamplingMethod
from simex.tasks import explain, predict_output
from tests.scripted import Script

ITEMS = [
    {
        "id": name, "group": name, "role": role, "source": f"print({out})", "stdin": "",
        "stdout": f"{out}\n", "checker": "lines",
    }
    for name, role, out in (("a", "right", 1), ("b", "wrong", 2))
]  # fmt: skip
FUNCTIONS = [
    {
        "id": f"f{i}", "group": "f", "split": split, "call": "f(2)", "stdout": "3\n",
        "program": "def f(n):\n    print(n)\n    return n + 1\nprint(repr(f(2)))\n",
    }
    for i, split in enumerate(("train", "test", "validation", "test"))
]  # fmt: skip
CRUX = {
    "id": "sample_0",
    "code": "def f(x):\n    return x",
    "input": "7",
    "output": "7",
}


@dataclasses.dataclass(kw_only=True)
class OneOfThree(Script):
    """Says 1, or of a call 7, to every third prompt, and 2, or 3, to the others."""

    method: SamplingMethod
    asked: list  # (method, query) of all copies
    answers: list = dataclasses.field(default_factory=list)

    def complete(self, queries, *, on_turn=lambda index, turn: None):
        for index, query in enumerate(queries):
            self.asked.append((self.method, query))
            is_third = index % 3 == 0
            self.answers.append(
                predict_output.render_target("", "1" if is_third else "2")
                if query.task == "predict_output"
                else explain.render_target("", "f(2)", "7" if is_third else "3")
            )
        return super().complete(queries, on_turn=on_turn)


def run(tmp_path, **settings):
    asked = []
    setup = types.SimpleNamespace(
        make_mesh=lambda: None,
        load_params=lambda workdir, stage, *, mesh: None,
        make_policy=lambda workdir, params, *, mesh, method: OneOfThree(
            method=method, asked=asked
        ),
    )
    for folder in ("run_programs", "harvest_functions", "out"):
        (tmp_path / folder).mkdir()
    write_jsonl(tmp_path / "run_programs" / "test.jsonl", ITEMS)
    write_jsonl(tmp_path / "harvest_functions" / "functions.jsonl", FUNCTIONS)
    evaluate_prediction(
        tmp_path,
        tmp_path / "out",
        setup=setup,
        seed=5,
        checkpoints=["rl@best"],
        **{"functions_from": None} | settings,
    )
    return asked


def said(tmp_path, name):
    return [(r["id"], r["said"], r["is_right"]) for r in read_jsonl(tmp_path / name)]


def test_each_item_is_predicted_once_and_greedily(tmp_path):
    asked = run(tmp_path)
    assert said(tmp_path, "out/rl.jsonl") == [("a", "1", True), ("b", "2", True)]
    assert [method for method, _ in asked] == [SamplingMethod(temperature=0.0)] * 2


def test_accuracy_at_1_is_the_mean_over_the_samples_of_each_item(tmp_path):
    asked = run(tmp_path, temperature=1.0, samples=3)
    assert said(tmp_path, "out/rl.jsonl") == [
        ("a", "1", True), ("a", "2", False), ("a", "2", False),
        ("b", "1", False), ("b", "2", True), ("b", "2", True),
    ]  # fmt: skip
    accuracy = summary.estimate_accuracy(list(read_jsonl(tmp_path / "out/rl.jsonl")))
    # (1/3 + 2/3) / 2; samples of an item are one cluster.
    assert accuracy.value == pytest.approx(0.5) and accuracy.problems == 2
    assert {method for method, _ in asked} == {
        SamplingMethod(temperature=1.0, top_p=0.95)
    }
    assert len({query.seed_path for _, query in asked}) == 6


def test_only_functions_that_are_held_out_are_asked_about(tmp_path):
    asked = run(tmp_path, functions_from="rl", cruxeval_path=str(tmp_path / "none"))
    assert said(tmp_path, "out/functions.jsonl") == [
        ("f1", "7", False),
        ("f3", "3", True),
    ]
    prompt = explain.render_prompt("def f(n):\n    print(n)\n    return n + 1", "f(2)")
    assert [q.prompt for _, q in asked if q.task == "explain"] == [prompt] * 2


def test_samples_of_a_benchmark_item_are_scored_each(tmp_path):
    write_jsonl(tmp_path / "crux.jsonl", [CRUX])
    run(
        tmp_path,
        functions_from="rl",
        cruxeval_path=str(tmp_path / "crux.jsonl"),
        temperature=1.0,
        samples=2,
        sandbox=SandboxConfig(num_workers=1),
    )
    scored = said(tmp_path, "out/cruxeval.jsonl")
    assert scored == [("sample_0", "7", True), ("sample_0", "3", False)]


@pytest.mark.parametrize("samples", [0, 2])
def test_greedy_samples_that_would_be_equal_are_refused(tmp_path, samples):
    with pytest.raises(UserError, match=f"got {samples} at temperature"):
        run(tmp_path, samples=samples)
