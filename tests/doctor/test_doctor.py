"""The check list, and the words for rows that do not divide."""

import dataclasses
import json
import math
import pathlib
import re
import typing

import pytest

from simex.commands import run
from simex.core.config import Stage, load_experiment
from simex.core.errors import UserError
from simex.core.shared_stages import num_shared
from simex.core.stages import Plan, Todo
from simex.data.listed_runs import FileRuns
from simex.doctor import checks as checks_module
from simex.doctor.beforehand import refuse_rollouts_ahead
from simex.doctor.divisibility import (
    divide_in_words,
    even_devices,
    refuse_uneven,
    shards_of,
)
from simex.doctor.duration import matmul_flops, require_steps
from simex.doctor.memory import estimate_memory
from simex.doctor.presence import find_missing, find_missing_stages
from simex.hf.export import DTYPES
from simex.jobs.checkpoint_teller import CheckpointTeller
from simex.jobs.explain_programs import explain_programs
from simex.jobs.shard_makers import MAKERS, MakerName
from simex.jobs.train_rl import train_rl
from simex.jobs.wiring import register
from simex.jobs.write_explanations import write_explanations
from simex.main import main
from simex.models.config import ComputeDtype, ModelConfig
from simex.nlex.completion.endpoint import Endpoint
from simex.nlex.rewriters import REWRITERS, StyleName
from simex.plans.programs import make_program
from simex.plans.stage import SftStage
from simex.rl.presets import make_algorithm
from simex.rollouts.feedback import Feedback
from simex.rollouts.objective import split_rollouts
from simex.rollouts.solve import SolveObjective
from simex.sharding.compiles import unwatched
from simex.sharding.mesh import MeshConfig, make_mesh
from simex.train.optimizer import OptimizerConfig

SMOKE = str(pathlib.Path(__file__).parents[2] / "experiments" / "smoke.gin")
QUICKSTART = SMOKE.replace("smoke.gin", "quickstart.gin")


@pytest.mark.parametrize(
    ("rows", "shards", "group", "words"),
    [
        (
            96,
            5,
            8,  # whole groups: multiples of 40
            "12 prompts × 8 = 96 rows do not divide over 5 devices; nearest: 80 or 120",
        ),
        (10, 4, 1, "10 rows do not divide over 4 devices; nearest: 8 or 12"),
        (3, 8, 1, "3 rows do not divide over 8 devices; nearest: 8"),
    ],
)
def test_rows_that_do_not_divide_are_told_in_words(rows, shards, group, words):
    assert divide_in_words(rows, shards, group=group) == words


def test_the_mesh_decides_into_how_many_parts_rows_go():
    assert shards_of(MeshConfig(), 6) == 6
    assert shards_of(MeshConfig(tensor=2), 6) == 3
    assert shards_of(MeshConfig(data=2, fsdp=4, tensor=2), 1) == 8
    with pytest.raises(UserError, match="must divide the 6 devices"):
        shards_of(MeshConfig(fsdp=4), 6)


def test_every_uneven_row_count_of_an_experiment_is_named():
    register()
    experiment = load_experiment(SMOKE, ["train_rl.rows=9"])
    refuse_uneven(load_experiment(SMOKE), 8)
    with pytest.raises(UserError, match=r"^train_rl: rows = 9: 9 rows do not divide"):
        refuse_uneven(experiment, 8)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        # 8 devices are 8, 4 or 2 replicas, and 12 slots divide by 4 only.
        ("None", r"num_slots = 12: 12 rows do not divide over 8 devices"),
        ("2", None),
        ("1", r"num_slots = 12: 12 rows do not divide over 8 devices"),
        ("3", r"SamplerShape.tensor = 3: 8 devices do not divide into groups"),
    ],
)
def test_slots_divide_over_the_devices_that_do_not_decode_together(tensor, message):
    register()
    settings = ["SamplerShape.num_slots=12", f"SamplerShape.tensor={tensor}"]
    experiment = load_experiment(SMOKE, settings)
    if message is None:
        refuse_uneven(experiment, 8)
    else:
        with pytest.raises(UserError, match=message):
            refuse_uneven(experiment, 8)


