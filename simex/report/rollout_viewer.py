"""Finds the recorded train steps of a run, and shows them as pages or as text."""

import dataclasses
import pathlib
import re
from typing import Any

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.report.rollout_content import GroupContent, StepContent
from simex.report.rollout_page import write_rollout_page
from simex.report.rollout_records import make_step_content
from simex.report.rollout_text import render_group, render_step

_FILE = re.compile(r"step_(\d+)\.jsonl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """The rollouts of one train step on disk."""

    path: pathlib.Path  # .../train_rl/rollouts/step_00003.jsonl
    stage: str  # "train_rl"
    step: int

    @property
    def title(self) -> str:
        return f"{self.stage}, train step {self.step}: rollouts"

    def load_records(self) -> list[dict[str, Any]]:
        """One a group."""
        return list(read_jsonl(self.path))


def has_rollouts(run: pathlib.Path) -> bool:
    """Whether a folder holds recorded train steps, at any depth."""
    return any(_FILE.fullmatch(p.name) for p in run.glob("**/rollouts/*.jsonl"))


def find_steps(run: pathlib.Path, *, stage: str = "") -> list[RecordedStep]:
    """The recorded steps of a run's folder, in order; of one stage where it is named.

    Raises:
      UserError: there is none.
    """
    found = []
    for path in sorted(run.glob("**/rollouts/step_*.jsonl")):
        match = _FILE.fullmatch(path.name)
        name = path.parent.parent.relative_to(run).as_posix()
        name = run.resolve().name if name == "." else name
        if match and stage in ("", name):
            found.append(RecordedStep(path=path, stage=name, step=int(match[1])))
    if not found:
        of_stage = f" of stage {stage}" if stage else ""
        raise UserError(
            f"{run} must hold recorded rollouts{of_stage} (…/rollouts/step_00000.jsonl);"
            " there are none. Give the folder of a run whose RL stage has done a step."
        )
    return found


def write_pages(steps: list[RecordedStep]) -> list[pathlib.Path]:
    """An HTML file beside each record; those that are newer than it are left alone."""
    pages = []
    for step in steps:
        page = step.path.with_suffix(".html")
        pages.append(page)
        is_fresh = (
            page.exists() and page.stat().st_mtime_ns > step.path.stat().st_mtime_ns
        )
        if not is_fresh:
            write_rollout_page(page, step.load_records(), title=step.title)
    return pages


def choose_step(steps: list[RecordedStep], number: int | None) -> RecordedStep:
    """The step with that number; the last one for None.

    Raises:
      UserError: that step was not recorded.
    """
    if number is None:
        return steps[-1]
    for step in steps:
        if step.step == number:
            return step
    known = ", ".join(str(s.step) for s in steps)
    raise UserError(f"Train step {number} was not recorded; these were: {known}.")


def render_text(
    step: RecordedStep, *, group: int | None = None, rollout: int | None = None
) -> str:
    """The step for a terminal: all groups in short, or one group in full.

    Raises:
      UserError: there is no such group or rollout.
    """
    content = make_step_content(step.load_records(), title=step.title)
    if group is None:
        return render_step(content)
    found = _choose_group(content, group)
    if rollout is None:
        return render_group(found, found.rollouts)
    if not 0 <= rollout < len(found.rollouts):
        raise UserError(
            f"Group {group} has rollouts 0 to {len(found.rollouts) - 1}; got {rollout}."
        )
    return render_group(found, found.rollouts[rollout : rollout + 1])


def _choose_group(content: StepContent, group: int) -> GroupContent:
    if not 0 <= group < len(content.groups):
        raise UserError(
            f"The step has groups 0 to {len(content.groups) - 1}; got {group}."
        )
    return content.groups[group]
