"""Runs the points of a sweep on this machine, some at a time, each in its own process.

A run whose first stages another run has made takes them over; while that one is still
at them, it waits. So nothing is made twice, and whatever is stopped goes on.
"""

import contextlib
import dataclasses
import enum
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from simex.core.config import Experiment
from simex.core.errors import UserError
from simex.core.owner import load_owner
from simex.core.progress import format_secs
from simex.core.shared_stages import num_done, num_shared, take_over
from simex.core.stamps import stamp_path
from simex.sweeps.points import Point

SECS_BETWEEN_LOOKS = 0.25
SECS_BETWEEN_LINES = 30.0
SECS_TO_STOP = 60.0  # for a run to save what it has; then it is killed


class State(enum.Enum):
    """How far a run of the sweep is."""

    WAITS = "not run"
    RUNS = "runs"
    DONE = "done"
    FAILED = "failed"


@dataclasses.dataclass(kw_only=True)
class Run:
    """One point with its folder, and what became of it."""

    point: Point
    experiment: Experiment
    workdir: pathlib.Path
    state: State = State.WAITS
    exit_code: int | None = None
    secs: float = 0.0  # since this call began
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0

    @property
    def log_path(self) -> pathlib.Path:
        """What the run prints, over all calls."""
        return self.workdir / "run.log"

    def words(self, overrides: Sequence[str] = ()) -> list[str]:
        """What follows `simex` on the command line of this run alone."""
        # A path has one slash after the colon.
        workdir = re.sub("^gs:/+", "gs://", str(self.workdir))
        words = ["run", str(self.experiment.path), "--workdir", workdir]
        for override in [*overrides, *self.point.overrides]:
            words += ["--set", override]
        return words


def make_runs(
    points: Sequence[Point], experiments: Sequence[Experiment], root: pathlib.Path
) -> list[Run]:
    """Every run of the sweep, in a folder of `root`; those that are done are marked."""
    runs = [
        Run(point=point, experiment=experiment, workdir=root / point.name)
        for point, experiment in zip(points, experiments, strict=True)
    ]
    for run in runs:
        if num_done(run.experiment, run.workdir) == len(run.experiment.stages):
            run.state = State.DONE
    return runs


def refuse_other_sweep(points: Sequence[Point], root: pathlib.Path) -> None:
    """Refuses a folder that holds a sweep over other settings.

    Names of runs tell the last word of a key, so a run of the one could have the folder
    of a run of the other, and would clear it; and there is one table for all.

    Raises:
      UserError: it does.
    """
    owner, keys = load_owner(root), points[0].keys
    if owner is not None and owner.swept not in ((), keys):
        raise UserError(
            f"{root} must hold one sweep; it holds one over {', '.join(owner.swept)}, "
            f"and this one is over {', '.join(keys)}. Name a folder of its own with "
            "--workdir."
        )


def run_all(
    runs: Sequence[Run],
    make_command: Callable[[Run], Sequence[str]],
    *,
    parallel: int,
    on_end: Callable[[Run], object] = lambda run: None,
) -> None:
    """Runs what is not done, `parallel` at a time; a failed run does not stop others.

    Args:
      runs: from `make_runs`; their states are kept up to date.
      make_command: the words of the process of a run.
      parallel: how many at a time.
      on_end: called after each run that ended.
    """
    board = _Board(runs)
    for run in runs:
        if run.state is State.DONE:
            board.say(run, "done before")
    try:
        while any(run.state in (State.WAITS, State.RUNS) for run in runs):
            for run in _startable(runs, parallel):
                _start(run, runs, make_command(run), board)
            time.sleep(SECS_BETWEEN_LOOKS)
            for run in runs:
                if run.process is not None and run.process.poll() is not None:
                    _end(run, run.process.returncode, board)
                    on_end(run)
            board.say_now_and_then()
    finally:
        _stop_all(runs)


def _startable(runs: Sequence[Run], parallel: int) -> Iterator[Run]:
    for run in runs:
        at_work = [other for other in runs if other.state is State.RUNS]
        if len(at_work) >= parallel:
            return
        if run.state is State.WAITS and not any(_is_making(o, run) for o in at_work):
            yield run