@pytest.mark.parametrize(
    ("num_cores", "num_devices"), [(1, 1), (2, 2), (6, 4), (8, 8), (10, 8), (24, 8)]
)
def test_any_number_of_cores_runs_the_quickstart(num_cores, num_devices):
    # Batches of 8 rows, 32 rows of RL and 64 slots: divided by 1, 2, 4 and 8.
    register()
    quickstart = load_experiment(QUICKSTART)
    assert even_devices(quickstart, num_cores) == num_devices
    refuse_uneven(quickstart, num_devices)


def test_rows_by_default_and_a_mesh_of_named_sizes_count_too():
    register()
    rows = ["train_sft.batch_rows=12", "SamplerShape.num_slots=96"]
    twelves = load_experiment(QUICKSTART, rows)
    with pytest.raises(UserError, match=r"^train_rl: rows = 32: 32 rows do not divide"):
        refuse_uneven(twelves, 12)
    assert even_devices(twelves, 12) == 4  # divides 12, 32 and 96
    pairs = load_experiment(SMOKE, ["Setup.mesh=@MeshConfig()", "MeshConfig.fsdp=2"])
    assert even_devices(pairs, 7) == 4  # 6 cannot divide 8 rows, 5 and 7 make no pairs
    assert even_devices(pairs, 1) == 1  # and the run says that no pair can be made


def test_a_mesh_of_named_sizes_gets_as_many_devices():
    register()
    two = ["Setup.mesh=@MeshConfig()", "MeshConfig.data=2"]
    named = load_experiment(SMOKE, two)
    assert even_devices(named, 8) == even_devices(named, 2) == 2
    assert even_devices(named, 1) == 1  # too few, and the run says so


def test_uneven_rows_stop_a_run_before_its_first_stage(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "_prepare_devices", lambda experiment, workdir: None)
    words = ["run", SMOKE, "--workdir", str(tmp_path / "run")]
    assert main([*words, "--set", "train_sft.batch_rows=12"]) == 2
    # The tests have 8 devices.
    assert "batch_rows = 12: 12 rows do not divide over 8 devices" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()


def test_a_mesh_for_other_devices_is_not_held_against_this_machine():
    register()
    other = ["Setup.mesh=@MeshConfig()", "MeshConfig.fsdp=16", "train_rl.rows=9"]
    experiment = load_experiment(SMOKE, other)
    refuse_uneven(experiment, 2)


def test_a_dry_run_refuses_rows_that_do_not_divide(tmp_path, capsys):
    words = ["run", SMOKE, "--dry-run", "--workdir", str(tmp_path)]
    uneven = ["--set", "run.cpu_devices=5"]
    assert main([*words, *uneven]) == 2
    assert "8 rows do not divide over 5 devices; nearest: 5 or 10" in (
        capsys.readouterr().err
    )


def test_a_stage_that_is_not_to_run_needs_no_even_rows(tmp_path, monkeypatch):
    words = ["run", SMOKE, "--dry-run", "--workdir", str(tmp_path)]
    uneven = ["--set", "run.cpu_devices=5"]  # 8 rows, 64 slots: all uneven
    assert main([*words, *uneven]) == 2
    assert main([*words, *uneven, "--only", "make_problems,train_tokenizer"]) == 0
    monkeypatch.setattr(
        run,
        "plan_stages",
        lambda experiment, workdir: [
            Plan(stage=stage, todo=Todo.NOTHING) for stage in experiment.stages
        ],
    )
    assert main([*words, *uneven]) == 0


def test_a_stage_that_one_process_does_alone_divides_over_its_devices():
    register()
    experiment = load_experiment(SMOKE.replace("smoke.gin", "data/own_programs.gin"))
    # 64 slots: sixteen on each of a host's 4 chips, half a slot on each of 128.
    refuse_uneven(experiment, 128, num_local=4)
    with pytest.raises(UserError, match="num_slots = 64: 64 rows .* over 128 devices"):
        refuse_uneven(experiment, 128)
    together = load_experiment(SMOKE)  # 8 rows of all processes
    with pytest.raises(UserError, match="batch_rows = 8: 8 rows .* over 16 devices"):
        refuse_uneven(together, 16, num_local=4)


