"""Which row counts of an experiment divide over its devices, in plain words."""

import math
from collections.abc import Sequence

from simex.core.config import Experiment, Stage
from simex.core.errors import UserError
from simex.core.setting_values import with_defaults
from simex.core.stages import is_for_all
from simex.jobs.export import export
from simex.jobs.train_sft import train_sft
from simex.sharding.mesh import BATCH_AXES, MESH_AXES, MeshConfig

# Jobs that take a whole `Setup` and never sample: the slots in it say nothing of them.
_NEVER_SAMPLE = (train_sft.__name__, export.__name__)


def mesh_of(stage: Stage) -> MeshConfig | None:
    """The mesh that a stage asks for; None if it uses no devices."""
    settings = with_defaults(stage.job, stage.arguments)
    mesh = getattr(settings.get("setup"), "mesh", None) or settings.get("mesh")
    return mesh if isinstance(mesh, MeshConfig) else None


def shards_of(
    mesh: MeshConfig, num_devices: int, *, axes: Sequence[str] = BATCH_AXES
) -> int:
    """Into how many parts rows are divided on so many devices: those along `axes`.

    A mesh that names all of its sizes counts as it is, on whatever machine this is.
    """
    sizes = {axis: getattr(mesh, axis) for axis in MESH_AXES}
    named = math.prod(size for size in sizes.values() if size != -1)
    if -1 in sizes.values() and (named < 1 or num_devices % named):
        raise UserError(
            f"The named sizes of the mesh multiply to {named}, which must divide the "
            f"{num_devices} devices. Change a size or the number of devices."
        )
    sizes = {a: num_devices // named if s == -1 else s for a, s in sizes.items()}
    return math.prod(sizes[axis] for axis in axes)


def can_make(mesh: MeshConfig, num_devices: int) -> bool:
    """Whether the sizes that are named divide so many devices."""
    try:
        return shards_of(mesh, num_devices) > 0
    except UserError:
        return False


def _takes_all(mesh: MeshConfig, num_devices: int) -> bool:
    """Whether a mesh can be made that leaves none of so many devices out.

    One that names all sizes may be of several processes with as many devices each,
    whose number is not known before jax starts.
    """
    sizes = [getattr(mesh, axis) for axis in MESH_AXES]
    if -1 in sizes:
        return can_make(mesh, num_devices)
    return math.prod(sizes) % num_devices == 0


def uneven_rows(stage: Stage, num_devices: int) -> list[str]:
    """A sentence for each row count of `stage` that does not divide."""
    mesh = mesh_of(stage)
    if mesh is None:
        return []
    rows, devices = (
        shards_of(mesh, num_devices, axes=axes) for axes in (BATCH_AXES, MESH_AXES)
    )
    settings = with_defaults(stage.job, stage.arguments)
    samples = getattr(stage.job, "__name__", "") not in _NEVER_SAMPLE
    sampler = getattr(settings.get("setup"), "sampler", None) if samples else None
    together = getattr(sampler, "tensor", None)  # None: as in training
    if together and devices % together:
        why = f"{devices} devices do not divide into groups that decode together"
        return [f"{stage.name}: SamplerShape.tensor = {together}: {why}"]
    counts = [
        ("batch_rows", settings.get("batch_rows"), rows),
        ("rows", settings.get("rows"), rows),
        (
            "SamplerShape.num_slots",
            getattr(sampler, "num_slots", None),
            devices // (together or shards_of(mesh, num_devices, axes=["tensor"])),
        ),
    ]
    return [
        f"{stage.name}: {name} = {count}: " + divide_in_words(count, shards)
        for name, count, shards in counts
        if isinstance(count, int) and count % shards
    ]


def divide_in_words(rows: int, shards: int, *, group: int = 1) -> str:
    """Why `rows` do not divide, and the nearest numbers that do, in whole groups.

    Example: "12 prompts × 8 = 96 rows do not divide over 5 devices; nearest: 80 or 120".
    """
    step = math.lcm(shards, group)
    low, high = rows // step * step, (rows // step + 1) * step
    near = f"{low} or {high}" if low else str(high)
    what = f"{rows // group} prompts × {group} = {rows}" if group > 1 else str(rows)
    return f"{what} rows do not divide over {shards} devices; nearest: {near}"


def even_devices(experiment: Experiment, num_cores: int) -> int:
    """The most CPU devices, at most one a core, that every mesh and row count allows.

    Example: 8 rows on 12 cores are divided over 8 devices, on 6 cores over 4; a mesh of
    data=2 has 2 on either. Where no number will do, it is `num_cores`, and the run says
    what does not fit.
    """
    meshes = [mesh for stage in experiment.stages if (mesh := mesh_of(stage))]
    for count in range(num_cores, 0, -1):
        fits = all(_takes_all(mesh, count) for mesh in meshes)
        if fits and not _find_uneven(experiment, count):
            return count
    return num_cores


def refuse_uneven(
    experiment: Experiment, num_devices: int, *, num_local: int | None = None
) -> None:
    """Raises UserError with every row count that does not divide.

    A mesh that these devices cannot make is meant for other ones: a laptop may look at
    an experiment for a pod. `doctor` says so, and so does a run.

    Args:
      experiment: whose stages are looked at.
      num_devices: of all processes, for stages that all do together.
      num_local: of the first process, for stages that it does alone; None: as many.
    """
    if found := _find_uneven(experiment, num_devices, num_local):
        raise UserError("\n".join(found))


def _find_uneven(
    experiment: Experiment, num_devices: int, num_local: int | None = None
) -> list[str]:
    found: list[str] = []
    for stage in experiment.stages:
        count = num_devices if is_for_all(stage) else num_local or num_devices
        mesh = mesh_of(stage)
        if mesh is not None and can_make(mesh, count):
            found += uneven_rows(stage, count)
    return found
