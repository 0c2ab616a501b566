"""The numbers of a study and of a report, from records that were written by hand."""

import json

import pytest

from simex.core.errors import UserError
from simex.evals import prices
from simex.jobs.report_estimates import collect_estimates
from simex.jobs.study import report_study, study_results
from simex.report.results import load_estimates, save_results
from tests.jobs.test_rl_results import candidates, outcomes, predictions, write

MENDED = ([False, True], [True, True])  # one of two attempts
SAME = ([False, False], [True, True])
BROKEN = ([True, False], [True, True])


@pytest.fixture
def workdir(tmp_path):
    """Four of eight candidates are right; the solver believes six, another one four."""
    folder = tmp_path / "evaluate_prediction"
    write(folder / "direct_train_sft.jsonl", predictions(set()))
    write(folder / "prose_train_sft.jsonl", predictions({0}))
    write(folder / "nlex_train_sft.jsonl", predictions({0, 1}))
    write(folder / "train_rl.jsonl", predictions({0, 1, 2}))
    for stage, num_right, num_believed in (
        ("sft", 2, 4), ("rl", 4, 6), ("own", 4, 6), ("dedicated", 4, 4),
    ):  # fmt: skip
        drawn = candidates(num_right, num_believed=num_believed)
        write(tmp_path / stage / "evaluate_solving" / "simulated.jsonl", drawn)
    for stage, fix in (("rl", MENDED), ("own", MENDED), ("untrained", BROKEN)):
        loops = tmp_path / stage / "evaluate_solving" / "loops"
        write(loops / "fix.jsonl", outcomes(*fix))
        write(loops / "resample.jsonl", outcomes(*SAME))
    return tmp_path


def values(estimates):
    return {name: pytest.approx(e["value"]) for name, e in estimates.items()}


def test_a_report_says_what_each_stage_adds(workdir):
    folder = workdir / "evaluate_prediction"
    write(folder / "functions.jsonl", predictions({3}))
    scored = [r | {"is_strictly_right": r["id"] == "0"} for r in predictions({0, 1, 2})]
    write(folder / "cruxeval.jsonl", scored)
    found = values({n: e.as_dict() for n, e in collect_estimates(workdir).items()})
    assert found["prediction.direct_sft"] == 0 and found["prediction.nlex_sft"] == 0.5
    assert found["prediction.rl"] == 0.75
    assert found["prediction.rl_right_programs"] == 1.0  # 0 and 2 of 0 and 2
    assert found["prediction.rl_wrong_programs"] == 0.5  # 1 of 1 and 3
    assert found["real_functions.prediction"] == 0.25
    assert found["cruxeval.official"] == 0.75 and found["cruxeval.strict"] == 0.25
    assert found["gain.nlex_over_direct"] == 0.5 and found["gain.rl_over_nlex"] == 0.25
    assert found["solve.sft_pass_at_1"] == 0.25 and found["solve.rl_pass_at_1"] == 0.5
    assert found["solve.pass_at_8"] == 1.0 and found["gain.rl_over_sft_solving"] == 0.25
    # Of the six that are believed four are right; the oracle chooses among the four.
    assert found["best_at_8.simulate"] == 4 / 6 and found["best_at_8.oracle"] == 1.0
    assert found["best_at_8.random"] == found["best_at_8.shortest"] == 0.5
    # Of C(8, 2) = 28 draws of two one holds none that is believed.
    assert found["best_at_2.simulate"] == 27 / 28 * 4 / 6
    assert found["best_at_4.simulate"] == 4 / 6
    assert found["gain.simulate_over_pass_at_1"] == 4 / 6 - 1 / 2
    assert found["gain.oracle_over_simulate"] == 2 / 6
    assert found["verifier.precision"] == 4 / 6 and found["verifier.recall"] == 1.0
    assert found["verifier.agreement"] == 6 / 8
    assert found["self_rlef.single"] == 0.5 and found["self_rlef.fixed"] == 1.0
    assert found["self_rlef.fix_rate"] == 0.5 and found["self_rlef.break_rate"] == 0
    assert found["self_rlef.resample"] == 0.5
    assert found["gain.fixed_over_single"] == found["gain.fixed_over_resample"] == 0.5


