"""`simex plan` on fake devices."""

import dataclasses
import json
import subprocess
import sys

import pytest

from simex.core.config import load_experiment
from simex.core.errors import UserError
from simex.jobs.planned import imported_config, planned_stages
from simex.jobs.wiring import register
from simex.main import main
from simex.models.sizes import SIZES
from simex.plans import isolation
from simex.plans.compile_process import Request
from simex.plans.isolation import compile_all
from simex.plans.plan import choose_programs, make_plan
from simex.plans.topology import parse_topology

PROGRAMS = ["prefill", "decode_chunk", "token_logprobs", "rl_gradients", "rl_apply"]


def stages_of(path, *overrides):
    register()
    return planned_stages(load_experiment(path, overrides))


def test_what_a_compiler_said_is_its_exception_and_not_the_program_behind_it():
    hlo = "Error encountered while compiling %while.1 = (" + "f32[1,2], " * 999 + ")"
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1, in f'
    error = "jax.errors.JaxRuntimeError: INTERNAL: RET_CHECK failure device_id 16"
    reason = isolation._death(1, f"{trace}\n{error}\n\n{hlo}")
    assert reason == f"the compiler stopped with code 1 and said: {error}"
    long = isolation._death(1, "ValueError: " + "shape (3, 4) and " * 999)
    assert len(long) < isolation.MAX_REASON + 60 and long.endswith(" ...")
    assert isolation._death(3, "").endswith("code 3 and said: nothing")
    with pytest.raises(UserError, match="^There must be rows.$"):
        isolation._death(
            1, f"{trace}\nsimex.core.errors.UserError: There must be rows.\n--------"
        )


@pytest.fixture(scope="module")
def smoke():
    return stages_of("experiments/smoke.gin", "DecoderShape.max_positions=32")


def test_the_decay_of_rl_is_planned_as_it_will_run():
    stages = stages_of("experiments/laptop.gin")
    (found,) = [stage.optimizer for stage in stages if stage.name == "train_rl"]
    assert (found.schedule, found.num_steps) == ("linear", 120)


@pytest.mark.slow
def test_every_program_of_rl_is_compiled_and_described_as_json(capfd):
    words = ["--only", "train_rl", "--topology", "cpu:8", "--json"]
    small = ["--set", "DecoderShape.max_positions=32"]
    assert main(["plan", "experiments/smoke.gin", *small, *words]) == 0
    out, err = capfd.readouterr()
    content = json.loads(out)
    assert (content["topology"], content["num_devices"]) == ("cpu:8", 8)
    assert content["fits"] and content["chip"] is None and content["search"] is None
    assert [p["program"] for p in content["programs"]] == PROGRAMS
    for program in content["programs"]:
        assert program["fits"] and program["refusal"] is None
        assert program["seconds"] is None and program["mfu_range"] is None
        memory = program["memory"]
        parts = ["temporaries", "outputs", "code"]
        total = sum(memory[part] for part in parts)
        total += sum(memory["arguments"].values()) + sum(memory["beside"].values())
        assert memory["total"] == total
        assert program["work"]["compile_secs"] > 0
        assert f"train_rl: {program['program']}: fits" in err
    by_name = {p["program"]: p for p in content["programs"]}
    assert set(by_name["decode_chunk"]["memory"]["arguments"]) >= {
        "decode params", "kv cache", "batch",
    }  # fmt: skip
    assert by_name["rl_gradients"]["memory"]["beside"]["optimizer"] > 0
    assert by_name["rl_apply"]["memory"]["arguments"]["optimizer"] > 0


def test_arguments_are_known_without_compiling(smoke):
    topology = parse_topology("cpu:8")
    stage = next(s for s in smoke if s.name == "train_rl")
    (report,) = compile_all([Request(stage, "rl_apply", topology, compiles=False)])
    assert report.work is None
    # Adam keeps two float32 numbers for each param, and counts its updates.
    params = report.memory.arguments["params"]
    assert params == 4 * stage.model.num_params
    assert 0 < report.memory.arguments["optimizer"] - 2 * params < 100


def test_rows_that_do_not_divide_are_a_refusal_in_words(smoke):
    stage = dataclasses.replace(smoke[0], batch_rows=12)
    (report,) = compile_all([Request(stage, "sft_update", parse_topology("cpu:8"))])
    assert "8 devices" in report.refusal.reason and "12 rows" in report.refusal.reason
    assert report.memory is None


