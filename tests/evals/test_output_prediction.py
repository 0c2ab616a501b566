"""What a record of a prediction holds, and what an analysis makes of it."""

import json

from simex.evals.output_prediction import predict_outputs
from simex.jobs.analyse_predictions import analyse_predictions
from simex.jobs.sandbox import SandboxConfig
from simex.tasks.predict_output import PredictionItem
from tests.scripted import Script

LOOP = "t = 0\nfor x in range(3):\n    t += x\nprint(t)\n"


def make_record(**fields) -> dict:
    item = PredictionItem(
        id="a", group="g", role="right", stdin="", checker="lines", **fields
    )
    policy = Script([f"<think></think><output>{item.stdout}</output>"])
    (record,) = predict_outputs(policy, [item], seed_path=(0,))
    return record


def test_a_record_holds_the_limits_of_its_run():
    limits = {"cpu_secs": 7.0, "memory_mib": 64, "output_mib": 1.0}
    record = make_record(source=LOOP, stdout="3\n", limits=limits)
    assert record["limits"] == limits and record["is_right"]
    older = make_record(source=LOOP, stdout="3\n")
    assert older["limits"] == {"cpu_secs": 2.0, "memory_mib": 1024, "output_mib": 8.0}


def test_a_program_is_traced_within_the_limits_of_its_run(tmp_path):
    """Of 2 MiB printed, limits of 1 MiB let nobody see the end; those of 8 MiB do."""
    long = "print('x' * (2 << 20))\n"
    records = [
        make_record(source=long, stdout="x" * (2 << 20), limits={"output_mib": mib})
        for mib in (1.0, 8.0)
    ]
    older = {name: value for name, value in records[0].items() if name != "limits"}
    lines = [json.dumps(record) + "\n" for record in (*records, older)]
    (tmp_path / "said.jsonl").write_text("".join(lines))
    analyse_predictions(
        tmp_path,
        tmp_path / "analysis",
        predictions=["said.jsonl"],
        sandbox=SandboxConfig(num_workers=1),
    )
    tables = json.loads((tmp_path / "analysis" / "analysis.json").read_text())
    assert tables["said"]["untraced"] == 1