def test_a_study_compares_every_row_with_its_baseline_and_its_reference(workdir):
    note = {"backend": "bubblewrap", "python": "3.11.7"}
    stage = workdir / "study_results"
    stage.mkdir()
    (workdir / "own/evaluate_solving/sandbox.json").write_text(json.dumps(note))
    rows = {"direct": "direct/train_sft", "prose": "prose/train_sft"}
    rows["compact"] = "train_rl"
    study_results(workdir, stage, seed=0, rows=rows)
    assert json.loads((stage / "results.json").read_text())["backend"] == "bubblewrap"
    found = values(load_estimates(workdir / "results.json"))
    assert found["prediction.prose"] == 0.25
    assert (
        found["prediction_right.prose"] == 0.5 and found["prediction_wrong.prose"] == 0
    )
    gains = {n: v for n, v in found.items() if n.startswith("gain.")}
    assert gains == {
        "gain.prose_over_direct": 0.25,
        "gain.compact_over_direct": 0.75,
        "gain.compact_over_prose": 0.5,
        "gain.oracle_over_simulate": 2 / 6,
        "gain.dedicated_over_own": 2 / 6,  # 4 of 4 against 4 of 6
        "gain.simulate_over_shortest": 1 / 6,
        "gain.simulate_over_majority": 1 / 6,
        "gain.simulate_over_random": 1 / 6,
        "gain.loop_fix": 0.5,
        "gain.loop_fix_over_resample": 0.5,
        "gain.loop_resample": 0.0,
        "gain.loop_untrained": -0.5,
    }
    assert found["best_at_8.simulate_dedicated"] == 1.0
    assert found["solve.pass_at_1"] == 0.5 and found["solve.pass_at_8"] == 1.0
    assert found["verifier.precision.own"] == 4 / 6
    assert found["verifier.precision.dedicated"] == 1.0
    assert found["loop_fix.fix_rate"] == 0.5 and found["loop_resample.fix_rate"] == 0.0


def test_the_table_of_a_study_is_the_mean_of_its_seeds(tmp_path):
    name = "gain.compact_over_direct"
    estimate = {"low": 0.2, "high": 0.8, "n": 100, "stderr": 0.01, "problems": 50}
    for seed, (value, jail) in enumerate([(0.7, "seccomp"), (0.3, "bubblewrap")]):
        save_results(
            tmp_path / str(seed) / "results.json",
            {name: estimate | {"value": value}},
            seconds={},
            seed=seed,
            device="cpu x 1",
            backend=jail,
            required=(),
        )
    stage = tmp_path / "report_study"
    stage.mkdir()
    runs = [str(tmp_path / str(seed)) for seed in (0, 1)]
    report_study(tmp_path, stage, runs=runs, title="two seeds")
    results = json.loads((tmp_path / "results.json").read_text())
    found = load_estimates(stage / "results.json")[name]
    assert found["value"] == pytest.approx(0.5) and found["n"] == 200
    # The spread of 0.7 and 0.3: variance 0.08, so sqrt(0.08 / 2) = 0.2.
    assert found["stderr"] == pytest.approx(0.2)
    assert results["backend"] == "seccomp and bubblewrap"
    assert results["tables"]["by_seed"] == [{"name": name, "values": [0.7, 0.3]}]
    (ordering,) = results["tables"]["orderings"]
    assert ordering["verdict"].endswith("(2 of 2 seeds above 0)")
    table = (stage / "table.md").read_text()
    interval = f"[{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
    assert f"| {name} | 50.0 | {interval} | 70.0, 30.0 | 200 |" in table
    assert "two seeds" in (tmp_path / "report.html").read_text()


def test_a_loop_costs_what_its_attempts_took_up_to_each_turn():
    records = outcomes([False, True], [False, False])
    records[0] |= {"samples": [1, 4], "predictions": [2, 9], "executions": [0, 3]}
    first, second = prices.price_loop("loop fix", records)
    assert (first.method, second.method) == ("loop fix, 1 turn", "loop fix, 2 turns")
    assert (first.estimate.value, second.estimate.value) == (0.0, 0.5)
    assert (first.samples, second.samples) == (1.0, 3.0)  # (4 + 2) / 2
    assert (first.predictions, second.predictions) == (1.5, 5.5)  # 2 + 1, 9 + 2
    assert (first.executions, second.executions) == (0.0, 1.5)


def test_a_report_leaves_out_what_has_no_records(workdir):
    folder = workdir / "evaluate_prediction"
    write(folder / "functions.jsonl", [])
    found = [r for r in predictions({0, 1, 2}) if r["role"] == "right"]
    write(folder / "train_rl.jsonl", found)
    for name in ("direct_train_sft", "nlex_train_sft"):
        write(folder / f"{name}.jsonl", found)
    estimates = collect_estimates(workdir)
    assert "prediction.rl_right_programs" in estimates
    assert not {"prediction.rl_wrong_programs", "real_functions.prediction"} & set(
        estimates
    )


def test_a_report_of_too_few_candidates_names_the_setting(workdir):
    write(workdir / "evaluate_prediction" / "functions.jsonl", predictions({3}))
    path = workdir / "rl" / "evaluate_solving" / "simulated.jsonl"
    write(path, list(candidates(4, num_believed=6))[:4])
    with pytest.raises(UserError, match=r"at least 8 .* rl/evaluate_solving.samples"):
        collect_estimates(workdir)