def test_a_compiler_that_dies_costs_its_program_alone(smoke, monkeypatch, tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        "import json, os, pickle, signal, sys\n"
        "requests = pickle.load(sys.stdin.buffer)\n"
        "for request in requests:\n"
        "    if request[1] == 'decode_chunk':\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    report = {'stage': request[0].name, 'program': request[1]}\n"
        "    print(json.dumps(report), flush=True)\n"
    )

    class Popen(subprocess.Popen):
        def __init__(self, words, **options):
            super().__init__([sys.executable, str(script)], **options)

    monkeypatch.setattr(isolation.subprocess, "Popen", Popen)
    stage = next(s for s in smoke if s.name == "train_rl")
    topology = parse_topology("cpu:8")
    reports = compile_all([Request(stage, name, topology) for name in PROGRAMS])
    assert [r.program for r in reports] == PROGRAMS
    refused = {r.program: r.refusal.reason for r in reports if r.refusal}
    assert refused == {"decode_chunk": "the compiler crashed (SIGSEGV)"}


def test_stages_and_programs_are_chosen_by_name(smoke):
    chosen = choose_programs(smoke, ["train_rl:rl_apply", "direct/train_sft"])
    assert [(stage.name, name) for stage, name in chosen] == [
        ("direct/train_sft", "sft_update"),
        ("train_rl", "rl_apply"),
    ]
    with pytest.raises(UserError, match="Did you mean 'train_rl:rl_apply'"):
        choose_programs(smoke, ["train_rl:rl_aply"])


def test_without_libtpu_a_plan_says_how_to_get_it(smoke, monkeypatch):
    monkeypatch.setattr("simex.plans.topology.has_libtpu", lambda: False)
    with pytest.raises(UserError, match="launch/local libtpu"):
        make_plan(smoke, parse_topology("v5e:4x4"))


@pytest.mark.parametrize(
    ("text", "slices", "message"),
    [
        ("v5q:4x4", 1, "Did you mean 'v5p'"),
        ("v5e:4by4", 1, "kind:AxB"),
        ("v5p:4x4", 1, "has 3 numbers"),
        ("v5e:4x4", 0, "at least one slice"),
        ("cpu:8", 2, "no slices"),
    ],
)
def test_a_topology_that_cannot_be_is_refused(text, slices, message):
    with pytest.raises(UserError, match=message):
        parse_topology(text, num_slices=slices)


def test_slices_multiply_devices():
    topology = parse_topology("v5p:4x4x8", num_slices=2)
    assert (topology.num_devices, str(topology)) == (256, "v5p:4x4x8 x 2 slices")


def test_an_imported_model_is_known_by_the_name_of_its_folder(tmp_path):
    found = imported_config(tmp_path / "Qwen2.5-7B-Instruct")
    assert found == SIZES["Qwen2.5-7B"].config
    with pytest.raises(UserError, match="no name known"):
        imported_config(tmp_path / "MyModel")


def test_stages_know_their_models_without_a_run():
    sft, rl = stages_of("experiments/paper/rl_7b.gin")
    assert (sft.name, rl.name) == ("finetune", "train_rl")
    assert sft.tokens_per_step == 4 * 2**20 and rl.rows * rl.seq_len == 2**20
    for stage in (sft, rl):
        assert stage.model.max_positions == 65_536
        assert stage.model.rope_scaling.factor == 2.0
        assert (stage.model.remat, stage.model.compute_dtype) == ("full", "bfloat16")
    assert rl.optimizer.learning_rate == 1.4e-7 and rl.optimizer.clip_norm == 0.1
    assert rl.prompts_per_step == 160 // 8
    assert rl.num_param_copies == 1  # the first params
    *_, ahead = stages_of("experiments/paper/rl_7b.gin", "train_rl.max_staleness=8")
    assert ahead.num_param_copies == 2  # and those that sample
    predicting = (
        "SolveObjective.feedback=@Feedback()",
        'Feedback.sources=["predicted"]',
        'Feedback.verifier="finetune"',
        "SolveObjective.max_fixes=1",
    )
    *_, asking = stages_of("experiments/paper/rl_7b.gin", *predicting)
    assert asking.num_param_copies == 2  # and those of the verifier
    best = stages_of(
        "experiments/paper/rl_7b.gin", 'finetune.model="import_model@best"'
    )
    assert best[0].model == sft.model


def test_a_run_that_trains_nothing_has_no_plan():
    with pytest.raises(UserError, match="no stage to plan"):
        stages_of("experiments/data/curriculum.gin")


def test_the_command_needs_a_topology():
    with pytest.raises(SystemExit):
        main(["plan", "experiments/smoke.gin"])