def test_slots_do_not_bind_a_stage_that_never_samples():
    register()
    whole = load_experiment(QUICKSTART, ["train_sft.batch_rows=24"])
    stages = [s for s in whole.stages if s.job.__name__ in ("train_sft", "export")]
    assert len(stages) == 3
    training = dataclasses.replace(whole, stages=tuple(stages))
    assert even_devices(training, 12) == 12  # 24 rows; 64 slots would allow 8
    refuse_uneven(training, 12)
    assert even_devices(whole, 12) == 8  # train_rl and evaluations sample


def test_rollouts_ahead_in_several_processes_are_refused_before_the_first_stage(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(run, "_prepare_devices", lambda experiment, workdir: None)
    monkeypatch.setattr("simex.sharding.processes.num_processes", lambda: 2)
    words = ["run", SMOKE, "--workdir", str(tmp_path / "run")]
    assert main([*words, "--set", "train_rl.max_staleness=8"]) == 2
    err = capsys.readouterr().err
    assert "train_rl.max_staleness must be 0 where 2 processes are one run" in err
    assert not (tmp_path / "run").exists()


PAPERS_RL = ["rl_3b", "rl_7b", "rl_32b", "rl_32b_self_rlef", "small_v5e"]


def load_papers(name):
    register()
    experiment = load_experiment(SMOKE.replace("smoke.gin", f"paper/{name}.gin"))
    return experiment, {stage.name: stage.arguments for stage in experiment.stages}


@pytest.mark.parametrize("name", [*PAPERS_RL, "sft_3b", "sft_7b", "sft_32b"])
def test_rows_and_slots_of_a_paper_file_divide_over_its_machine(name):
    experiment, _ = load_papers(name)
    (shape,) = re.findall(
        r"^# Machine:  v5\w+:([\dx]+)", experiment.path.read_text(), re.MULTILINE
    )
    refuse_uneven(experiment, math.prod(map(int, shape.split("x"))))


def test_devices_that_decode_together_share_their_slots():
    register()
    path = SMOKE.replace("smoke.gin", "paper/rl_32b.gin")
    # 256 devices in groups of 4 are 64: 128 slots are two each, 96 one and a half.
    experiment = load_experiment(path, ["SamplerShape.num_slots=96"])
    with pytest.raises(UserError, match="num_slots = 96: 96 rows .* over 64 devices"):
        refuse_uneven(experiment, 256)


@pytest.mark.parametrize("name", PAPERS_RL)
def test_the_papers_rl_asks_for_what_its_fine_tuning_showed(name):
    _, stages = load_papers(name)
    rl, sft = stages["train_rl"], stages["finetune"]
    predict, solve = rl["objectives"]
    asked = {"predict_output", "solve"} | (
        {"submit_or_fix"} if solve.max_fixes else set()
    )
    assert asked < {t for t, weight in sft["mixture"].weights.items() if weight > 0}
    # All from the problems of others: explained, solved, run and asked about.
    assert sft["dataset"] == "build_dataset/nlex"
    assert stages["build_dataset"]["problems"] == ["import_problems"]
    assert stages["trace_programs"]["imported"].programs_per_role == 2
    assert stages["run_programs"]["problems_from"] == "import_problems"
    assert stages["run_programs"]["inputs_per_program"] is None
    assert solve.problems_from == "import_problems"
    # 20 groups of 8: 0.15 * 20 = 3 and 0.25 * 20 = 5 of them predict, to the group.
    share = {0: 3, 1: 5}[solve.max_fixes]
    assert predict.weight == share / 20
    assert split_rollouts([predict, solve], rl["rollouts_per_step"]) == [
        share,
        20 - share,
    ]


@pytest.mark.parametrize(
    ("first", "then"), [("sft_3b", "rl_3b"), ("sft_7b", "rl_7b"), ("sft_32b", "rl_32b")]
)
def test_the_papers_rl_passes_over_the_stages_of_its_fine_tuning(first, then):
    one, _ = load_papers(first)
    other, _ = load_papers(then)
    assert num_shared(one, other) == len(one.stages) == 6


@pytest.mark.parametrize("name", PAPERS_RL)
def test_the_papers_rl_can_run_in_many_processes_and_in_bfloat16(name):
    experiment, stages = load_papers(name)
    refuse_rollouts_ahead(experiment.stages, 64)
    rl = stages["train_rl"]
    algorithm = make_algorithm("paper", rl["changes"])
    # The longest trajectory: a turn, and one for each fix that is asked for.
    turns = max(
        1 + getattr(objective, "max_fixes", 0) for objective in rl["objectives"]
    )
    assert turns == (2 if name.endswith("self_rlef") else 1)
    assert algorithm.normaliser_tokens == turns * rl["setup"].max_new_tokens
    # In LOG.md 99 % of steep gaps are below 0.098 nats.
    assert 0.098 < algorithm.gap_tolerance < math.log(1.25)
    assert algorithm.gap_share > 0.01


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train_rl.optimizer='adam'", "one of 'muon', 'adamw'"),
        ("train_rl.schedule='lineer'", "one of 'constant', 'cosine', 'linear'"),
        ("nlex/train_sft.variant='nlx'", "one of 'nlex', 'direct'"),
        ("export.dtype='bf16'", "one of 'float32', 'bfloat16'"),
        ("DecoderShape.compute_dtype='bf16'", "one of 'float32', 'bfloat16'"),
        ("train_rl.changes={'clip_hihg': 3}", "train_rl.changes: There is no choice"),
        (
            "train_rl.temperature=0.0",
            "train_rl.temperature: RL must sample at a temper",
        ),
        ("rl/evaluate_solving.solver='train_lr'", "rl/evaluate_solving reads train_lr"),
        # Files that are there, as evaluate_solving.problems_from names one.
        (
            "SolveObjective.problems_from='make_problems/rl.jsonl'",
            "SolveObjective.problems_from must be a stage",
        ),
        (
            "run_programs.problems_from='make_problems/rl.jsonl'",
            "run_programs.problems_from must be a stage",
        ),
    ],
)
def test_a_dry_run_refuses_a_value_that_cannot_be(setting, message, tmp_path, capsys):
    words = ["run", SMOKE, "--dry-run", "--workdir", str(tmp_path)]
    assert main([*words, "--set", setting]) == 2
    assert message in capsys.readouterr().err


