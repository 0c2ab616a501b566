"""A stage runs once, resumes, and runs anew when what it depends on changes."""

import pathlib
import subprocess
import sys
import time

import pytest

from simex.core import stages
from simex.core.config import load_experiment
from simex.core.errors import UserError
from simex.core.owner import default_workdir
from simex.core.processes import OneProcess
from simex.core.stages import Todo, plan_stages, run_experiment
from simex.core.stamps import (
    load_stamp,
    save_stamp,
    seconds_by_stage,
    stamp_path,
    started_path,
)

FARM = """
run.stages = [@count_sheep, @build, @again/build]
count_sheep.num_sheep = 3
"""
WORKDIR = pathlib.Path("runs/farm")
SHEEP = WORKDIR / "count_sheep" / "sheep.txt"


@pytest.fixture
def run(write_gin, capsys):
    """Runs the farm with overrides; what it said, seconds left out."""

    def run_farm(*overrides: str, only: tuple[str, ...] = (), text: str = FARM):
        capsys.readouterr()  # what a run that was stopped had said
        experiment = load_experiment(write_gin(text), overrides)
        run_experiment(experiment, WORKDIR, only=only)
        lines = capsys.readouterr().err.splitlines()
        return [line.partition(" in ")[0].partition(" (")[0] for line in lines]

    return run_farm


def stop_counting(monkeypatch: pytest.MonkeyPatch, *, at: int) -> None:
    """Has count_sheep stopped by Ctrl-C after `at` sheep."""
    call = stages._call_job

    def stop(stage, workdir):
        if stage.name == "count_sheep":
            SHEEP.write_text("merino\n" * at)
            raise KeyboardInterrupt
        call(stage, workdir)

    monkeypatch.setattr(stages, "_call_job", stop)


def test_stages_run_in_order_in_folders_of_their_own(run):
    assert run() == [
        "count_sheep: starts",
        "count_sheep: done",
        "build: starts",
        "build: done",
        "again/build: starts",
        "again/build: done",
    ]
    assert SHEEP.read_text() == "merino\n" * 3
    assert (WORKDIR / "build" / "built.txt").read_text() == "4 1.0 farm\n"
    assert (WORKDIR / "again" / "build" / "built.txt").read_text() == "4 1.0 farm\n"


def test_the_config_is_saved_with_the_run(run):
    run()
    assert "count_sheep.num_sheep = 3\n" in (WORKDIR / "config.gin").read_text()


def test_a_second_run_does_nothing(run):
    run()
    assert run() == [
        "count_sheep: done before",
        "build: done before",
        "again/build: done before",
    ]


def test_a_changed_setting_runs_its_stage_and_all_after_it_in_empty_folders(run):
    run()
    assert run("build.speed=2.0") == [
        "count_sheep: done before",
        "build: starts anew: speed is 2.0, was 1.0",
        "build: done",
        "again/build: starts anew: speed is 2.0, was 1.0",
        "again/build: done",
    ]
    assert (WORKDIR / "build" / "built.txt").read_text() == "4 2.0 farm\n"


def test_stages_after_one_that_ran_anew_run_anew_though_their_settings_did_not_change(
    run,
):
    run()
    said = run("count_sheep.num_sheep=2")
    assert said[0] == "count_sheep: starts anew: num_sheep is 2, was 3"
    assert said[2] == "build: starts anew: stage count_sheep runs anew"
    assert SHEEP.read_text() == "merino\n" * 2


def test_a_stage_whose_folder_or_stamp_is_gone_runs_anew(run):
    run()
    (WORKDIR / "again" / "build" / "built.txt").unlink()
    (WORKDIR / "again" / "build").rmdir()
    assert run()[2:] == [
        "again/build: starts anew: its folder is gone",
        "again/build: done",
    ]
    stamp_path(WORKDIR, "build").unlink()
    assert run()[1::2] == [
        "build: starts",
        "again/build: starts anew: stage build runs anew",
    ]


def test_a_new_release_runs_everything_anew(run, monkeypatch):
    run()
    stamp = stamp_path(WORKDIR, "count_sheep")
    stamp.write_text(stamp.read_text().replace('"version": "', '"version": "0.0.'))
    assert "count_sheep: starts anew: simex is " in run()[0]