def _is_making(other: Run, run: Run) -> bool:
    """Whether `other` is still at stages that `run` would take over."""
    shared = num_shared(other.experiment, run.experiment)
    if not shared:
        return False
    return num_done(other.experiment, other.workdir) < shared


def _start(
    run: Run, runs: Sequence[Run], words: Sequence[str], board: "_Board"
) -> None:
    donors = [
        o for o in runs if o is not run and num_shared(o.experiment, run.experiment)
    ]
    best = max(donors, key=lambda o: num_done(run.experiment, o.workdir), default=None)
    try:
        taken = take_over(run.experiment, best.workdir, run.workdir) if best else []
    except UserError as error:  # somebody else is at work in its folder
        run.state, run.exit_code = State.FAILED, 2
        board.say(run, f"not begun: {error}")
        return
    run.workdir.mkdir(parents=True, exist_ok=True)
    _share_compiled_programs(run.workdir)
    with open(run.log_path, "ab") as log:
        # A session of its own: Ctrl-C reaches the sweep, which stops each run once.
        run.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    run.state, run.started = State.RUNS, time.monotonic()
    shares = f" with {len(taken)} stages of {best.point.name}" if taken and best else ""
    board.say(run, f"starts{shares}")


def _share_compiled_programs(workdir: pathlib.Path) -> None:
    """Runs of one sweep compile mostly the same programs."""
    shared = workdir.parent / ".compile_cache"
    shared.mkdir(exist_ok=True)
    with contextlib.suppress(OSError):  # there already, or no links here: its own then
        (workdir / ".compile_cache").symlink_to("../.compile_cache")


def _end(run: Run, code: int, board: "_Board") -> None:
    run.process, run.exit_code = None, code
    run.secs = time.monotonic() - run.started
    if code == 0:
        run.state = State.DONE
        board.say(run, f"done in {format_secs(run.secs)}")
        return
    run.state = State.FAILED
    lines = run.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    board.say(run, f"failed with exit code {code}; {run.log_path} ends:")
    print("\n".join(f"    {line}" for line in lines[-5:]), file=sys.stderr, flush=True)


def _stop_all(runs: Sequence[Run]) -> None:
    """Only after Ctrl-C, SIGTERM or a fault is anything still running here."""
    running = [run for run in runs if run.process is not None]
    for run in running:
        assert run.process is not None
        run.process.terminate()
    deadline = time.monotonic() + SECS_TO_STOP
    for run in running:
        assert run.process is not None
        try:
            run.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            run.process.kill()
            run.process.wait()
        run.process, run.state = None, State.WAITS


class _Board:
    """Says on stderr what happens, and now and then how far everything is."""

    def __init__(self, runs: Sequence[Run]):
        self._runs = runs
        self._last = time.monotonic()

    def say(self, run: Run, what: str) -> None:
        number = self._runs.index(run) + 1
        line = f"[{number}/{len(self._runs)}] {run.point.name}: {what}"
        print(line, file=sys.stderr, flush=True)

    def say_now_and_then(self) -> None:
        if time.monotonic() - self._last >= SECS_BETWEEN_LINES:
            self._last = time.monotonic()
            print(describe_progress(self._runs), file=sys.stderr, flush=True)


def describe_progress(runs: Sequence[Run]) -> str:
    """One line: how many are done, and at which stage the others are.

    Example: "sweep: 2 of 6 done, 1 failed; learning_rate=1e-06 at train_rl (3 min 05 s)"
    """
    counts = {state: sum(r.state is state for r in runs) for state in State}
    parts = [f"sweep: {counts[State.DONE]} of {len(runs)} done"]
    if counts[State.FAILED]:
        parts.append(f"{counts[State.FAILED]} failed")
    at_work = [
        f"{run.point.name} at {_stage_under_way(run)} "
        f"({format_secs(time.monotonic() - run.started)})"
        for run in runs
        if run.state is State.RUNS
    ]
    return "; ".join([", ".join(parts), *at_work])


def _stage_under_way(run: Run) -> str:
    for stage in run.experiment.stages:
        if not stamp_path(run.workdir, stage.name).exists():
            return stage.name
    return "its end"
