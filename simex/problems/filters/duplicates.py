"""Has an earlier item said the same, word for word or nearly?

Near duplicates are found by MinHash (Broder 1997, "On the resemblance and containment
of documents") with banding, and then measured: an item is one if the Jaccard
similarity of its shingles to those of an earlier item reaches the threshold.
"""

import hashlib
import zlib
from collections.abc import Sequence

import numpy as np

from simex.core.errors import UserError
from simex.core.prng import host_rng
from simex.problems.filters.text import ngrams_of, tokens_of, words_of
from simex.problems.program import SourceItem

NUM_BANDS, ROWS_PER_BAND = 16, 4  # half of all pairs of similarity 0.45 meet in a band
SHINGLE_WORDS = 5


class ExactDuplicates:
    """Remembers what was seen; whoever comes second is the duplicate.

    Two problems are equal if their statements are, as words. Items without a statement
    are, if their programs are (as tokens, comments aside), the call and the tests.
    """

    def __init__(self):
        self._seen: dict[bytes, str] = {}

    def why_duplicate(self, item: SourceItem) -> str | None:
        """Remembers the item; the id of an equal one that came before."""
        parts = words_of(item.problem.statement)
        if not parts:
            parts = tokens_of(_program_text(item)) + [repr(item.problem.tests)]
            parts += [repr(item.problem.call_tests), item.problem.call]
        digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).digest()
        first = self._seen.setdefault(digest, item.problem.id)
        return None if first == item.problem.id else f"says the same as {first}"


class NearDuplicates:
    """Remembers shingles of what was seen; about 5 kB an item.

    Without a statement, items of one composition are no near duplicates of each other:
    they are calls of one function. `ExactDuplicates` has seen to equal ones.
    """

    def __init__(self, threshold: float = 0.85):
        if not 0 < threshold <= 1:
            raise UserError(
                "The threshold of near duplicates must be above 0 and at most 1; got "
                f"{threshold}. 0.85 lets a changed sentence through."
            )
        self._threshold = threshold
        rng = host_rng(0, "minhash")
        size = (2, NUM_BANDS * ROWS_PER_BAND)
        self._factors_2N = rng.integers(1, 1 << 63, size=size, dtype=np.uint64) | 1
        self._bands: dict[tuple[int, bytes], list[int]] = {}
        self._shingles: list[np.ndarray] = []
        self._ids: list[str] = []
        self._groups: list[str | None] = []  # None: of an item with a statement
        self._by_text: dict[bytes, str | None] = {}

    def why_duplicate(self, item: SourceItem, *, stays: bool = False) -> str | None:
        """Remembers the item; the id of a similar one that came before.

        A near duplicate is dropped, and what is like it alone may come. One that
        `stays` all the same is held against what comes like any other.
        """
        parts, group = words_of(item.problem.statement), None
        if not parts:
            parts, group = tokens_of(_program_text(item)), item.problem.composition
        text = f"{group}\x1e" + "\x1f".join(parts)
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        if digest not in self._by_text:
            near = self._find(parts, item.problem.id, group=group, stays=stays)
            self._by_text[digest] = near
        near = self._by_text[digest]
        return None if near is None else f"is nearly the same as {near}"

    def _find(
        self, parts: Sequence[str], item_id: str, *, group: str | None, stays: bool
    ) -> str | None:
        shingles = _shingle_hashes(list(parts))
        if not len(shingles):
            return None
        keys = list(enumerate(self._signature(shingles)))
        met = {rank for key in keys for rank in self._bands.get(key, ())}
        similar = (
            self._ids[rank]
            for rank in sorted(met)
            if (group is None or self._groups[rank] != group)
            and _jaccard(shingles, self._shingles[rank]) >= self._threshold
        )
        near = next(similar, None)
        if near is None or stays:
            for key in keys:
                self._bands.setdefault(key, []).append(len(self._ids))
            self._shingles.append(shingles)
            self._ids.append(item_id)
            self._groups.append(group)
        return near

    def _signature(self, shingles_S: np.ndarray) -> list[bytes]:
        """The minimum of each hash, by band. Multiply-shift hashing modulo 2**64."""
        a_N, b_N = self._factors_2N
        hashes_SN = (shingles_S[:, None] * a_N[None, :] + b_N[None, :]) >> np.uint64(32)
        minima_N = hashes_SN.min(axis=0).astype(np.uint32)
        return [band.tobytes() for band in minima_N.reshape(NUM_BANDS, ROWS_PER_BAND)]


def _program_text(item: SourceItem) -> str:
    """The programs, of a function without the call that it ends with."""
    texts = [p.source for p in item.programs]
    ending = f"print(repr({item.problem.call}))"
    return "\n".join(t.strip().removesuffix(ending) for t in texts)


def _shingle_hashes(parts: list[str]) -> np.ndarray:
    grams = ngrams_of(parts, SHINGLE_WORDS)
    hashes = {zlib.crc32("\x1f".join(g).encode("utf-8", "replace")) for g in grams}
    return np.array(sorted(hashes), dtype=np.uint64)


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
