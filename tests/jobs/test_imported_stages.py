"""From what `import_problems` leaves to a dataset, stage by stage."""

import json

import pytest

from simex.core.errors import UserError
from simex.data.builder import load_split
from simex.data.listed_runs import ImportedRuns
from simex.jobs.build_dataset import build_dataset
from simex.jobs.trace_programs import trace_programs
from simex.jobs.write_explanations import write_explanations
from tests.data.test_listed_runs import imported  # noqa: F401  (a fixture)


@pytest.mark.slow
def test_imported_programs_are_traced_told_and_built(imported):  # noqa: F811
    trace_programs(imported, max_events=200, imported=ImportedRuns())
    write_explanations(imported, imported / "write_explanations", max_chars=10_000)
    report = json.loads((imported / "write_explanations" / "report.json").read_text())
    assert report == {
        "contest_runs: kept": 1,
        "contest_runs: trace truncated": 2,
        "contest_runs: traced stdout differs from what is expected": 1,
        "contests: kept": 2,
        "function_calls: kept": 1,
    }
    build_dataset(imported, imported / "build_dataset", problems=("import_problems",))
    examples = load_split(imported / "build_dataset" / "nlex", "train")
    found = {(e.task, e.source, e.license) for e in examples}
    assert found == {
        ("explain", "function_calls", "MIT"),
        ("predict_output", "contest_runs", "MIT"),
        ("predict_output", "contests", "MIT"),
        ("predict_output", "contests", "CC-BY"),
        ("solve", "contests", "MIT; statement: CC-BY"),
        ("submit_or_fix", "contests", "MIT; statement: CC-BY"),
        ("submit_or_fix", "contests", "CC-BY"),
    }
    fixes = {e.id: e.target for e in examples if e.task == "submit_or_fix"}
    assert "#SUBMIT" in fixes["p/right/submit_or_fix"]
    # 4 + 5 is not 4 * 2: the wrong program is replaced by the right one.
    assert "print(int(input()) * 2)" in fixes["p/wrong/submit_or_fix"]
    direct = load_split(imported / "build_dataset" / "direct", "train")
    assert {e.id for e in direct} == {e.id for e in examples}


def test_without_anything_to_trace_the_stage_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="trace_programs.imported"):
        trace_programs(tmp_path)
