"""Job: solve held-out problems, rank the candidates by simulation, fix them."""

import dataclasses
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gin

from simex.core.continued import continue_blocks
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically
from simex.evals import candidates as candidates_
from simex.evals import fix_loop
from simex.evals.fix_loop import FixLoop
from simex.evals.scoring.results_file import hash_file
from simex.evals.self_rlef import run_fix_loop
from simex.jobs.sandbox import SandboxConfig, note_sandbox
from simex.jobs.setup import Setup
from simex.problems.problem import Problem
from simex.problems.solvable import date_of, load_solvable
from simex.rollouts.policy import Policy
from simex.sampling.methods import SamplingMethod
from simex.sandbox.pool import SandboxPool

BLOCK = 64  # problems; what an interruption may cost
LOOPS = {"fix": FixLoop(), "resample": FixLoop(retry="resample")}
_CANDIDATES, _SIMULATED = "candidates.jsonl", "simulated.jsonl"


@gin.configurable
def evaluate_solving(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    setup: Setup,
    seed: int,
    solver: str,
    num_problems: int,
    problems_from: str = "make_problems/test.jsonl",
    since: str = "",
    until: str = "",
    data_version: str = "",
    verifier: str | None = None,
    samples: int = 8,
    rounds: int = 1,
    is_simulated: bool = True,
    loops: Mapping[str, FixLoop] = LOOPS,
    attempts_per_problem: int = 4,
    temperature: float = 1.0,
    top_p: float = 0.95,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes candidates.jsonl, simulated.jsonl and loops/<name>.jsonl.

    sandbox.json names the jail and the Python that judge, problems.json the problems
    that were asked: file, hash, version, window of dates, number. A score of a benchmark
    that grows means nothing without them.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices.
      seed: of the samples.
      solver: the stage whose last checkpoint solves and fixes, or STAGE@best.
      num_problems: the first so many of those that whole programs can solve.
      problems_from: their file in the workdir, as `make_problems` writes it.
      since: the first date of problems whose source dates them (LiveCodeBench), written
        2024-08-01; "": of any.
      until: the last date.
      data_version: what problems.json should call the version of their source.
      verifier: the stage whose last checkpoint simulates; None: the solver itself.
      samples: candidates of each problem.
      rounds: predictions of each public test; greedy where it is 1, else sampled.
      is_simulated: False: only solve, for pass@k.
      loops: by name, ways to go on from a candidate that is doubted.
      attempts_per_problem: how many candidates each loop goes on from.
      temperature: of solving and fixing, and of simulation in several rounds.
      top_p: likewise.
      sandbox: where candidates are judged.
    """
    if not 1 <= attempts_per_problem <= samples:
        raise UserError(
            "evaluate_solving.attempts_per_problem must lie in 1..samples; got "
            f"{attempts_per_problem} and {samples}."
        )
    if is_simulated:
        _check_rounds(loops, rounds)
    path = workdir / problems_from
    problems = load_problems(path, num_problems, since=since, until=until)
    about = describe_problems(problems, path, name=problems_from, version=data_version)
    with write_atomically(stage_dir / "problems.json") as file:
        json.dump(about, file, indent=1)
    mesh = setup.make_mesh()

    def make_policy(stage: str, method: SamplingMethod) -> Policy:
        params = setup.load_params(workdir, stage, mesh=mesh)
        return setup.make_policy(workdir, params, mesh=mesh, method=method)

    drawing = SamplingMethod(temperature=temperature, top_p=top_p)
    greedy = SamplingMethod(temperature=0.0)
    policy = make_policy(solver, drawing)
    simulating = drawing if rounds > 1 else greedy
    with sandbox.open_pool() as pool:
        note_sandbox(stage_dir, pool)
        evaluation = _Evaluation(
            solver=policy,
            verifier=dataclasses.replace(policy, method=simulating)
            if verifier in (None, solver)
            else make_policy(str(verifier), simulating),
            problems=problems,
            pool=pool,
            folder=stage_dir,
            samples=samples,
            seed=seed,
        )
        evaluation.sample()
        if is_simulated:
            evaluation.simulate(rounds)
            for number, (name, loop) in enumerate(loops.items()):
                evaluation.fix(name, loop, number, attempts=attempts_per_problem)


def _check_rounds(loops: Mapping[str, FixLoop], rounds: int) -> None:
    """Before hours of sampling: a loop begins with what the candidates were simulated."""
    for name, loop in loops.items():
        if loop.feedback == "predicted" and loop.rounds > rounds:
            raise UserError(
                f"evaluate_solving.rounds must be at least the rounds of every loop; it "
                f"is {rounds}, and FixLoop.rounds of {name!r} is {loop.rounds}. Raise "
                "the former or lower the latter."
            )


def load_problems(
    path: pathlib.Path, count: int, *, since: str = "", until: str = ""
) -> list[Problem]:
    """Says on stderr where there are fewer; raises UserError where there is none."""
    problems = load_solvable(path, most=count, since=since, until=until)
    if len(problems) < count:
        line = f"{path}: problems to solve: {len(problems)}; asked for: {count}"
        print(line, file=sys.stderr, flush=True)
    return problems


def describe_problems(
    problems: Sequence[Problem], path: pathlib.Path, *, name: str, version: str
) -> dict[str, Any]:
    """What a result has to say of its problems, as plain values."""
    dates = sorted(filter(None, map(date_of, problems)))
    return {
        "file": name,
        "sha256": hash_file(path),
        "version": version,
        "first_date": dates[0] if dates else "",
        "last_date": dates[-1] if dates else "",
        "num_problems": len(problems),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Evaluation:
    """The three steps; each continues what it left, a block of problems at a time."""

    solver: Policy
    verifier: Policy
    problems: Sequence[Problem]
    pool: SandboxPool
    folder: pathlib.Path
    samples: int
    seed: int

    def sample(self) -> None:
        def records(place: int, block: Sequence[Problem]) -> Iterator[dict[str, Any]]:
            drawn = candidates_.sample_candidates(
                self.solver,
                block,
                pool=self.pool,
                samples=self.samples,
                seed_path=(self.seed, 0, place),
            )
            return map(candidates_.to_record, drawn)

        self._write(_CANDIDATES, records, per_item=self.samples)

    def simulate(self, rounds: int) -> None:
        drawn = self._load(_CANDIDATES)

        def records(place: int, block: Sequence[Problem]) -> Iterator[dict[str, Any]]:
            simulated = candidates_.simulate_candidates(
                self.verifier,
                {problem.id: problem for problem in block},
                drawn[place * self.samples : (place + len(block)) * self.samples],
                rounds=rounds,
                seed_path=(self.seed, 1, place),
            )
            return map(candidates_.to_record, simulated)

        self._write(_SIMULATED, records, per_item=self.samples)

    def fix(self, name: str, loop: FixLoop, number: int, *, attempts: int) -> None:
        simulated = self._load(_SIMULATED)

        def records(place: int, block: Sequence[Problem]) -> Iterator[dict[str, Any]]:
            starts = range(place, place + len(block))
            outcomes = run_fix_loop(
                self.solver,
                self.verifier,
                {problem.id: problem for problem in block},
                [
                    candidate
                    for start in starts
                    for candidate in simulated[start * self.samples :][:attempts]
                ],
                pool=self.pool,
                loop=loop,
                seed_path=(self.seed, 2, number, place),
            )
            return map(fix_loop.to_record, outcomes)

        self._write(f"loops/{name}.jsonl", records, per_item=attempts)

    def _write(self, name: str, records: Any, *, per_item: int) -> None:
        continue_blocks(
            self.folder / name,
            self.problems,
            records,
            block=BLOCK,
            label=name.removesuffix(".jsonl"),
            per_item=per_item,
        )

    def _load(self, name: str) -> list[candidates_.JudgedCandidate]:
        records = read_jsonl(self.folder / name)
        return [candidates_.from_record(record) for record in records]
