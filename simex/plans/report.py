"""What is known of a program once it was compiled, or refused: plain numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one device while a program runs."""

    arguments: Mapping[str, int]
    """By kind: params, optimizer, gradients, kv cache, decode params, batch."""

    temporaries: int  # activations and what else is computed on the way
    outputs: int  # that do not take the place of an argument
    code: int
    beside: Mapping[str, int]
    """By kind: what the run keeps on the device meanwhile, and the program never sees."""

    peak: int = 0
    """The most that the program itself holds at a time, by the compiler; 0 if unknown.
    Temporaries that never live together count in `total`, an upper bound, and not here."""

    @property
    def total(self) -> int:
        """All of it."""
        inside = self.temporaries + self.outputs + self.code
        return sum(self.arguments.values()) + inside + sum(self.beside.values())

    @property
    def needed(self) -> int:
        """What a device must have: the peak and what stays beside it."""
        if not self.peak:
            return self.total
        return min(self.total, self.peak + self.code + sum(self.beside.values()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a program cannot run there."""

    reason: str  # for people
    needed_bytes: int | None = None  # where the compiler named them
    available_bytes: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What one call of a program does on one device."""

    matmul_flops: float
    """Of the compiled program, every loop counted as often as it runs; not those of
    hand-written kernels (attention on a TPU)."""

    once_flops: float  # as the compiler's cost analysis says it: loop bodies once
    hbm_bytes: float  # read and written by the instructions, loops as often as they run
    once_bytes: float  # as the compiler says it
    collective_bytes: Mapping[str, float]  # that come in from other devices, by kind
    compiler_secs: float | None  # from its cycles of each instruction; a TPU's only
    num_kernels: float  # calls of hand-written kernels
    compile_secs: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgramReport:
    """One program of one stage on one topology."""

    stage: str
    program: str
    memory: Memory | None = None
    work: Work | None = None
    refusal: Refusal | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        content = dataclasses.asdict(self)
        if self.memory is not None:
            content["memory"]["total"] = self.memory.total
        return content


def from_json(content: Mapping[str, Any]) -> ProgramReport:
    """What `to_json` wrote."""
    parts: dict[str, Any] = {}
    for name, kind in (("memory", Memory), ("work", Work), ("refusal", Refusal)):
        found = content.get(name)
        if found is not None:
            names = {field.name for field in dataclasses.fields(kind)}
            parts[name] = kind(**{k: v for k, v in found.items() if k in names})
    return ProgramReport(stage=content["stage"], program=content["program"], **parts)
