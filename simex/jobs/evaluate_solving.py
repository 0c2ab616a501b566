"""Job: solve held-out problems, rank the candidates by simulation, fix them."""

import dataclasses
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gin

from simex.core.continued import continue_blocks
from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.evals import candidates as candidates_
from simex.evals import fix_loop
from simex.evals.fix_loop import FixLoop
from simex.evals.self_rlef import run_fix_loop
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.setup import Setup
from simex.problems.problem import Problem
from simex.problems.solvable import load_solvable
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

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices.
      seed: of the samples.
      solver: the stage whose last checkpoint solves and fixes, or STAGE@best.
      num_problems: the first so many of those that whole programs can solve.
      problems_from: their file in the workdir, as `make_problems` writes it.
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
    problems = load_problems(workdir / problems_from, num_problems)
    mesh = setup.make_mesh()

    def make_policy(stage: str, method: SamplingMethod) -> Policy:
        params = setup.load_params(workdir, stage, mesh=mesh)
        return setup.make_policy(workdir, params, mesh=mesh, method=method)

    drawing = SamplingMethod(temperature=temperature, top_p=top_p)
    greedy = SamplingMethod(temperature=0.0)
    policy = make_policy(solver, drawing)
    simulating = drawing if rounds > 1 else greedy
    with sandbox.open_pool() as pool:
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


def load_problems(path: pathlib.Path, count: int) -> list[Problem]:
    """Says on stderr where there are fewer; raises UserError where there is none."""
    problems = load_solvable(path, most=count)
    if len(problems) < count:
        line = f"{path}: problems to solve: {len(problems)}; asked for: {count}"
        print(line, file=sys.stderr, flush=True)
    return problems


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
