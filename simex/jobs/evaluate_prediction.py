"""Job: how many stdouts does each checkpoint predict, on what it never saw?"""

import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import gin

from simex.core.continued import continue_blocks
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_jsonl
from simex.evals.cruxeval import score_answers
from simex.evals.output_prediction import (
    predict_calls,
    predict_outputs,
    predictions_path,
)
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.setup import Setup
from simex.problems.sources import cruxeval
from simex.sampling.methods import SamplingMethod
from simex.tasks.predict_output import PredictionItem

BLOCK = 256  # predictions; what an interruption may cost
T = TypeVar("T")


@gin.configurable
def evaluate_prediction(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    setup: Setup,
    seed: int,
    checkpoints: Sequence[str],
    items: str = "run_programs/test.jsonl",
    num_programs: int | None = None,
    functions_from: str | None = "train_rl",
    num_functions: int = 300,
    cruxeval_path: str = "../shared/data/eval/cruxeval.jsonl",
    num_cruxeval: int = 800,
    temperature: float = 0.0,
    top_p: float = 0.95,
    samples: int = 1,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes <checkpoint>.jsonl, functions.jsonl and cruxeval.jsonl of predictions.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices.
      seed: of the samples; greedy prediction does not look at it.
      checkpoints: stages whose last checkpoint predicts the held-out programs; of
        STAGE@best the best does, under the name of the stage.
      items: their file in the workdir, a PredictionItem a line, as `run_programs` and
        `make_prediction_set` write it.
      num_programs: how many (program, stdin) pairs, the first ones; None: all.
      functions_from: the checkpoint that predicts real functions and CRUXEval; None:
        none does.
      num_functions: held-out calls of real functions.
      cruxeval_path: CRUXEval's own file; without it that part is left out.
      num_cruxeval: how many of its items.
      temperature: of prediction; 0 is greedy. The paper samples, at 1.
      top_p: of sampling.
      samples: predictions of each item, one record each, one behind the other. The mean
        over all records is the accuracy @1, and its interval draws whole groups of them.
        Of CRUXEval with several, see `evals.cruxeval`.
      sandbox: where CRUXEval's assertions run.

    Raises:
      UserError: a stage that is named twice, or several samples that would be equal.
    """
    stages = [checkpoint.partition("@")[0] for checkpoint in checkpoints]
    if len(set(stages)) < len(stages):
        raise UserError(
            "evaluate_prediction.checkpoints must name each stage once; got "
            f"{', '.join(checkpoints)}. Evaluate the others in a stage of their own."
        )
    if samples < 1 or (temperature == 0 and samples != 1):
        raise UserError(
            "evaluate_prediction.samples must be at least 1, and 1 at temperature 0, "
            f"where all are the same; got {samples} at temperature {temperature}."
        )
    mesh = setup.make_mesh()
    method = SamplingMethod(
        temperature=temperature, top_p=top_p if temperature else 1.0
    )

    def predict(
        name: str, checkpoint: str, run: Callable[..., list[dict[str, Any]]], items: Any
    ) -> None:
        path = predictions_path(stage_dir, name)
        if path.exists():
            return
        params = setup.load_params(workdir, checkpoint, mesh=mesh)
        policy = setup.make_policy(workdir, params, mesh=mesh, method=method)
        continue_blocks(
            path,
            _repeat(items, samples),
            lambda place, block: run(policy, block, seed_path=(seed, place)),
            block=BLOCK,
            label=f"predict/{name}",
        )

    programs = list(_load_programs(workdir / items, num_programs))
    for checkpoint in checkpoints:
        predict(checkpoint, checkpoint, predict_outputs, programs)
    if functions_from is None:
        return
    calls = list(itertools.islice(_load_functions(workdir), num_functions))
    predict("functions", functions_from, predict_calls, calls)
    benchmark = cruxeval.find_items(pathlib.Path(cruxeval_path))
    if benchmark is not None:
        chosen = benchmark[:num_cruxeval]
        asked = [_as_call(item) for item in chosen]
        predict("cruxeval.answers", functions_from, predict_calls, asked)
        with sandbox.open_pool() as pool:
            answers = list(read_jsonl(stage_dir / "cruxeval.answers.jsonl"))
            scored = score_answers(pool, _repeat(chosen, samples), answers)
        write_jsonl(stage_dir / "cruxeval.jsonl", scored)


def _repeat(items: Sequence[T], count: int) -> list[T]:
    """Each item so many times, one behind the other: each has a seed of its own."""
    return [item for item in items for _ in range(count)]


def _load_programs(path: pathlib.Path, count: int | None) -> Iterator[PredictionItem]:
    records = itertools.islice(read_jsonl(path), count)
    return (PredictionItem(**record) for record in records)


def _load_functions(workdir: pathlib.Path) -> Iterator[dict[str, Any]]:
    for record in read_jsonl(workdir / "harvest_functions" / "functions.jsonl"):
        if record["split"] == "test":
            source = record["program"].rsplit("\nprint(", 1)[0]
            yield {**record, "source": source}


def _as_call(item: cruxeval.CruxItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "group": item.id,
        "source": item.code,
        "call": f"f({item.input})",
        "stdout": item.output,
    }
