"""Takes over stages that another workdir has finished with the same settings.

What a stage leaves depends on its settings and on the stages before it, so two runs
share the first stages that have equal settings. Files are linked, not copied, where the
file system can: a finished stage is never written to again, only cleared as a whole.
"""

import os
import pathlib
import shutil

from simex.core.config import Experiment
from simex.core.stages import Plan, plan_stages
from simex.core.stamps import save_stamp, stamp_path, started_path
from simex.core.workdir_lock import hold_workdir


def num_shared(one: Experiment, other: Experiment) -> int:
    """How many first stages two experiments have with the same settings."""
    count = 0
    for a, b in zip(one.stages, other.stages, strict=False):
        if (a.name, a.settings) != (b.name, b.settings):
            break
        count += 1
    return count


def num_done(experiment: Experiment, workdir: pathlib.Path) -> int:
    """How many first stages of `experiment` are done in `workdir`."""
    return len(_done(experiment, workdir))


def take_over(
    experiment: Experiment, donor: pathlib.Path, workdir: pathlib.Path
) -> list[str]:
    """Gives `workdir` the first stages of `experiment` that only `donor` has done.

    Args:
      experiment: that will be run in `workdir`.
      donor: another workdir; its run may be under way.
      workdir: made if missing; no run may be under way there.

    Returns:
      The names of the stages taken over; none where `workdir` made its own first ones.
    """
    with hold_workdir(workdir):
        mine, theirs = _done(experiment, workdir), _done(experiment, donor)
        if [p.stamp for p in mine] != [p.stamp for p in theirs[: len(mine)]]:
            return []  # the donor's later stages come after other files than these
        taken = theirs[len(mine) :]
        for plan in taken:
            _link_stage(plan, donor, workdir)
        return [plan.stage.name for plan in taken]


def _done(experiment: Experiment, workdir: pathlib.Path) -> list[Plan]:
    plans = plan_stages(experiment, workdir)
    return plans[: next((i for i, p in enumerate(plans) if not p.is_done), len(plans))]


def _link_stage(plan: Plan, donor: pathlib.Path, workdir: pathlib.Path) -> None:
    """The stamp comes last: a folder without it is begun anew."""
    name = plan.stage.name
    folder = workdir / name
    for path in (stamp_path(workdir, name), started_path(workdir, name)):
        path.unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(donor / name, folder, copy_function=_link_or_copy)
    assert plan.stamp is not None  # plans of stages that are done have one
    save_stamp(stamp_path(workdir, name), plan.stamp)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
