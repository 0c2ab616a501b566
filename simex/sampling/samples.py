"""What is asked of a sampler, and what it returns."""

import dataclasses
import enum
from collections.abc import Sequence

import numpy as np

from simex.sampling.methods import SamplingMethod


class Stop(enum.Enum):
    """Why a sample ended. Compare with `is`; a Stop has no truth value."""

    STOP_ID = "stop_id"  # its last id is a stop id
    LENGTH = "length"  # it reached max_new_tokens or the sampler's max_total_len

    def __bool__(self) -> bool:
        """Raises TypeError: both reasons are ends, neither is false."""
        raise TypeError(
            "A Stop has no truth value; compare it, as in `stop is STOP_ID`."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """One completion of a prompt."""

    prompt_ids: Sequence[int]
    max_new_tokens: int
    seed_path: tuple[int, ...]  # e.g. (run seed, step, problem, sample)
    method: SamplingMethod | None = None  # None: that of the call


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """A completion; arrays have one element for each sampled id."""

    ids: np.ndarray  # int32, with the stop id that ended it
    logprobs: np.ndarray  # float32, the whole policy's at the sampling temperature
    log_kept: np.ndarray  # float32, log of the mass that top-k and top-p kept
    stop: Stop


@dataclasses.dataclass(kw_only=True)
class SamplingStats:
    """Work done by one call of `Sampler.sample`."""

    kept_tokens: int = 0
    slot_steps: int = 0  # rows x decode steps, kept or not
    num_chunks: int = 0
    num_prefills: int = 0
    prefill_positions: int = 0  # computed, padding included
    num_compiles: int = 0  # in the whole process meanwhile; 0 once all sizes were seen

    @property
    def kept_fraction(self) -> float:
        """Share of slot-steps that produced a kept token."""
        return self.kept_tokens / max(1, self.slot_steps)
