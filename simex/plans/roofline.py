"""From counted work to seconds, and from seconds to what share of the chips is used.

Roofline (Williams et al. 2009): a program takes at least as long as its FLOPs at the
chip's peak, its bytes at the bandwidth of HBM, and its exchanges at that of the links
between chips. `overlapped` has all three at once, the best that can be; `in_turn` adds
exchanges to the longer of the other two, the worst without stalls.
"""

import dataclasses

from simex.plans.flops import ModelWork
from simex.plans.generations import Generation
from simex.plans.report import Work


@dataclasses.dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of one call."""

    matmul: float  # at the peak of the matrix units
    hbm: float
    links: float
    compiler: float | None  # the compiler's own cycles, and kernels at the peak

    @property
    def overlapped(self) -> float:
        """The lower bound."""
        return max(self.busy, self.links)

    @property
    def in_turn(self) -> float:
        """Nothing hidden behind anything else."""
        return self.busy + self.links

    @property
    def busy(self) -> float:
        """One chip's own work: as its compiler sees it, else by the roofline."""
        return max(self.matmul, self.compiler or self.hbm)


def make_times(
    work: Work, model_work: ModelWork, chip: Generation, num_devices: int
) -> Times:
    """The times of one program.

    Args:
      work: counted in the compiled program, of one device.
      model_work: by formula, of all devices; its attention is added where the compiled
        program calls kernels.
      chip: the kind of devices.
      num_devices: how many.
    """
    kernels = model_work.attention_flops / num_devices if work.num_kernels else 0.0
    kernel_secs = kernels / chip.peak_flops
    exchanged = sum(work.collective_bytes.values())
    return Times(
        matmul=work.matmul_flops / chip.peak_flops + kernel_secs,
        hbm=work.hbm_bytes / chip.hbm_bytes_per_sec,
        links=exchanged / chip.ici_bytes_per_sec,
        compiler=None
        if work.compiler_secs is None
        else work.compiler_secs + kernel_secs,
    )


def mfu(flops: float, secs: float, chip: Generation, num_devices: int) -> float:
    """Model FLOPs utilisation (PaLM, arXiv 2204.02311): needed over possible FLOPs."""
    return flops / (secs * chip.peak_flops * num_devices) if secs else 0.0
