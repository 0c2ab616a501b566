"""Job: a checkpoint answers a benchmark and is scored as `simex score` scores files."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gin

from simex.core.continued import continue_blocks
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically
from simex.core.progress import progress
from simex.evals.scoring.asking import Asking, find_asking
from simex.evals.scoring.benchmarks import get_benchmark, items_between, load_items
from simex.evals.scoring.exporters import RENDERERS
from simex.evals.scoring.generations import Generations
from simex.evals.scoring.grading import grade_all
from simex.evals.scoring.results_file import About, hash_file, make_results
from simex.evals.scoring.rules import BenchmarkItem
from simex.hf.description import CHECKPOINTS
from simex.jobs.import_model import model_folder
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.setup import Setup
from simex.rollouts.policy import Policy
from simex.sampling.methods import SamplingMethod
from simex.sampling.samples import SampleRequest, Stop
from simex.train.checkpoint import Checkpoints
from simex.train.saved_params import split_choice

BLOCK = 32  # items; what an interruption may cost


@gin.configurable
def evaluate_benchmark(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    setup: Setup,
    model: str,
    benchmark: str,
    data: str,
    style: str = "task",
    samples: int = 10,
    ks: Sequence[int] = (1, 5, 10),
    temperature: float = 0.2,
    top_p: float = 0.95,
    seed: int = 0,
    num_items: int | None = None,
    since: str = "",
    until: str = "",
    data_version: str | None = None,
    data_split: str | None = None,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes answers.jsonl, generations in the benchmark's own form and results.json.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      setup: model and devices; its `max_new_tokens` bounds an answer.
      model: the stage whose newest checkpoint answers; STAGE@best: its best.
      benchmark: a name in evals.scoring.benchmarks.BENCHMARKS.
      data: the benchmark's own file.
      style: how to ask, a name that evals.scoring.asking knows for the benchmark.
      samples: answers to each item.
      ks: pass@k for those of them that `samples` allows.
      temperature: of sampling; 0 is greedy, and wants samples = 1.
      top_p: of sampling.
      seed: of the samples.
      num_items: the first so many; the results are then marked as partial.
      since: the first date of items, for a benchmark that dates them.
      until: the last date.
      data_version: what the results should call the file's version.
      data_split: and its split.
      sandbox: where answers are run.
    """
    if temperature == 0 and samples != 1:
        raise UserError(
            "Greedy answers are all the same: evaluate_benchmark.samples must be 1 at "
            f"temperature 0; got {samples}."
        )
    rules = get_benchmark(benchmark)
    asking = find_asking(benchmark, style)
    every = items_between(load_items(benchmark, pathlib.Path(data)), since, until)
    items = every[:num_items]
    mesh = setup.make_mesh()
    policy = setup.make_policy(
        workdir,
        setup.load_params(workdir, model, mesh=mesh),
        mesh=mesh,
        method=SamplingMethod(temperature=temperature, top_p=top_p),
    )
    checkpoint = describe_checkpoint(workdir, model)
    answerer = _Answerer(policy=policy, asking=asking, samples=samples, seed=seed)
    answers = stage_dir / "answers.jsonl"
    continue_blocks(
        answers,
        items,
        answerer.answer,
        block=BLOCK,
        label=f"{benchmark}/answers",
        per_item=samples,
    )
    generations = _read_answers(answers, items, asking)
    path = stage_dir / _FILES[rules.form]
    with write_atomically(path) as file:
        file.write(RENDERERS[rules.form](generations))
    with sandbox.open_pool() as pool:
        grades = list(
            progress(
                grade_all(pool, items, generations),
                total=len(items) * samples,
                label=f"{benchmark}/score",
                unit="generation",
            )
        )
        backend = pool.backend_name
    results = make_results(
        benchmark,
        rules,
        grades,
        ks=[k for k in ks if k <= samples] or [1],
        data_path=pathlib.Path(data),
        generations_path=path,
        items=every,
        is_partial=len(items) < len(every),
        backend=backend,
        about=About(
            model=checkpoint,
            sampling={
                "n": samples,
                "temperature": temperature,
                "top_p": top_p,
                "max_new_tokens": policy.max_new_tokens,
                "stop_ids": list(policy.sampler.stop_ids),
                "seed": seed,
                "style": style,
                "prompts_sha256": answerer.hash_prompts(items),
                **_count_ends(answers),
            },
            data_version=data_version,
            data_split=data_split,
        ),
    )
    with write_atomically(stage_dir / "results.json") as file:
        json.dump(results, file, indent=1)


