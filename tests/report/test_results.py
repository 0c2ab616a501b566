"""results.json: complete, well-formed, read back as written."""

import json

import pytest

from simex.core.errors import UserError
from simex.report.results import REQUIRED, load_estimates, save_results

ESTIMATE = {
    "value": 0.5,
    "low": 0.4,
    "high": 0.6,
    "n": 200,
    "stderr": 0.05,
    "problems": 100,
}


def save(path, estimates):
    save_results(
        path,
        estimates,
        seconds={"train_sft": 12.34567},
        seed=0,
        device="cpu x 2",
        backend="bubblewrap",
    )


@pytest.fixture
def estimates():
    return {name: dict(ESTIMATE) for name in REQUIRED}


def test_a_dotted_name_is_a_path_in_the_file(tmp_path, estimates):
    save(tmp_path / "results.json", estimates)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["prediction"]["nlex_sft"] == ESTIMATE
    assert results["best_at_8"]["simulate"] == ESTIMATE
    assert results["seconds"] == {"train_sft": 12.346}
    assert (results["seed"], results["device"], results["backend"]) == (
        0,
        "cpu x 2",
        "bubblewrap",
    )


def test_estimates_are_read_back_as_they_were_saved(tmp_path, estimates):
    estimates["gain.nlex_over_direct"] = ESTIMATE | {"value": -0.1, "low": -0.2}
    save(tmp_path / "results.json", estimates)
    assert load_estimates(tmp_path / "results.json") == estimates


@pytest.mark.parametrize("name", REQUIRED)
def test_each_missing_estimate_is_an_error_and_nothing_is_written(
    tmp_path, estimates, name
):
    del estimates[name]
    with pytest.raises(UserError, match=f"{name} is missing"):
        save(tmp_path / "results.json", estimates)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"value": float("nan")},
        {"high": float("inf")},
        {"low": 0.7},  # above high
        {"n": 0},
        {"problems": 201},  # above n
        {"stderr": -0.1},
        {"value": None},
        {"value": "0.5"},
    ],
)
def test_a_malformed_estimate_is_an_error(tmp_path, estimates, changes):
    estimates["prediction.rl"] |= changes
    with pytest.raises(UserError, match="prediction.rl is {'value'"):
        save(tmp_path / "results.json", estimates)


@pytest.mark.parametrize("name", ["prediction", "prediction.rl.more", "seconds.x"])
def test_names_that_collide_in_the_file_are_an_error(tmp_path, estimates, name):
    estimates[name] = dict(ESTIMATE)
    with pytest.raises(UserError, match="begin"):
        save(tmp_path / "results.json", estimates)


def test_all_faults_are_listed_at_once(tmp_path):
    with pytest.raises(UserError) as raised:
        save(tmp_path / "results.json", {})
    assert all(name in str(raised.value) for name in REQUIRED)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(UserError, match="does not"):
        load_estimates(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"prediction": ')
    with pytest.raises(UserError, match="must be JSON"):
        load_estimates(tmp_path / "half.json")


def test_estimates_of_an_older_file_are_left_out_aloud(tmp_path, estimates):
    path = tmp_path / "results.json"
    save(path, estimates)
    results = json.loads(path.read_text())
    for name in ("rl", "nlex_sft"):
        del results["prediction"][name]["stderr"]
    path.write_text(json.dumps(results))
    expected = (
        r"2 of \d+ estimates are left out, since they lack stderr \(prediction.nlex"
    )
    with pytest.warns(UserWarning, match=expected):
        found = load_estimates(path)
    assert found == {
        name: estimate
        for name, estimate in estimates.items()
        if name not in ("prediction.rl", "prediction.nlex_sft")
    }
