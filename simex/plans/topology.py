"""`v5p:4x4x8`: the devices that a plan is made for."""

import dataclasses
import math
import re
from collections.abc import Sequence

import jax

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.plans.generations import GENERATIONS, Generation

CPU = "cpu"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Topology:
    """So many slices of one shape; "cpu" has devices of the machine at hand.

    Example: ``Topology(kind="v5p", shape=(4, 4, 8))`` is 128 chips.
    """

    kind: str  # a name in GENERATIONS, or "cpu"
    shape: tuple[int, ...]
    num_slices: int = 1

    @property
    def generation(self) -> Generation | None:
        """What its chips can do; None for a CPU, of which nothing is known."""
        return GENERATIONS.get(self.kind)

    @property
    def num_devices(self) -> int:
        """Chips, on all slices. Of these TPUs jax sees each as one device."""
        return math.prod(self.shape) * self.num_slices

    def __str__(self) -> str:
        text = f"{self.kind}:{'x'.join(map(str, self.shape))}"
        return text if self.num_slices == 1 else f"{text} x {self.num_slices} slices"


def parse_topology(text: str, *, num_slices: int = 1) -> Topology:
    """Reads ``v5p:4x4x8``, ``v5e:4x4`` or ``cpu:8``.

    Raises UserError for an unknown kind, and for a shape that it does not come in.
    """
    kind, _, rest = text.partition(":")
    if kind not in (*GENERATIONS, CPU):
        raise unknown_name("kind of device", kind, (*GENERATIONS, CPU))
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", rest) or num_slices < 1:
        raise UserError(
            "A topology is written as kind:AxB or kind:AxBxC, such as v5e:4x4, "
            f"v5p:4x4x8 or cpu:8, with at least one slice; got {text!r} and "
            f"{num_slices} slices."
        )
    shape = tuple(map(int, rest.split("x")))
    known = GENERATIONS[kind].slices if kind in GENERATIONS else ((1,),)
    if len(shape) != len(known[0]):
        like = "x".join(map(str, known[-1]))
        raise UserError(
            f"A slice of {kind} has {len(known[0])} numbers, as in {kind}:{like}; got "
            f"{text!r}."
        )
    if kind == CPU and num_slices > 1:
        raise UserError("A CPU has no slices; leave --slices out.")
    return Topology(kind=kind, shape=shape, num_slices=num_slices)


def make_devices(topology: Topology) -> Sequence[jax.Device]:
    """The devices: those of this process for a CPU, else descriptions of chips.

    Raises UserError when the compiler of TPUs is not installed, or has no such slice.
    """
    if topology.kind == CPU:
        return jax.devices("cpu")[: topology.num_devices]
    require_libtpu()
    from jax.experimental import topologies

    name = f"{topology.kind}:{'x'.join(map(str, topology.shape))}"
    options = {"num_slices": topology.num_slices} if topology.num_slices > 1 else {}
    try:
        found = topologies.get_topology_desc(
            platform="tpu", topology_name=name, **options
        )
    except (RuntimeError, ValueError) as error:  # jax's own "not implemented", too
        reason = str(error).split("\n")[0]
        raise UserError(
            f"The TPU compiler must know the topology {name}; it does not: {reason}"
        ) from None
    return found.devices


def has_libtpu() -> bool:
    """Whether the compiler of TPUs is installed."""
    import importlib.util

    return importlib.util.find_spec("libtpu") is not None


def require_libtpu() -> None:
    """Raises UserError when the compiler of TPUs is not installed."""
    if not has_libtpu():
        raise UserError(
            "A plan for a TPU needs its compiler, libtpu, which runs on any x86-64 "
            "Linux machine and is not installed here. Install it with `launch/local "
            "libtpu` (203 MB), or plan for --topology cpu:8."
        )