def test_a_stopped_stage_goes_on_with_what_it_had(run, monkeypatch):
    with monkeypatch.context() as patch:
        stop_counting(patch, at=2)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert load_stamp(stamp_path(WORKDIR, "count_sheep")) is None
    assert run("again/build.speed=2.0")[0] == "count_sheep: goes on after 0.0 s"
    assert SHEEP.read_text() == "merino\n" * 3


class Listening(OneProcess):
    """Notes what the others would be told."""

    def __init__(self, *, is_first: bool = True) -> None:
        self.is_first, self.told = is_first, []

    def stop_all(self) -> None:
        self.told.append("stop")

    def tell_failure(self) -> None:
        self.told.append("failure")


@pytest.mark.parametrize(
    ("error", "told"),
    [(KeyboardInterrupt, "stop"), (UserError, "failure"), (MemoryError, "failure")],
)
def test_the_others_are_told_that_the_first_process_does_not_come(
    write_gin, monkeypatch, error, told
):
    def fail(stage, workdir):
        raise error("of a stage")

    monkeypatch.setattr(stages, "_call_job", fail)
    experiment, first = load_experiment(write_gin(FARM)), Listening()
    with pytest.raises(error, match="of a stage"):
        run_experiment(experiment, WORKDIR, processes=first)
    assert first.told == [told]


def test_nobody_waits_for_a_process_that_is_not_the_first(write_gin, monkeypatch):
    def fail(what):
        raise UserError(what)

    follower = Listening(is_first=False)
    monkeypatch.setattr(follower, "wait", fail)
    with pytest.raises(UserError, match="count_sheep begins"):
        run_experiment(load_experiment(write_gin(FARM)), WORKDIR, processes=follower)
    assert follower.told == []


def test_a_stopped_stage_whose_settings_changed_starts_anew(run, monkeypatch):
    with monkeypatch.context() as patch:
        stop_counting(patch, at=2)
        with pytest.raises(KeyboardInterrupt):
            run()
    said = run("count_sheep.breed='texel'")
    assert said[0] == "count_sheep: starts anew: breed is 'texel', was 'merino'"
    assert SHEEP.read_text() == "texel\n" * 3


def test_a_stage_stopped_while_it_ran_anew_does_not_count_as_done(run, monkeypatch):
    run()
    with monkeypatch.context() as patch:
        stop_counting(patch, at=1)
        with pytest.raises(KeyboardInterrupt):
            run("count_sheep.breed='texel'")
    assert run()[0] == "count_sheep: starts anew: breed is 'merino', was 'texel'"
    assert SHEEP.read_text() == "merino\n" * 3


def test_a_folder_that_was_half_cleared_is_never_resumed(run, monkeypatch):
    """Stopped in the middle, then again while it is cleared for another breed."""
    with monkeypatch.context() as patch:
        stop_counting(patch, at=2)
        with pytest.raises(KeyboardInterrupt):
            run()
    with monkeypatch.context() as patch:

        def stop_clearing(folder):
            SHEEP.write_text("merino\nmer")
            raise KeyboardInterrupt

        patch.setattr(stages.shutil, "rmtree", stop_clearing)
        with pytest.raises(KeyboardInterrupt):
            run("count_sheep.breed='texel'")
    assert run()[0] == "count_sheep: starts"  # not: goes on
    assert SHEEP.read_text() == "merino\n" * 3


def test_seconds_add_up_over_interruptions(run, monkeypatch):
    with monkeypatch.context() as patch:
        stop_counting(patch, at=2)
        with pytest.raises(KeyboardInterrupt):
            run()
    path = started_path(WORKDIR, "count_sheep")
    stamp = load_stamp(path)
    assert 0 < stamp.seconds < 1
    path.write_text(path.read_text().replace(str(stamp.seconds), "100.0"))
    run()
    assert 100 < seconds_by_stage(WORKDIR)["count_sheep"] < 101
    assert set(seconds_by_stage(WORKDIR)) == {"count_sheep", "build", "again/build"}


def test_a_killed_attempt_counts_up_to_the_last_file_it_wrote(run, monkeypatch):
    with monkeypatch.context() as patch:
        stop_counting(patch, at=2)
        with pytest.raises(KeyboardInterrupt):
            run()
    path = started_path(WORKDIR, "count_sheep")
    killed = path.read_text().replace(
        '"under_way_since": null', f'"under_way_since": {time.time() - 60}'
    )
    path.write_text(killed)
    # sheep.txt was written just now, 60 s after the start of the attempt.
    run()
    assert 59 < seconds_by_stage(WORKDIR)["count_sheep"] < 62


