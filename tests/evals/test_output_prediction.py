"""What a record of a prediction holds, and what an analysis makes of it."""

import dataclasses
import json

from simex.evals.output_prediction import predict_calls, predict_outputs
from simex.jobs.analyse_predictions import analyse_predictions
from simex.jobs.sandbox import SandboxConfig
from simex.rollouts.answers import parse_turn
from simex.rollouts.policy import Query
from simex.sampling.samples import Stop
from simex.tasks.answer import Refusal
from simex.tasks.predict_output import PredictionItem
from tests.scripted import CutOff, Script

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


def judged(records):
    return [(r["said"], r["refusal"], r["is_right"]) for r in records]


def test_an_output_is_right_wrong_refused_or_cut_off():
    item = PredictionItem(
        id="a", group="g", role="wrong", stdin="", checker="lines", source=LOOP,
        stdout="3\n",
    )  # fmt: skip
    whole = "<think></think><output>3</output>"
    answers = [
        whole,
        "<think></think><output>4</output>",
        "<think></think>3",
        whole * 2,
    ]
    policy = Script(answers)
    found = predict_outputs(policy, [item] * 4, seed_path=(0,))
    assert judged(found) == [
        ("3", None, True),
        ("4", None, False),
        (None, "no_answer", False),
        (None, "several_thoughts", False),
    ]
    assert {r["num_tokens"] for r in found} == {2}
    assert policy.seed_paths == [(0, i) for i in range(4)]
    cut = predict_outputs(CutOff([whole]), [item], seed_path=(0,))
    assert judged(cut) == [(None, "truncated", False)]


def test_the_value_of_a_call_is_right_wrong_refused_or_cut_off():
    call = {
        "id": "c", "group": "g", "source": "def f(x):\n    return x",
        "call": "f(a == 1)", "stdout": "'b == 2'\n",
    }  # fmt: skip
    whole = "[THOUGHT][/THOUGHT][ANSWER]assert f(a == 1) == 'b == 2'[/ANSWER]"
    wrong = whole.replace("'b == 2'", "3")
    answers = [whole, wrong, "[THOUGHT][/THOUGHT]3"]
    found = predict_calls(Script(answers), [call] * 3, seed_path=(0,))
    assert judged(found) == [
        ("'b == 2'", None, True),
        ("3", None, False),
        (None, "no_answer", False),
    ]
    assert {r["role"] for r in found} == {"function"}
    cut = predict_calls(CutOff([whole]), [call], seed_path=(0,))
    assert judged(cut) == [(None, "truncated", False)]


def test_a_turn_that_was_cut_off_answers_nothing():
    policy = CutOff(["<think></think><output>3</output>"])
    (turn,) = policy.complete([Query(task="predict_output", prompt="p", seed_path=())])
    assert parse_turn(turn).refusal is Refusal.TRUNCATED
    asked = dataclasses.replace(turn, stop=Stop.STOP_ID)
    assert parse_turn(asked).value == "3"
    assert parse_turn(dataclasses.replace(turn, completion_ids=())).refusal is (
        Refusal.NO_ROOM
    )


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