_FILES = {
    "cruxeval": "generations.json",
    "livecodebench": "generations.json",
    "samples": "samples.jsonl",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answerer:
    """A policy that answers items in one style."""

    policy: Policy
    asking: Asking
    samples: int
    seed: int

    def answer(
        self, place: int, items: Sequence[BenchmarkItem]
    ) -> Iterator[dict[str, Any]]:
        """`samples` records an item; a prompt without room is answered by nothing."""
        prompts = [self._prompt(item) for item in items]
        sampler = self.policy.sampler
        asked = [i for i, p in enumerate(prompts) if len(p) <= sampler.max_prompt_len]
        requests = [
            SampleRequest(
                prompt_ids=prompts[i],
                max_new_tokens=min(
                    self.policy.max_new_tokens, sampler.max_total_len - len(prompts[i])
                ),
                seed_path=(self.seed, place + i, number),
            )
            for i in asked
            for number in range(self.samples)
        ]
        found = iter(sampler.sample(self.policy.params, requests, self.policy.method))
        for i, item in enumerate(items):
            for _ in range(self.samples):
                if i not in asked:
                    yield {"id": item.id, "text": "", "num_tokens": 0, "end": "no_room"}
                    continue
                sample = next(found)
                ids = [n for n in sample.ids.tolist() if n not in sampler.stop_ids]
                yield {
                    "id": item.id,
                    "text": self.policy.tokenizer.decode(ids),
                    "num_tokens": len(sample.ids),
                    "end": sample.stop.value,
                }

    def hash_prompts(self, items: Sequence[BenchmarkItem]) -> str:
        """SHA-256 of all prompts as ids: two runs asked the same, or did not."""
        digest = hashlib.sha256()
        for item in items:
            digest.update(json.dumps([item.id, self._prompt(item)]).encode())
        return digest.hexdigest()

    def _prompt(self, item: BenchmarkItem) -> list[int]:
        return list(self.asking.ask(self.policy.tokenizer, item.record))


def _read_answers(
    path: pathlib.Path, items: Sequence[BenchmarkItem], asking: Asking
) -> Generations:
    records = {item.id: item.record for item in items}
    found: dict[str, list[Any]] = {item.id: [] for item in items}
    for line in read_jsonl(path):
        is_cut_off = line["end"] != Stop.STOP_ID.value
        # Ids of a byte tokenizer may end inside a character.
        text = line["text"].encode("utf-8", "replace").decode()
        completion = asking.read(text, records[line["id"]], is_cut_off)
        found[line["id"]].append(completion)
    return {item_id: tuple(answers) for item_id, answers in found.items()}


def _count_ends(path: pathlib.Path) -> dict[str, int]:
    ends = [line["end"] for line in read_jsonl(path)]
    return {
        "cut_off": ends.count(Stop.LENGTH.value),
        "prompts_without_room": ends.count("no_room"),
    }


def describe_checkpoint(workdir: pathlib.Path, model: str) -> Mapping[str, Any]:
    """Name, train step and content hash of a stage's newest checkpoint or STAGE@best.

    Raises:
      UserError: there is none.
    """
    stage, choice = split_choice(model)
    folder = workdir / stage / CHECKPOINTS
    if not folder.is_dir():
        folder = model_folder(workdir, stage) / CHECKPOINTS
    checkpoints = Checkpoints(folder)
    try:
        best = checkpoints.best()
        ranked = None if best is None else best.step
        step = checkpoints.latest_step() if choice is None else ranked
    finally:
        checkpoints.close()
    if step is None:
        raise UserError(f"{folder} must hold the checkpoint {model!r}; it does not.")
    digest = hash_file(folder / str(step))
    return {"name": model, "step": step, "checkpoint_sha256": digest}