def test_seconds_of_stages_that_the_experiment_no_longer_has_do_not_count(run):
    run()
    run(text="run.stages = [@count_sheep]\ncount_sheep.num_sheep = 3\n")
    assert list(seconds_by_stage(WORKDIR)) == ["count_sheep"]
    assert load_stamp(stamp_path(WORKDIR, "build")) is not None  # kept, if it returns
    run()
    assert list(seconds_by_stage(WORKDIR)) == ["count_sheep", "build", "again/build"]


def test_two_files_of_one_name_do_not_clear_each_others_stages(run, write_gin):
    run()
    pathlib.Path("study").mkdir()
    other = write_gin("run.stages = [@build]\n", "study/farm.gin")
    with pytest.raises(UserError) as caught:
        default_workdir(load_experiment(other))
    assert str(caught.value) == (
        "runs/farm must belong to study/farm.gin; farm.gin ran there last. Choose "
        "another folder with --workdir, or say --workdir runs/farm to clear what has "
        "other settings."
    )
    assert default_workdir(load_experiment("farm.gin")) == WORKDIR
    here = pathlib.Path("farm.gin").resolve()  # the same file by its whole path
    assert default_workdir(load_experiment(here)) == WORKDIR


def test_a_folder_that_is_named_belongs_to_who_ran_there_last(run, write_gin):
    run()
    mine = load_experiment(write_gin(FARM, "mine.gin"))
    assert default_workdir(mine) == pathlib.Path("runs/mine")
    run_experiment(mine, WORKDIR)  # as with --workdir
    with pytest.raises(UserError, match="farm.gin; mine.gin ran there last"):
        default_workdir(load_experiment("farm.gin"))


def test_only_runs_what_it_names(run):
    assert run(only=("count_sheep",)) == ["count_sheep: starts", "count_sheep: done"]
    assert run(only=("build",)) == [
        "count_sheep: done before",
        "build: starts",
        "build: done",
    ]


def test_only_wants_the_stages_before_it_done(run):
    with pytest.raises(UserError) as caught:
        run(only=("again/build",))
    assert str(caught.value) == (
        "again/build needs the stages before it to be done; still to run: "
        "count_sheep, build. Run without --only, or name them too."
    )
    run(only=("count_sheep",))
    with pytest.raises(UserError, match=r"still to run anew \(num_sheep is 2, was 3\)"):
        run("count_sheep.num_sheep=2", only=("build",))
    assert SHEEP.read_text() == "merino\n" * 3


def test_an_unknown_stage_is_refused(run):
    with pytest.raises(
        UserError, match="There is no stage 'biuld'. Did you mean 'build'"
    ):
        run(only=("biuld",))


def test_a_plan_changes_nothing(write_gin, tmp_path):
    experiment = load_experiment(write_gin(FARM))
    plans = plan_stages(experiment, WORKDIR)
    assert [plan.todo for plan in plans] == [Todo.START] * 3
    assert not WORKDIR.exists()


def test_a_folder_that_no_run_made_is_never_cleared(run, write_gin, tmp_path):
    write_gin(FARM)
    (WORKDIR / "build").mkdir(parents=True)
    (WORKDIR / "build" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="which no run made. Choose another --workdir"):
        run()
    assert (WORKDIR / "build" / "thesis.tex").read_text() == "years of work"


def test_a_damaged_stamp_says_what_to_do(run):
    run()
    stamp_path(WORKDIR, "build").write_text("{")
    with pytest.raises(UserError, match="Delete it: its stage will run anew."):
        run()


def test_a_stamp_is_read_as_it_was_written(run):
    run()
    stamp = load_stamp(stamp_path(WORKDIR, "build"))
    save_stamp(WORKDIR / "copy.json", stamp)
    assert load_stamp(WORKDIR / "copy.json") == stamp


def test_a_workdir_in_use_is_refused_with_the_name_of_its_user(run, tmp_path):
    run()
    code = """
import pathlib, sys
from simex.core.workdir_lock import hold_workdir
with hold_workdir(pathlib.Path("runs/farm")):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid} on .* runs there"):
            run()
        holder.kill()
        holder.wait()
    assert run()[0] == "count_sheep: done before"
