"""The check list, and the words for rows that do not divide."""

import json
import pathlib

import pytest

from simex.core.config import load_experiment
from simex.core.errors import UserError
from simex.doctor.divisibility import divide_in_words, refuse_uneven, shards_of
from simex.jobs.wiring import register
from simex.main import main
from simex.sharding.mesh import MeshConfig

SMOKE = str(pathlib.Path(__file__).parents[2] / "experiments" / "smoke.gin")


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


def ask(capsys, *words):
    code = main(["doctor", *words, "--json", "--devices", "8"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    return code, {check["name"]: check for check in checks}


@pytest.mark.slow
def test_the_list_covers_machine_sandbox_rows_memory_and_a_step(capsys, tmp_path):
    code, checks = ask(capsys, SMOKE, "--workdir", str(tmp_path))
    assert code == 0, checks
    assert checks["devices"]["text"] == "8 x cpu"
    assert checks["sandbox"]["status"] in ("ok", "warn")
    assert "sampler and trainer agree" in checks["tiny step of train_rl"]["text"]
    assert checks["memory of train_rl"]["status"] == "ok"
    assert checks["stages"]["text"].startswith("0 of 16 are done")


@pytest.mark.slow
def test_a_check_that_fails_gives_exit_code_2(capsys, tmp_path):
    words = ["--set", "train_rl.rows=9", "--workdir", str(tmp_path)]
    code, checks = ask(capsys, SMOKE, *words)
    assert code == 2
    assert checks["rows of train_rl"]["status"] == "fail"
    assert checks["rows of nlex/train_sft"]["status"] == "ok"
    assert checks["tiny step of train_rl"]["status"] == "ok"  # its rows are its own
