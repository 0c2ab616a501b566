"""Continuous batching: slots are refilled as their rows finish."""

from collections.abc import Callable, Sequence

from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.models.kernels import row_multiple
from simex.models.transformer import Params
from simex.sampling.methods import SamplingMethod
from simex.sampling.programs import COPY_SPAN, make_programs
from simex.sampling.run import SamplingRun
from simex.sampling.samples import Sample, SampleRequest, SamplingStats
from simex.sharding.compiles import num_compiles
from simex.sharding.decode import own_part
from simex.sharding.mesh import num_decode_shards, platform_of


class Sampler:
    """Samples completions with a fixed number of slots.

    Example:
        sampler = Sampler(config, mesh, num_slots=64, max_prompt_len=200,
                          max_total_len=256, stop_ids=(4,))
        samples = sampler.sample(params, requests, SamplingMethod(temperature=0.7))

    A sample depends on its prompt, its seed path, the method and the params. Neighbours,
    the number of slots and the chunk length change at most the rounding of sums.
    """

    def __init__(
        self,
        config: ModelConfig,
        mesh: Mesh,
        *,
        num_slots: int,
        max_prompt_len: int,
        max_total_len: int,
        stop_ids: Sequence[int] = (),
        chunk_steps: int = 8,
        prefill_rows: int = 4,
        span_multiple: int = 128,
        cache_dtype: str = "float32",
    ) -> None:
        """Checks the sizes; programs compile when first needed.

        Args:
            config: of the decoder.
            mesh: slots are divided over its axes but `tensor`; of several processes each
                samples on its own devices.
            num_slots: rows that decode together, on all devices of all processes.
            max_prompt_len: longest prompt, in tokens.
            max_total_len: longest prompt and completion together.
            stop_ids: a sample ends with the first of these; it is part of the sample.
            chunk_steps: decode steps between two looks of the host.
            prefill_rows: packed rows of a prefill, on each device.
            span_multiple: the cache has as many positions as the longest running row
                needs, rounded up to this (to a quarter of it, where that is more);
                each size compiles once.
            cache_dtype: of keys and values; float32 decodes faster on a CPU.
        """
        own = own_part(mesh)
        num_parts = mesh.size // own.size  # of the mesh: one a process
        shards = num_decode_shards(own) * num_parts
        if num_slots < 1 or num_slots % shards:
            raise UserError(
                f"num_slots must be a positive multiple of {shards}, the number of "
                f"devices that hold rows, but it is {num_slots}."
            )
        if chunk_steps < 1 or prefill_rows < 1:
            raise UserError(
                "chunk_steps and prefill_rows of a sampler must be at least 1, but they "
                f"are {chunk_steps} and {prefill_rows}."
            )
        if not 0 < max_prompt_len < max_total_len <= config.max_positions:
            raise UserError(
                "A sampler needs 0 < max_prompt_len < max_total_len <= "
                f"ModelConfig.max_positions, but they are {max_prompt_len}, "
                f"{max_total_len} and {config.max_positions}."
            )
        _check_rope(config, max_total_len)
        self.config, self.mesh = config, own
        self.num_slots = num_slots // num_parts  # of this process
        self.max_prompt_len, self.max_total_len = max_prompt_len, max_total_len
        self.stop_ids, self.chunk_steps = tuple(map(int, stop_ids)), chunk_steps
        self.prefill_rows = prefill_rows
        self.span_multiple = _round_up(span_multiple, COPY_SPAN)
        self.stats = SamplingStats()
        self.prefill_width = _round_up(
            max_prompt_len, max(COPY_SPAN, row_multiple(config, platform_of(own)))
        )
        # A chunk is appended behind the longest row, and a prompt comes in whole spans.
        longest = max(max_total_len + chunk_steps, self.prefill_width)
        self.num_positions = _round_up(longest, COPY_SPAN)
        self.programs = make_programs(
            config,
            mesh,
            chunk_steps=chunk_steps,
            stop_ids=self.stop_ids,
            cache_dtype=cache_dtype,
        )

    def sample(
        self,
        params: Params,
        requests: Sequence[SampleRequest],
        method: SamplingMethod,
        *,
        on_done: Callable[[int, Sample], None] | None = None,
    ) -> list[Sample]:
        """One sample a request, in the order of requests.

        Args:
            params: plain nested dict, sharded like those of training.
            requests: any number; requests with the same prompt share its prefill.
            method: for requests that have none of their own.
            on_done: called as on_done(index, sample) as soon as a request is finished,
                between chunks, so that judging overlaps with decoding.

        Raises:
            UserError: a prompt is empty or too long, or nothing is to be sampled.
        """
        for index, request in enumerate(requests):
            self._check(index, request)
        compiles = num_compiles()
        run = SamplingRun(self, params, requests, method)
        while run.advance():
            for index, sample in run.take_finished():
                if on_done is not None:
                    on_done(index, sample)
        self.stats = run.stats
        self.stats.num_compiles = num_compiles() - compiles
        return run.samples()

    def _check(self, index: int, request: SampleRequest) -> None:
        length = len(request.prompt_ids)
        if not 0 < length <= self.max_prompt_len:
            raise UserError(
                f"A prompt must have 1 to {self.max_prompt_len} tokens, but prompt "
                f"{index} has {length}. Raise max_prompt_len or shorten the prompt."
            )
        if request.max_new_tokens < 1:
            raise UserError(
                f"max_new_tokens must be at least 1, but request {index} asks for "
                f"{request.max_new_tokens}."
            )


def _check_rope(config: ModelConfig, max_total_len: int) -> None:
    """Raises UserError where a sampler's logprobs would not be the trainer's."""
    scaling = config.rope_scaling
    original = scaling.original_max_positions or config.max_positions
    if scaling.kind == "dynamic" and max_total_len > original:
        raise UserError(
            "A sampler needs max_total_len <= original_max_positions of a dynamic RoPE "
            f"scaling, but they are {max_total_len} and {original}: in longer rows all "
            "keys would have to be turned anew for each token, and those of a cache are "
            "not. Sample shorter rows, or fine-tune with yarn."
        )


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
