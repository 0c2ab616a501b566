"""Job: solve held-out problems, rank the candidates by simulation, fix them."""

import itertools
import pathlib
from typing import Any

import gin

from simex.core.files import read_jsonl, write_jsonl
from simex.evals import candidates as candidates_
from simex.evals import self_rlef
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.setup import Setup
from simex.problems.problem import Problem
from simex.problems.records import from_record
from simex.rollouts.policy import Policy
from simex.sampling.methods import SamplingMethod


@gin.configurable
def evaluate_solving(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    setup: Setup,
    seed: int,
    solver: str,
    num_problems: int,
    samples: int = 8,
    fixes_per_problem: int = 4,
    is_simulated: bool = True,
    temperature: float = 1.0,
    top_p: float = 0.95,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes candidates.jsonl, simulated.jsonl and fixes.jsonl.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices.
      seed: of the samples.
      solver: the stage whose last checkpoint solves, simulates and fixes.
      num_problems: held-out problems.
      samples: candidates of each.
      fixes_per_problem: how many candidates get one turn of self-fixing.
      is_simulated: False: only solve, for pass@k.
      temperature: of solving and fixing; simulation is greedy.
      top_p: of solving and fixing.
      sandbox: where candidates are judged.
    """
    records = read_jsonl(workdir / "make_problems" / "test.jsonl")
    problems = {
        item.problem.id: item.problem
        for item in map(from_record, itertools.islice(records, num_problems))
    }
    mesh = setup.make_mesh()
    params = setup.load_params(workdir, solver, mesh=mesh)

    def make_policy(method: SamplingMethod) -> Policy:
        return setup.make_policy(workdir, params, mesh=mesh, method=method)

    drawing = make_policy(SamplingMethod(temperature=temperature, top_p=top_p))
    path = stage_dir / "candidates.jsonl"
    with sandbox.open_pool() as pool:
        if not path.exists():
            drawn = candidates_.sample_candidates(
                drawing, list(problems.values()), pool=pool, samples=samples, seed=seed
            )
            write_jsonl(path, map(candidates_.to_record, drawn))
        if not is_simulated:
            return
        simulated = _simulate(
            make_policy(SamplingMethod(temperature=0.0)), problems, stage_dir, seed=seed
        )
        if not (stage_dir / "fixes.jsonl").exists():
            outcomes = self_rlef.run_self_rlef(
                drawing,
                problems,
                simulated,
                pool=pool,
                samples=samples,
                attempts_per_problem=fixes_per_problem,
                seed=seed,
            )
            write_jsonl(stage_dir / "fixes.jsonl", map(self_rlef.to_record, outcomes))


def _simulate(
    policy: Policy, problems: dict[str, Problem], stage_dir: pathlib.Path, *, seed: int
) -> list[candidates_.JudgedCandidate]:
    path = stage_dir / "simulated.jsonl"
    if not path.exists():
        drawn = _load(stage_dir / "candidates.jsonl")
        simulated = candidates_.simulate_candidates(
            policy, problems, drawn, seed=seed, label="simulate"
        )
        write_jsonl(path, map(candidates_.to_record, simulated))
    return _load(path)


def _load(path: pathlib.Path) -> list[Any]:
    return [candidates_.from_record(record) for record in read_jsonl(path)]
