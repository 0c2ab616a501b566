"""What one chip of each kind of TPU can do, and the slices it is rented in.

Numbers are those of Google Cloud's pages on TPU v5e, v5p and v6e (docs.cloud.google.com,
tpu/docs/v5e, v5p and v6e; read in November 2026). "Bidirectional ICI bandwidth per chip"
counts all links of a chip in both directions; half of it can come in.
"""

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generation:
    """One kind of chip."""

    name: str
    peak_flops: float  # bfloat16 multiply-adds a second, two FLOPs each
    hbm_bytes: float  # what the compiler lets a program use
    hbm_bytes_per_sec: float
    ici_bytes_per_sec: float  # that can come in over all links together
    cycles_per_sec: float  # of the matrix units; see below
    slices: tuple[tuple[int, ...], ...]  # standard shapes, smallest first


# hbm_bytes is what the compiler names when a program does not fit (libtpu 0.0.42): less
# than the 16, 95 and 32 GB of the pages by what the chip keeps for itself.
# cycles_per_sec follows from the peak: v5e has 4 units of 128 x 128 multiply-adds (197e12
# / (4 * 128**2 * 2) = 1.5e9), v5p 8 of them, v6e 2 of 256 x 256 at 4 units' pace.
_CUBES = (
    (2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4), (4, 4, 4), (4, 4, 8), (4, 8, 8),
    (8, 8, 8), (8, 8, 16), (8, 16, 16),
)  # fmt: skip
_SQUARES = ((2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))

GENERATIONS: dict[str, Generation] = {
    "v5e": Generation(
        name="v5e",
        peak_flops=197e12,
        hbm_bytes=15.75 * GIB,
        hbm_bytes_per_sec=819e9,
        ici_bytes_per_sec=200e9,
        cycles_per_sec=1.5e9,
        slices=_SQUARES,
    ),
    "v5p": Generation(
        name="v5p",
        peak_flops=459e12,
        hbm_bytes=95.74 * GIB,
        hbm_bytes_per_sec=2765e9,
        ici_bytes_per_sec=600e9,
        cycles_per_sec=1.75e9,
        slices=_CUBES,
    ),
    "v6e": Generation(
        name="v6e",
        peak_flops=918e12,
        hbm_bytes=31.25 * GIB,
        hbm_bytes_per_sec=1600e9,
        ici_bytes_per_sec=400e9,
        cycles_per_sec=1.75e9,
        slices=_SQUARES,
    ),
}