def test_the_names_of_annotations_are_those_of_the_tables():
    assert typing.get_args(StyleName) == tuple(REWRITERS)
    assert typing.get_args(MakerName) == tuple(MAKERS)
    assert set(typing.get_args(ComputeDtype)) == set(DTYPES)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("style='prosa'", "one of 'compact', 'prose', 'raw_trace'"),
        ("made_by='rya'", "one of 'processes', 'ray'"),
    ],
)
def test_a_name_that_is_in_no_table_is_refused_before_the_run(setting, message):
    register()
    path = SMOKE.replace("smoke.gin", "data/curriculum.gin")
    with pytest.raises(UserError, match=message):
        load_experiment(path, [f"explain_programs.{setting}"])


def test_a_dry_run_refuses_a_sandbox_that_is_not_there(tmp_path, capsys):
    words = ["run", SMOKE, "--dry-run", "--workdir", str(tmp_path)]
    sandbox = ["train_rl.sandbox=@SandboxConfig()", "SandboxConfig.backend='rya'"]
    assert main([*words, "--set", sandbox[0], "--set", sandbox[1]]) == 2
    assert "Did you mean 'ray'?" in capsys.readouterr().err


def ask(capsys, *words):
    code = main(["doctor", *words, "--json", "--devices", "8"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    return code, {check["name"]: check for check in checks}


@pytest.mark.slow
def test_the_list_covers_machine_sandbox_rows_memory_and_a_step(capsys, tmp_path):
    code, checks = ask(capsys, SMOKE, "--workdir", str(tmp_path))
    assert code == 0, [c for c in checks.values() if c["status"] == "fail"]
    assert checks["devices"]["text"] == "8 x cpu"
    assert checks["sandbox"]["status"] in ("ok", "warn")
    assert "sampler and trainer agree" in checks["tiny step of train_rl"]["text"]
    assert checks["memory of train_rl"]["status"] == "ok"
    assert "optimizer" in checks["memory of nlex/train_sft"]["text"]
    assert checks["time"]["text"].startswith("training takes at least ")
    assert "one update done; loss" in checks["tiny step of direct/train_sft"]["text"]
    status = checks["tiny export"]["text"]
    assert status.startswith(("verified", "ids verified")), status
    assert checks["data"]["status"] == "ok"
    assert checks["stages"]["text"].startswith("0 of 16 are done")


def test_what_nobody_makes_is_named(tmp_path):
    register()
    gone = ["export.checkpoint='train_sft@best'", "train_rl.init_from='rl/train_sft'"]
    stages = load_experiment(SMOKE, gone).stages
    missing = find_missing(stages, tmp_path)
    assert [line.split(",")[0] for line in missing] == [
        "train_rl reads rl/train_sft",
        "export reads train_sft",
    ]
    (tmp_path / "train_sft").mkdir()  # of an earlier run
    (tmp_path / "rl/train_sft").mkdir(parents=True)
    assert find_missing(stages, tmp_path) == []
    # Without the stages before it, nobody makes what the first one reads.
    alone = [stage for stage in stages if stage.name == "direct/train_sft"]
    assert [
        line.split(" reads ")[1].split(",")[0] for line in find_missing(alone, tmp_path)
    ] == [
        "build_dataset",
        "train_tokenizer",
    ]


@pytest.mark.parametrize(
    ("file", "setting", "missing"),
    [
        ("paper/sft_7b.gin", "", "import_model.source is models/Qwen2.5-7B"),
        (
            "real/smollm2.gin",
            "explain_functions.paths=['a.jsonl']",
            "explain_functions.paths is a.jsonl",
        ),
        (
            "paper/sft_7b.gin",
            "finetune.more_examples=['e.jsonl']",
            "finetune.more_examples is e.jsonl",
        ),
        (
            "data/import.gin",
            "import_problems.inputs=[('taco', 'b.jsonl')]",
            "import_problems.inputs is b.jsonl",
        ),
        ("smoke.gin", "harvest_functions.root='c'", "harvest_functions.root is c"),
        (
            "real/smollm2.gin",
            "before/score_cruxeval.path='d.jsonl'",
            "before/score_cruxeval.path is d.jsonl",
        ),
    ],
)
def test_a_file_that_a_stage_reads_must_exist(file, setting, missing, tmp_path):
    register()
    path = SMOKE.replace("smoke.gin", file)
    experiment = load_experiment(path, [setting] if setting else [])
    found = find_missing(experiment.stages, tmp_path)
    assert f"{missing}, which does not exist" in found


@pytest.mark.parametrize(
    ("file", "setting", "missing"),
    [
        ("smoke.gin", "evaluate_prediction.items='a.jsonl'", "a.jsonl"),
        ("smoke.gin", "analyse_predictions.predictions=['b.jsonl']", "b.jsonl"),
        ("laptop.gin", "rl_results.solving={'rl': 'c'}", "c"),
        ("laptop.gin", "rl_results.predicting={'rl': 'd'}", "d"),
        ("eval/generated.gin", "make_prediction_set.candidates='e'", "e"),
        ("eval/generated.gin", "make_prediction_set.problems_from='f'", "f"),
        ("smoke.gin", "PredictOutputObjective.items_from=['g.jsonl']", "g.jsonl"),
        ("smoke.gin", "SolveObjective.problems_from='h'", "h"),
        ("smoke.gin", "run_programs.problems_from='i'", "i"),
    ],
)
def test_what_a_stage_takes_from_another_must_be_made(file, setting, missing, tmp_path):
    register()
    experiment = load_experiment(SMOKE.replace("smoke.gin", file), [setting])
    (found,) = find_missing_stages(experiment.stages, tmp_path)
    assert f" reads {missing}, which no stage before it makes" in found


def test_what_a_config_inside_a_setting_reads_is_looked_for_too(tmp_path):
    telling = {"style": "llm", "checkpoint": CheckpointTeller(model="a@best")}
    endpoint = Endpoint(url="http://127.0.0.1:1/v1", model="no/stage")
    fixing = SolveObjective(weight=1.0, feedback=Feedback(verifier="b"))
    stages = [
        Stage(name=name, job=job, arguments=arguments)
        for name, job, arguments in (
            ("tell", write_explanations, telling),
            ("ask", write_explanations, {"style": "llm", "endpoint": endpoint}),
            ("rl", train_rl, {"objectives": [fixing]}),
            ("explain", explain_programs, {"runs": FileRuns(path="c.jsonl")}),
        )
    ]
    found = find_missing(stages, tmp_path)
    told = [line.split(",")[0] for line in found]
    assert "tell reads a" in told and "rl reads b" in told
    assert "explain.path is c.jsonl, which does not exist" in found
    assert not any("no/stage" in line for line in found)


@pytest.mark.parametrize(("remat", "scan_layers"), [("none", False), ("full", True)])
def test_the_estimate_of_memory_is_within_a_factor_of_2_of_the_compiler(
    remat, scan_layers
):
    model = ModelConfig(
        vocab_size=128,
        d_model=64,
        num_layers=4,
        num_query_heads=2,
        num_kv_heads=1,
        head_dim=32,
        d_ff=128,
        remat=remat,
        scan_layers=scan_layers,
    )
    stage = SftStage(
        name="sft",
        model=model,
        mesh=MeshConfig(fsdp=2, data=4),
        optimizer=OptimizerConfig(name="adamw"),
        batch_rows=32,
        seq_len=128,
    )
    need = estimate_memory(stage)
    # Four bytes a param in two parts, each on four devices; norms are on all eight.
    assert need.params == pytest.approx(4 * 4 * model.num_params, rel=0.01)
    assert need.optimizer == pytest.approx(2 * need.params, rel=0.01)
    program = make_program(stage, "sft_update", make_mesh(stage.mesh))
    compiled = unwatched(program.function).lower(*program.arguments).compile()
    found = 8 * compiled.memory_analysis().temp_size_in_bytes  # of one of 8 devices
    assert 0.5 < (need.gradients + need.activations) / found < 2


def test_time_is_the_matmuls_of_all_train_steps():
    model = ModelConfig(
        vocab_size=128,
        d_model=64,
        num_layers=4,
        num_query_heads=2,
        num_kv_heads=1,
        head_dim=32,
        d_ff=128,
    )
    stage = SftStage(
        name="sft",
        model=model,
        mesh=MeshConfig(),
        optimizer=OptimizerConfig(),
        batch_rows=8,
        seq_len=64,
    )
    # Forward and twice as much backward, of a token that sees half a row.
    expected = 10 * 8 * 64 * 3 * model.matmul_flops_per_token(32)
    assert matmul_flops(stage, 10) == expected
    with pytest.raises(
        UserError, match=r"sft.num_steps must be at least 1; it is None"
    ):
        require_steps(None, "sft")


@pytest.mark.slow
def test_a_check_that_fails_gives_exit_code_2(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(checks_module, "run_tiny_sft", lambda plan: 4.2)
    monkeypatch.setattr(checks_module, "run_tiny_export", lambda dtype: "verified")
    words = ["--set", "train_rl.rows=9", "--workdir", str(tmp_path)]
    code, checks = ask(capsys, SMOKE, *words)
    assert code == 2
    assert checks["rows of train_rl"]["status"] == "fail"
    assert checks["rows of nlex/train_sft"]["status"] == "ok"
    assert checks["tiny step of train_rl"]["status"] == "ok"  # its rows are its own
