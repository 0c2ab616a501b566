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
            "hidden": [True, right[1]],
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


def test_a_best_checkpoint_is_found_by_the_name_it_was_asked_by(workdir):
    rows = {"sft": "nlex/train_sft@best", "rl": "train_rl"}
    best = estimate_predictions(workdir / "evaluate_prediction", rows, "sft")
    last = {"sft": "nlex/train_sft", "rl": "train_rl"}
    assert best == estimate_predictions(workdir / "evaluate_prediction", last, "sft")


def test_a_policy_may_be_called_what_is_estimated(workdir):
    rows = {"prediction": "nlex/train_sft", "rl": "train_rl"}
    results_of(workdir, predicting=rows, own="own/evaluate_prediction")
    found = load_estimates(workdir / "results.json")
    assert {"prediction_own.prediction", "prediction_own.rl"} <= found.keys()
    assert "gain.prediction_own_over_prediction" in found


def test_an_unknown_subject_is_refused(workdir):
    with pytest.raises(UserError, match=r"rl_results\.subject"):
        rl_results(
            workdir,
            workdir,
            seed=0,
            predicting={"sft": "nlex/train_sft"},
            solving=STAGES,
        )


def results_of(workdir, **settings):
    stage = workdir / "rl_results"
    stage.mkdir(exist_ok=True)
    rows = {"sft": "nlex/train_sft", "rl": "train_rl"}
    rl_results(
        workdir,
        stage,
        **{"seed": 7, "predicting": rows, "solving": STAGES} | settings,
    )
    return json.loads((stage / "results.json").read_text())


def test_every_k_that_is_asked_for_is_estimated(workdir):
    results_of(workdir, ks=[2, 8])
    estimates = load_estimates(workdir / "results.json")
    found = {name: pytest.approx(e["value"]) for name, e in estimates.items()}
    # C(8, 2) = 28 draws of two; with 4 right ones C(4, 2) = 6 of them hold none.
    assert found["solve.rl_pass_at_2"] == 22 / 28
    assert found["best_at_2.rl_simulate"] == 22 / 28  # who is right is believed
    assert found["gain.rl_best_at_2_over_pass_at_1"] == 22 / 28 - 0.5
    # Before RL 2 are right, of the 4 believed: half of what the 22 draws submit.
    assert found["best_at_2.sft_simulate"] == 11 / 28
    assert found["best_at_2.sft_simulate_vote"] == 11 / 28
    assert found["gain.best_at_2_over_sft"] == 11 / 28
    # C(6, 2) = 15 draws hold no right one: the oracle submits one in 13.
    assert found["best_at_2.sft_oracle"] == 13 / 28
    assert found["gain.sft_best_at_2_oracle_over_simulate"] == 2 / 28
    assert found["best_at_2.sft_shortest"] == 0.25  # all are as long
    assert found["best_at_8.rl_simulate"] == 1.0 and found["solve.rl"] == 0.5


def test_a_k_beyond_the_candidates_is_refused(workdir):
    with pytest.raises(UserError, match="got k=9 with 8 samples"):
        results_of(workdir, ks=[9])


def test_fixes_and_breaks_stand_there_on_all_public_and_hidden_tests(workdir):
    results_of(workdir)
    estimates = load_estimates(workdir / "results.json")
    # One of two attempts: wrong, then right, and right on hidden tests all along.
    for suffix, fixed in (("", 0.5), ("_public", 0.5), ("_hidden", 0.0)):
        assert estimates[f"loop_fix.rl_fix_rate{suffix}"]["value"] == fixed
    assert estimates["loop_resample.rl_break_rate_hidden"]["value"] == 0.5


def test_the_jails_and_the_problems_that_were_asked_stand_beside_the_numbers(workdir):
    about = {"version": "release_v6", "first_date": "2024-08-01", "num_problems": 2}
    for (name, stage), jail in zip(STAGES.items(), ("seccomp", "bubblewrap")):
        note = {"backend": jail, "python": "3.11.7"}
        (workdir / stage / "sandbox.json").write_text(json.dumps(note))
        if name == "rl":
            (workdir / stage / "problems.json").write_text(json.dumps(about))
    results = results_of(workdir)
    assert results["backend"] == "seccomp and bubblewrap"
    page = (workdir / "report.html").read_text()
    assert "seccomp and bubblewrap" in page and "ran in the jail" in page
    (workdir / "train_rl" / "sandbox.json").write_text('{"backend": "bare"}')
    assert results_of(workdir)["backend"] == "seccomp and bubblewrap and bare"
    assert results["tables"]["problems"] == [{"policy": "rl", **about}]


def test_a_policy_alone_whose_own_programs_are_all_wrong_has_its_numbers(workdir):
    own = workdir / "own" / "evaluate_prediction" / "train_rl.jsonl"
    wrong = [record for record in predictions({1}) if record["role"] == "wrong"]
    write(own, wrong)
    write(own.with_name("nothing.jsonl"), [])
    results_of(
        workdir,
        subject="solver",
        predicting={"solver": "train_rl"},
        solving={"solver": STAGES["rl"]},
        own="own/evaluate_prediction",
    )
    assert estimate_predictions(own.parent, {"solver": "nothing"}, "solver") == {}
    estimates = load_estimates(workdir / "results.json")
    assert estimates["prediction_own_wrong.solver"]["value"] == 0.5
    assert "prediction_own_right.solver" not in estimates
    assert estimates["prediction_right.solver"]["value"] == 0.5
