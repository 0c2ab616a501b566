"""The policy as rollouts and evaluations see it: prompts in, turns out."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simex.rollouts.beside import Waits
from simex.rollouts.rollout import Turn
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import Sample, SampleRequest, Stop
from simex.sharding.processes import spread
from simex.tokens.chat import render_prompt
from simex.tokens.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Query:
    """One prompt to complete."""

    task: str  # a name in tasks.TASKS
    prompt: str
    seed_path: tuple[int, ...]
    """Names the sample, e.g. (seed, train step, item, sample): the same path gives the
    same completion whatever else is asked at the same time."""

    max_new_tokens: int | None = None  # a bound below the policy's own


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """Params with the sampler and tokenizer to use them."""

    sampler: Sampler
    params: Any
    tokenizer: Tokenizer
    method: SamplingMethod
    max_new_tokens: int
    version: int = 0  # train steps behind `params`
    verifiers: Mapping[str, "Policy"] = dataclasses.field(default_factory=dict)
    """Frozen policies that may predict in its stead, by the stage they come from."""

    waits: Waits = dataclasses.field(default_factory=Waits)
    """Grows while rollouts of this policy wait for something else."""

    def complete(
        self,
        queries: Sequence[Query],
        *,
        on_turn: Callable[[int, Turn], None] | None = None,
    ) -> list[Turn]:
        """One turn for each query, in order.

        A prompt longer than the sampler's `max_prompt_len` is not sampled from: its turn
        is empty and counts as truncated. Where less than `max_new_tokens` is left behind
        a prompt, a completion may have what is left.

        Args:
          queries: what to complete.
          on_turn: called as on_turn(index, turn) when the turn of a query is sampled,
            while others are still decoded, in the process that samples it. It must be
            quick: devices wait meanwhile.
        """
        prompts = [tuple(render_prompt(self.tokenizer, q.prompt)) for q in queries]
        max_len = self.sampler.max_total_len
        fitting = [
            i
            for i, ids in enumerate(prompts)
            if len(ids) <= self.sampler.max_prompt_len
        ]
        requests = [
            SampleRequest(
                prompt_ids=prompts[i],
                max_new_tokens=min(
                    self.max_new_tokens,
                    queries[i].max_new_tokens or self.max_new_tokens,
                    max_len - len(prompts[i]),
                ),
                seed_path=queries[i].seed_path,
            )
            for i in fitting
        ]
        told: dict[int, Turn] = {}

        def sample(own: Sequence[tuple[int, SampleRequest]]) -> list[Sample]:
            def tell(number: int, found: Sample) -> None:
                index = own[number][0]
                turn = self._make_turn(queries[index], prompts[index], found)
                told[index] = turn
                if on_turn is not None:
                    on_turn(index, turn)

            own_requests = [request for _, request in own]
            return self.sampler.sample(
                self.params, own_requests, self.method, on_done=tell
            )

        samples = spread(list(zip(fitting, requests, strict=True)), sample)
        by_index = dict(zip(fitting, samples, strict=True))
        return [
            told[i]
            if i in told
            else self._make_turn(query, prompts[i], by_index.get(i))
            for i, query in enumerate(queries)
        ]

    def _make_turn(
        self, query: Query, prompt_ids: tuple[int, ...], sample: Sample | None
    ) -> Turn:
        if sample is None:
            return Turn(
                task=query.task,
                prompt_ids=prompt_ids,
                completion_ids=(),
                sampler_logprobs=np.zeros(0, np.float32),
                stop=Stop.LENGTH,
                text="",
                prompt=query.prompt,
                policy_version=self.version,
            )
        ids = tuple(int(i) for i in sample.ids)
        shown = ids[:-1] if sample.stop is Stop.STOP_ID else ids
        return Turn(
            task=query.task,
            prompt_ids=prompt_ids,
            completion_ids=ids,
            sampler_logprobs=np.asarray(sample.logprobs, np.float32),
            stop=sample.stop,
            text=self.tokenizer.decode(shown),
            prompt=query.prompt,
            policy_version=self.version,
        )
