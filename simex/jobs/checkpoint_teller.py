"""A simex checkpoint as the language model that tells traces."""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Sequence

from simex.core.errors import UserError
from simex.hf.description import CHECKPOINTS, TOKENIZER, load_description
from simex.jobs.import_model import model_folder
from simex.jobs.setup import SamplerShape, Setup
from simex.models.config import ComputeDtype
from simex.nlex.completion import BatchCompleter, Completion, CompletionFailure
from simex.rollouts.policy import Policy, Query
from simex.rollouts.rollout import Turn
from simex.sampling.methods import SamplingMethod
from simex.sampling.samples import Stop
from simex.sharding.mesh import MeshConfig
from simex.tokens.saved import load_tokenizer
from simex.train.saved_params import load_params, split_choice

# What a Setup decides, where there is one.
OF_SETUP = ("max_prompt_len", "max_new_tokens", "sampler", "compute_dtype", "mesh")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointTeller:
    """The newest checkpoint of a stage, asked through our own sampler."""

    model: str  # the stage, e.g. "import_model" or "finetune"
    setup: Setup | None = None
    """Of a model that this run trained from no weights: devices, sampler, lengths and
    dtype are then its own, and those below must be left alone."""

    temperature: float = 0.0
    max_prompt_len: int = 2048  # tokens; a longer prompt gets no answer, with a reason
    max_new_tokens: int = 512
    batch_size: int = 64
    sampler: SamplerShape = SamplerShape(num_slots=16)
    compute_dtype: ComputeDtype = "float32"
    mesh: MeshConfig = MeshConfig()
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.max_prompt_len, self.max_new_tokens, self.batch_size) < 1:
            raise UserError(
                "CheckpointTeller.max_prompt_len, max_new_tokens and batch_size must "
                "be at least 1."
            )
        changed = [
            field.name
            for field in dataclasses.fields(self)
            if field.name in OF_SETUP and getattr(self, field.name) != field.default
        ]
        if self.setup is not None and changed:
            raise UserError(
                "With CheckpointTeller.setup that is what decides, so "
                f"{', '.join(changed)} must be left alone. Set the same in Setup."
            )

    @property
    def salt(self) -> str:
        """What answers depend on beside the prompt."""
        return f"{self.model} {self.temperature} {self.max_new_tokens} {self.seed}"

    def make_completer(self, workdir: pathlib.Path) -> BatchCompleter:
        """Completes prompts by batches; the model is loaded at the first one."""
        load = functools.cache(functools.partial(self._make_policy, workdir))

        def complete(prompts: Sequence[str]) -> list[Completion | CompletionFailure]:
            queries = [self._make_query(prompt) for prompt in prompts]
            return [_make_completion(turn) for turn in load().complete(queries)]

        return BatchCompleter(complete, batch_size=self.batch_size)

    def _make_query(self, prompt: str) -> Query:
        # The same prompt gets the same answer, whatever was asked before.
        digest = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()
        number = int.from_bytes(digest[:4], "big") >> 1
        return Query(task="explain", prompt=prompt, seed_path=(self.seed, number))

    def _make_policy(self, workdir: pathlib.Path) -> Policy:
        method = SamplingMethod(temperature=self.temperature)
        if self.setup is not None:
            mesh = self.setup.make_mesh()
            params = self.setup.load_params(workdir, self.model, mesh=mesh)
            return self.setup.make_policy(workdir, params, mesh=mesh, method=method)
        mesh = self.sampler.make_mesh(self.mesh)
        stage, step = split_choice(self.model)
        folder = model_folder(workdir, stage)
        description = load_description(folder)
        config = dataclasses.replace(
            description.config, compute_dtype=self.compute_dtype
        )
        sampler = self.sampler.make_sampler(
            config,
            mesh,
            stop_ids=description.stop_ids,
            max_prompt_len=self.max_prompt_len,
            max_total_len=self.max_prompt_len + self.max_new_tokens,
        )
        return Policy(
            sampler=sampler,
            params=load_params(folder / CHECKPOINTS, config, mesh=mesh, step=step),
            tokenizer=load_tokenizer(folder / TOKENIZER),
            method=method,
            max_new_tokens=self.max_new_tokens,
        )


def _make_completion(turn: Turn) -> Completion | CompletionFailure:
    if not turn.completion_ids:
        reason = "the prompt is longer than the model takes"
        return CompletionFailure(reason=reason, is_of_prompt=True)
    if turn.stop is Stop.LENGTH:
        return CompletionFailure(
            reason="the answer does not end",
            is_of_prompt=True,
            num_prompt_tokens=len(turn.prompt_ids),
            num_completion_tokens=len(turn.completion_ids),
        )
    return Completion(
        text=turn.text,
        num_prompt_tokens=len(turn.prompt_ids),
        num_completion_tokens=len(turn.completion_ids),
    )
