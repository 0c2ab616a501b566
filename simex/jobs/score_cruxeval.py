"""Jobs: CRUXEval-O before and after, and the difference with its interval."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gin

from simex.core.continued import continue_jsonl
from simex.core.errors import UserError
from simex.core.files import read_jsonl, write_atomically, write_jsonl
from simex.core.names import unknown_name
from simex.core.progress import progress
from simex.evals import summary
from simex.evals.cruxeval import score_answers
from simex.evals.cruxeval_prompts import STYLES
from simex.hf.description import CHECKPOINTS, TOKENIZER, load_description
from simex.jobs.import_model import model_folder
from simex.jobs.sandbox import SandboxConfig
from simex.jobs.setup import SamplerShape
from simex.models.config import ComputeDtype
from simex.problems.sources.cruxeval import CruxItem, load_items
from simex.sampling.methods import SamplingMethod
from simex.sampling.samples import SampleRequest
from simex.sharding.mesh import MeshConfig
from simex.tokens.saved import load_tokenizer
from simex.train.saved_params import Choice, load_params, split_choice

_BLOCK = 64  # items between two places where a stopped job continues


@gin.configurable
def score_cruxeval(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    model: str,
    styles: Mapping[str, int],
    path: str = "../shared/data/eval/cruxeval.jsonl",
    num_items: int = 800,
    max_prompt_len: int = 640,
    sampler: SamplerShape = SamplerShape(num_slots=16),
    mesh: MeshConfig = MeshConfig(),
    compute_dtype: ComputeDtype = "float32",
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes <style>.answers.jsonl and <style>.jsonl, greedy answers scored.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      model: the stage whose newest checkpoint answers, or "STAGE@best".
      styles: how to ask, names in evals.cruxeval_prompts.STYLES, each with the most
        tokens of a completion.
      path: CRUXEval's own file.
      num_items: the first so many.
      max_prompt_len: tokens; an item with a longer prompt counts as wrong.
      sampler: its sizes.
      mesh: the devices.
      compute_dtype: of matmul inputs.
      sandbox: where the benchmark's assertions run.
    """
    for style in styles:
        if style not in STYLES:
            raise unknown_name("style", style, STYLES, where="score_cruxeval.styles")
    items = load_items(pathlib.Path(path))[:num_items]
    stage, step = split_choice(model)
    answerer = _Answerer(
        model_folder(workdir, stage),
        sampler.make_mesh(mesh),
        compute_dtype,
        sampler,
        step=step,
    )
    for style, max_new_tokens in styles.items():
        answers = stage_dir / f"{style}.answers.jsonl"
        answer = functools.partial(
            answerer.answer,
            style=style,
            max_new_tokens=max_new_tokens,
            max_prompt_len=max_prompt_len,
        )
        continue_jsonl(answers, functools.partial(_answer_rest, answer, items))
        with sandbox.open_pool() as pool:
            scored = score_answers(pool, items, list(read_jsonl(answers)))
        write_jsonl(stage_dir / f"{style}.jsonl", scored)


def _answer_rest(
    answer: Callable[[Sequence[CruxItem]], Iterator[dict[str, Any]]],
    items: Sequence[CruxItem],
    start: int,
) -> Iterator[dict[str, Any]]:
    return answer(items[start:])


class _Answerer:
    """A model that is loaded when it is first asked."""

    def __init__(
        self,
        folder: pathlib.Path,
        mesh: Any,
        compute_dtype: str,
        shape: SamplerShape,
        *,
        step: Choice,
    ):
        self._folder, self._mesh, self._shape = folder, mesh, shape
        self._step = step
        config = load_description(folder).config
        self._config = dataclasses.replace(config, compute_dtype=compute_dtype)
        self._stop_ids = load_description(folder).stop_ids
        self._params: Any = None

    def answer(
        self,
        items: Sequence[CruxItem],
        *,
        style: str,
        max_new_tokens: int,
        max_prompt_len: int,
    ) -> Iterator[dict[str, Any]]:
        """One record an item, in order."""
        if not items:
            return
        if self._params is None:
            self._params = load_params(
                self._folder / CHECKPOINTS,
                self._config,
                mesh=self._mesh,
                step=self._step,
            )
        tokenizer = load_tokenizer(self._folder / TOKENIZER)
        ask, parse = STYLES[style]
        sampler = self._shape.make_sampler(
            self._config,
            self._mesh,
            stop_ids=self._stop_ids,
            max_prompt_len=max_prompt_len,
            max_total_len=max_prompt_len + max_new_tokens,
        )
        starts = range(0, len(items), _BLOCK)
        for start in progress(starts, label=f"cruxeval/{style}", unit="block"):
            block = items[start : start + _BLOCK]
            prompts = [ask(tokenizer, item) for item in block]
            fits = [len(ids) <= max_prompt_len for ids in prompts]
            requests = [
                SampleRequest(
                    prompt_ids=ids, max_new_tokens=max_new_tokens, seed_path=(0,)
                )
                for ids, does_fit in zip(prompts, fits, strict=True)
                if does_fit
            ]
            greedy = SamplingMethod(temperature=0.0)
            samples = iter(sampler.sample(self._params, requests, greedy))
            for item, does_fit in zip(block, fits, strict=True):
                ids = next(samples).ids.tolist() if does_fit else []
                text = tokenizer.decode([i for i in ids if i not in self._stop_ids])
                yield {
                    "id": item.id,
                    "group": item.id,
                    "role": "function",
                    "true": item.output,
                    "said": parse(text, item),
                    "text": text,
                    "num_tokens": len(ids),
                    "is_right": False,  # until it is scored
                }


@gin.configurable
def report_cruxeval(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    before: str,
    after: Sequence[str],
) -> None:
    """Writes results.json: every score, and each gain, with its 95 % interval.

    Args:
      workdir: of the run.
      stage_dir: of this stage.
      before: "<stage>/<style>" of the baseline.
      after: the same of what is compared with it.
    """
    scores = {name: _load(workdir, name) for name in (before, *after)}
    results = {f"official.{n}": summary.estimate_accuracy(r) for n, r in scores.items()}
    for name, records in scores.items():
        strict = [r | {"is_right": r["is_strictly_right"]} for r in records]
        results[f"strict.{name}"] = summary.estimate_accuracy(strict)
    for name in after:
        gain = summary.estimate_gain(scores[name], scores[before])
        results[f"gain.{name}"] = gain
    with write_atomically(stage_dir / "results.json") as file:
        json.dump({k: v.as_dict() for k, v in results.items()}, file, indent=2)
    for name, estimate in results.items():
        print(
            f"{name:40} {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
        )


def _load(workdir: pathlib.Path, name: str) -> list[dict[str, Any]]:
    path = workdir / f"{name}.jsonl"
    if not path.exists():
        raise UserError(f"{path} must hold scored answers; it is not there.")
    return list(read_jsonl(path))
