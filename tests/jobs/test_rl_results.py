"""One policy beside others: gains are paired, and every loop has its control."""

import json

import pytest

from simex.core.errors import UserError
from simex.jobs.rl_results import estimate_predictions, rl_results
from simex.report.results import load_estimates

PROBLEMS = ("p0", "p1")
STAGES = {"sft": "sft/evaluate_solving", "rl": "rl/evaluate_solving"}


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def predictions(right):
    """Of four programs, two of them wrong ones; `right` says which are predicted."""
    roles = ("right", "wrong", "right", "wrong")
    return [
        {"id": str(i), "group": str(i), "role": role, "is_right": i in right}
        for i, role in enumerate(roles)
    ]


def candidates(num_right, *, num_believed):
    """Eight a problem, the first ones of them right, and simulated as passing."""
    return [
        {
            "problem_id": problem,
            "source": f"print({i})",
            "num_tokens": 5,
            "passed_public": [i < num_right],
            "is_right": i < num_right,
            "predicted": [["1"]],
            "predicted_pass": [[i < num_believed]],
        }
        for problem in PROBLEMS
        for i in range(8)
    ]


def outcomes(*rights):
    return [
        {
            "problem_id": problem,
            "right": right,
            "public": right,
            "samples": [1, 2],
            "predictions": [1, 2],
            "executions": [0, 0],
        }
        for problem, right in zip(PROBLEMS, rights, strict=True)
    ]


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "evaluate_prediction"
    write(folder / "nlex_train_sft.jsonl", predictions({0}))
    write(folder / "train_rl.jsonl", predictions({0, 1}))
    own = tmp_path / "own" / "evaluate_prediction"
    write(own / "nlex_train_sft.jsonl", predictions(set()))
    write(own / "train_rl.jsonl", predictions({0, 1, 3}))
    for stage, num_right, num_believed, after_fix in (
        (STAGES["sft"], 2, 4, [False, False]),
        (STAGES["rl"], 4, 4, [False, True]),
    ):
        judged = candidates(num_right, num_believed=num_believed)
        write(tmp_path / stage / "simulated.jsonl", judged)
        loops = tmp_path / stage / "loops"
        write(loops / "fix.jsonl", outcomes(after_fix, [True, True]))
        write(loops / "resample.jsonl", outcomes([False, False], [True, True]))
    write(tmp_path / "train_rl" / "metrics.jsonl", [{"step": 0, "solve/passed": 0.5}])
    (tmp_path / "config.gin").write_text("")
    return tmp_path


def test_what_rl_adds_is_measured_on_the_same_items(workdir):
    stage = workdir / "rl_results"
    stage.mkdir()
    rl_results(
        workdir,
        stage,
        seed=7,
        predicting={"sft": "nlex/train_sft", "rl": "train_rl"},
        solving=STAGES,
        own="own/evaluate_prediction",
    )
    estimates = load_estimates(stage / "results.json")
    found = {name: pytest.approx(e["value"]) for name, e in estimates.items()}
    # Of the right programs 1 and 1 of 2 are predicted, of the wrong ones 0 and 1 of 2.
    assert found["gain.prediction_over_sft"] == 0.25
    assert found["gain.prediction_right_over_sft"] == 0.0
    assert found["gain.prediction_wrong_over_sft"] == 0.5
    assert found["prediction_wrong.rl"] == 0.5
    # Of programs that a model wrote none and three of four.
    assert found["gain.prediction_own_over_sft"] == 0.75
    assert found["prediction_own_right.rl"] == 0.5
    assert found["solve.sft"] == 0.25 and found["gain.solve_over_sft"] == 0.25
    # Four are believed: two of them are right before, all of them after.
    assert found["best_at_8.sft_simulate"] == 0.5
    assert found["gain.best_at_8_over_sft"] == 0.5
    # Choosing adds 0.5 - 0.25 before, and 1 - 0.5 after.
    assert found["gain.sft_best_at_8_over_pass_at_1"] == 0.25
    assert found["gain.rl_best_at_8_over_pass_at_1"] == 0.5
    # One of two attempts is mended by the loop, none by drawing anew, none before RL.
    assert found["gain.rl_fix"] == 0.5 and found["gain.rl_resample"] == 0.0
    assert found["gain.rl_fix_over_resample"] == 0.5
    assert found["gain.sft_fix"] == 0.0
    assert "gain.rl_resample_over_resample" not in found
    page = (workdir / "report.html").read_text()
    assert "Solved at the end, in training" in page and "loop fix" in page


def test_the_interval_of_a_gain_is_of_paired_differences(workdir):
    # Beside itself a policy gains nothing for sure, however much its items differ.
    rows = {"sft": "nlex/train_sft", "rl": "train_rl"}
    gains = estimate_predictions(workdir / "evaluate_prediction", rows, "sft")
    assert gains["gain.prediction_over_rl"].value == -0.25
    same = {"sft": "nlex/train_sft", "rl": "nlex/train_sft"}
    found = estimate_predictions(workdir / "evaluate_prediction", same, "rl")
    gain = found["gain.prediction_over_sft"]
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_an_unknown_subject_is_refused(workdir):
    with pytest.raises(UserError, match=r"rl_results\.subject"):
        rl_results(
            workdir,
            workdir,
            seed=0,
            predicting={"sft": "nlex/train_sft"},
            solving=STAGES,
        )
