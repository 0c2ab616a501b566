"""Job: how many stdouts does each checkpoint predict, on what it never saw?"""

import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gin

from simex.core.continued import continue_blocks
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_jsonl
from simex.evals.cruxeval import score_answers
from simex.evals.output_prediction import predict_calls, predict_outputs
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.setup import Setup
from simex.problems.sources import cruxeval
from simex.sampling.methods import SamplingMethod
from simex.tasks.predict_output import PredictionItem

BLOCK = 256  # items; what an interruption may cost


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
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes <checkpoint>.jsonl, functions.jsonl and cruxeval.jsonl of predictions.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices.
      seed: of the samples; prediction is greedy, so it matters to nothing else.
      checkpoints: stages whose last checkpoint predicts the held-out programs; of
        STAGE@best the best does, under the name of the stage.
      items: their file in the workdir, a PredictionItem a line, as `run_programs` and
        `make_prediction_set` write it.
      num_programs: how many (program, stdin) pairs; None: all.
      functions_from: the checkpoint that predicts real functions and CRUXEval; None:
        none does.
      num_functions: held-out calls of real functions.
      cruxeval_path: CRUXEval's own file; without it that part is left out.
      num_cruxeval: how many of its items.
      sandbox: where CRUXEval's assertions run.
    """
    stages = [checkpoint.partition("@")[0] for checkpoint in checkpoints]
    if len(set(stages)) < len(stages):
        raise UserError(
            "evaluate_prediction.checkpoints must name each stage once; got "
            f"{', '.join(checkpoints)}. Evaluate the others in a stage of their own."
        )
    mesh = setup.make_mesh()
    greedy = SamplingMethod(temperature=0.0)

    def predict(
        name: str, checkpoint: str, run: Callable[..., list[dict[str, Any]]], asked: Any
    ) -> None:
        path = stage_dir / f"{name.partition('@')[0].replace('/', '_')}.jsonl"
        if path.exists():
            return
        params = setup.load_params(workdir, checkpoint, mesh=mesh)
        policy = setup.make_policy(workdir, params, mesh=mesh, method=greedy)
        continue_blocks(
            path,
            asked,
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
            scored = score_answers(pool, chosen, answers)
        write_jsonl(stage_dir / "cruxeval.jsonl", scored)


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
