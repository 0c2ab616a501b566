"""Lets a sampler and an update share several devices without a deadlock."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from jax.sharding import Mesh

from simex.models.transformer import Params
from simex.rollouts.policy import Policy
from simex.sampling.methods import SamplingMethod
from simex.sampling.sampler import Sampler
from simex.sampling.samples import Sample, SampleRequest

Turns = Callable[[], AbstractContextManager[Any]]


def make_turns(mesh: Mesh, *, is_shared: bool) -> Turns:
    """What to hold while device programs run.

    Two threads that start programs on the same several devices may start them in
    another order on each device; programs that exchange data then wait for each other
    for ever. So there, sampling and updating take turns, while judging overlaps with
    both. On one device, and where only one thread uses them, nobody waits.
    """
    if not is_shared or mesh.size == 1:
        return contextlib.nullcontext
    lock = threading.Lock()
    return lambda: lock


def taking_turns(policy: Policy, turns: Turns) -> Policy:
    """The policy, its sampler and those of its verifiers holding `turns`."""
    sampler = cast(Sampler, PoliteSampler(policy.sampler, turns))
    verifiers = {n: taking_turns(v, turns) for n, v in policy.verifiers.items()}
    return dataclasses.replace(policy, sampler=sampler, verifiers=verifiers)


class PoliteSampler:
    """A sampler that holds `turns` while it samples; else the one it wraps."""

    def __init__(self, sampler: Sampler, turns: Turns) -> None:
        self._sampler, self._turns = sampler, turns

    def sample(
        self,
        params: Params,
        requests: Sequence[SampleRequest],
        method: SamplingMethod,
        **settings: Any,
    ) -> list[Sample]:
        """As `Sampler.sample`."""
        with self._turns():
            return self._sampler.sample(params, requests, method, **settings)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)
