"""One call of a sampler: admit requests, decode a chunk, collect what finished."""

import collections
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from simex.models.transformer import Params
from simex.sampling.keys import path_key
from simex.sampling.methods import SamplingMethod
from simex.sampling.programs import COPY_SPAN
from simex.sampling.prompts import Ready, group_requests, pack_prompts
from simex.sampling.rows import Rows, idle_rows
from simex.sampling.samples import Sample, SampleRequest, SamplingStats, Stop
from simex.sharding.mesh import num_decode_shards, platform_of

if TYPE_CHECKING:
    from simex.sampling.sampler import Sampler

# Slots of a device below which shrinking the batch saves nothing. An accelerator reads
# all kernels for any number of rows, and compiles a size for seconds.
_MIN_ROWS_ON_CPU, _MIN_ROWS = 8, 64


class SamplingRun:
    """The state of one `Sampler.sample`, advanced a chunk at a time."""

    def __init__(
        self,
        sampler: "Sampler",
        params: Params,
        requests: Sequence[SampleRequest],
        method: SamplingMethod,
    ) -> None:
        """Groups the requests and makes an empty cache."""
        self._sampler, self._programs = sampler, sampler.programs
        self._requests, self._method = requests, method
        self.stats = SamplingStats()
        self._params = sampler.programs.prepare_params(params)
        self._num_shards = num_decode_shards(sampler.mesh)
        share = -(-len(requests) // self._num_shards) or 1
        self._queue = group_requests(
            [request.prompt_ids for request in requests], max_group=share
        )
        self._ready: list[collections.deque[Ready]] = [
            collections.deque() for _ in range(self._num_shards)
        ]
        self._slots_per_shard = min(
            sampler.num_slots // self._num_shards, self._num_slots_for(share)
        )
        self._start_rows()
        self._parts: list[list[tuple[np.ndarray, ...]]] = [[] for _ in requests]
        self._samples: list[Sample | None] = [None] * len(requests)
        self._finished: list[int] = []

    def advance(self) -> bool:
        """Decodes one chunk; False when every request is finished."""
        self._admit()
        if not np.any(self._rows.remaining):
            return False
        self._fit()
        self._decode()
        return True

    def take_finished(self) -> Iterator[tuple[int, Sample]]:
        """Requests that finished since the last call, with their samples."""
        finished, self._finished = self._finished, []
        for index in finished:
            if (sample := self._samples[index]) is not None:
                yield index, sample

    def samples(self) -> list[Sample]:
        """All samples, in the order of requests."""
        return [sample for sample in self._samples if sample is not None]

    def _start_rows(self) -> None:
        num_rows = self._slots_per_shard * self._num_shards
        self._rows: Rows = idle_rows(num_rows)
        self._owner = np.full(num_rows, -1)  # request index of each slot
        self._num_positions = self._positions_for(self._sampler.prefill_width)
        self._cache = self._programs.make_cache(num_rows, self._num_positions)

    def _admit(self) -> None:
        """Fills idle slots; prefills when a device has idle slots and nothing ready."""
        taken: dict[int, list[tuple[int, Ready]]] = {}
        blocks = {}
        idle = [
            collections.deque(np.flatnonzero(part < 0).tolist())
            for part in self._owner.reshape(self._num_shards, -1)
        ]
        while True:
            for shard, slots in enumerate(idle):
                while slots and self._ready[shard]:
                    ready = self._ready[shard].popleft()
                    slot = shard * self._slots_per_shard + slots.popleft()
                    taken.setdefault(id(ready.block), []).append((slot, ready))
                    blocks[id(ready.block)] = ready.block
            if not self._queue or not any(idle):
                break
            self._prefill()
        for key, pairs in taken.items():
            self._insert(blocks[key].cache, pairs)
            blocks[key].num_waiting -= len(pairs)
            if not blocks[key].num_waiting:
                blocks[key].cache = None

    def _prefill(self) -> None:
        sampler = self._sampler
        few = sum(len(group.prompt_ids) for group in self._queue)
        fits_one_row = few <= sampler.prefill_width * self._num_shards // 2
        num_rows = 1 if fits_one_row else sampler.prefill_rows
        packed, block = pack_prompts(
            self._queue, self._ready, num_rows=num_rows, width=sampler.prefill_width
        )
        block.cache = self._programs.prefill(
            self._params, packed.tokens, packed.segment_ids, packed.positions
        )
        self.stats.num_prefills += 1
        self.stats.prefill_positions += packed.tokens.size

    def _insert(self, block_cache: object, pairs: list[tuple[int, Ready]]) -> None:
        """Copies prompts into slots and starts their rows."""
        copies: list[list[tuple[int, int, int, int]]] = [
            [] for _ in range(self._num_shards)
        ]
        for slot, ready in pairs:
            shard, local = divmod(slot, self._slots_per_shard)
            copies[shard].extend(ready.copies(local))
            self._start_row(slot, ready)
        per_slot = self._sampler.prefill_width // COPY_SPAN
        table = np.zeros(
            (self._num_shards, self._slots_per_shard * per_slot, 4), np.int32
        )
        for shard, spans in enumerate(copies):
            table[shard, : len(spans)] = np.array(spans, np.int32).reshape(-1, 4)
        counts = np.array([len(spans) for spans in copies], np.int32)
        self._cache = self._programs.insert(self._cache, block_cache, counts, table)

    def _start_row(self, slot: int, ready: Ready) -> None:
        request, rows = self._requests[ready.index], self._rows
        length = len(ready.prompt_ids)
        self._owner[slot] = ready.index
        rows.lengths[slot] = length - 1
        rows.tokens[slot] = ready.prompt_ids[-1]
        room = self._sampler.max_total_len - length
        rows.remaining[slot] = min(request.max_new_tokens, room)
        rows.keys[slot] = path_key(request.seed_path)
        method = request.method or self._method
        rows.temperature[slot] = method.temperature
        rows.top_p[slot] = method.top_p
        rows.top_k[slot] = method.top_k

    def _fit(self) -> None:
        """Makes the cache as large as the running rows need for one more chunk.

        Rows move into a smaller batch only when nothing waits for a slot.
        """
        sampler = self._sampler
        running = self._owner.reshape(self._num_shards, -1) >= 0
        longest = int(self._rows.lengths[self._owner >= 0].max())
        num_positions = self._positions_for(longest + sampler.chunk_steps)
        num_slots = self._slots_per_shard
        if not self._queue and not any(self._ready):
            wanted = self._num_slots_for(int(running.sum(1).max()))
            num_slots = min(num_slots, wanted)
        has_room = num_positions <= self._num_positions
        if has_room and num_slots == self._slots_per_shard:
            return
        # Running rows first; behind them idle ones fill up.
        order = np.argsort(~running, axis=1, kind="stable").astype(np.int32)
        order = order[:, :num_slots]
        offsets = np.arange(self._num_shards)[:, None] * self._slots_per_shard
        chosen = (order + offsets).reshape(-1)
        self._cache = self._programs.resize(
            self._cache, order.reshape(-1), num_positions
        )
        self._rows = Rows(*(field[chosen] for field in self._rows))
        self._owner = self._owner[chosen]
        self._slots_per_shard, self._num_positions = num_slots, num_positions

    def _positions_for(self, number: int) -> int:
        """`number` rounded up, to few different sizes of which each compiles once."""
        sampler = self._sampler
        step = max(sampler.span_multiple, 1 << max(0, number.bit_length() - 3))
        return min(-(-number // step) * step, sampler.num_positions)

    def _num_slots_for(self, number: int) -> int:
        """Slots of a device for so many rows, of the sizes of its platform."""
        return round_up_rows(number, platform=platform_of(self._sampler.mesh))

    def _decode(self) -> None:
        rows = self._rows
        self._cache, chunk = self._programs.decode_chunk(
            self._params, self._cache, rows
        )
        tokens, logprobs, log_kept, valid = map(np.asarray, chunk)
        self.stats.num_chunks += 1
        self.stats.slot_steps += valid.size
        for slot in np.flatnonzero(self._owner >= 0).tolist():
            count = int(valid[:, slot].sum())
            part = tuple(x[:count, slot] for x in (tokens, logprobs, log_kept))
            self._collect(slot, part)

    def _collect(self, slot: int, part: tuple[np.ndarray, ...]) -> None:
        """Takes the kept tokens of a chunk; ends the row or lets it go on."""
        rows, index = self._rows, int(self._owner[slot])
        ids = part[0]
        self._parts[index].append(part)
        self.stats.kept_tokens += len(ids)
        stopped = int(ids[-1]) in self._sampler.stop_ids
        rows.remaining[slot] -= len(ids)
        if not stopped and rows.remaining[slot] > 0:
            rows.lengths[slot] += len(ids)
            rows.tokens[slot] = ids[-1]
            return
        all_ids, logprobs, log_kept = map(np.concatenate, zip(*self._parts[index]))
        self._samples[index] = Sample(
            ids=all_ids,
            logprobs=logprobs,
            log_kept=log_kept,
            stop=Stop.STOP_ID if stopped else Stop.LENGTH,
        )
        self._parts[index] = []
        self._finished.append(index)
        self._owner[slot] = -1
        rows.remaining[slot] = 0
        rows.lengths[slot] = 0


def round_up_rows(number: int, *, platform: str) -> int:
    """Rows rounded up to few sizes, of which each compiles once.

    On a CPU 8, 12, 16, 24, 32, and from there in quarters of a power of two (40, 48, 56,
    64, 80, ...), since it computes what rows cost. Elsewhere powers of two from 64.
    """
    power = 1 << max(0, number - 1).bit_length()
    if platform != "cpu":
        return max(_MIN_ROWS, power)
    step = power // 8 if power > 32 else power // 4
    return max(_MIN_ROWS_ON_CPU, -(-number // step) * step if step else number)
