"""Job: datasets of explanations at scale, on all cores, resumed where it was stopped."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping

import gin

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.core.progress import progress
from simex.data.card import write_card
from simex.data.explained import ShardPlan, report_path
from simex.data.listed_runs import DealtRuns, FileRuns, ImportedRuns, deal
from simex.data.runs import CurriculumRuns
from simex.data.shards import gather_shards
from simex.jobs.sandbox import SandboxConfig, require_same_python
from simex.jobs.shard_makers import MAKERS, MakerName
from simex.nlex.rewriters import REWRITERS, StyleName


@gin.configurable
def explain_programs(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    runs: CurriculumRuns | FileRuns | ImportedRuns = CurriculumRuns(),
    num_shards: Mapping[str, int] | None = None,
    shard_size: int = 500,
    seed: int = 0,
    style: StyleName = "compact",
    min_grounding: float = 1.0,
    max_chars: int = 400,
    max_events: int = 2_000,
    max_trace_bytes: int = 1 << 20,
    cpu_secs: float = 2.0,
    verify: bool = False,
    tokenizer: str = "",
    made_by: MakerName = "processes",
    num_processes: int | None = None,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes simex_examples/<version>/ (TFDS), tokens/, reports/, card.json, card.md.

    Args:
      workdir: of the run.
      stage_dir: where everything is written.
      runs: the programs: generated, from a file, or what `import_problems` left.
      num_shards: of each split, for generated programs; of others all are taken.
      shard_size: runs a shard; a kill costs at most one shard a process.
      seed: of the programs. The same settings give the same bytes.
      style: a name in nlex.rewriters.REWRITERS; a language model tells traces in
        `write_explanations` alone, since a shard is a function of its settings.
      min_grounding: explanations with a lower share of true statements are dropped.
      max_chars: longer explanations are dropped.
      max_events: longer runs are dropped.
      max_trace_bytes: runs with a longer record are dropped.
      cpu_secs: of one run.
      verify: run everything untraced too and require the same stdout. Both runs hash by
        one seed, so a program that prints in the order of a set is not found; those of
        `FileRuns`, which no other stage has run, must not do that.
      tokenizer: path of a sentencepiece model, to write ids too.
      made_by: "processes" of this machine, or "ray": a cluster that runs already.
      num_processes: None: one for each usable core.
      sandbox: which jail; each process has one worker.

    Raises:
      UserError: an unknown name, a missing tokenizer, a split with no example, or shards
        that were made under another Python: one dataset has one, which the card names.
    """
    if style not in REWRITERS:
        raise unknown_name("style", style, REWRITERS, where="explain_programs.style")
    if made_by not in MAKERS:
        raise unknown_name("maker", made_by, MAKERS, where="explain_programs.made_by")
    if tokenizer and not pathlib.Path(tokenizer).is_file():
        raise UserError(f"explain_programs.tokenizer: {tokenizer} must be a file.")
    if isinstance(runs, CurriculumRuns) != (num_shards is not None):
        raise UserError(
            "explain_programs.num_shards must be set for generated programs, which "
            f"have no end, and only for them; got {num_shards} for {runs}."
        )
    if not isinstance(runs, CurriculumRuns):
        dealt = stage_dir / "runs"
        num_shards = deal(runs.programs(workdir), dealt, shard_size=shard_size)
        runs_of_shards: CurriculumRuns | DealtRuns = DealtRuns(folder=str(dealt))
    else:
        runs_of_shards = runs
    plan = ShardPlan(
        out=str(stage_dir),
        runs=runs_of_shards,
        shard_size=shard_size,
        seed=seed,
        style=style,
        min_grounding=min_grounding,
        max_chars=max_chars,
        max_events=max_events,
        max_trace_bytes=max_trace_bytes,
        cpu_secs=cpu_secs,
        verify=verify,
        tokenizer=tokenizer,
        backend=sandbox.backend,
        allow_unsafe=sandbox.allow_unsafe,
    )
    _make_all(plan, num_shards or {}, made_by, num_processes)
    settings = dataclasses.asdict(plan) | {"runs": dataclasses.asdict(runs)}
    del settings["out"]
    _gather(stage_dir, num_shards or {}, settings)


def _make_all(
    plan: ShardPlan, num_shards: Mapping[str, int], made_by: str, most: int | None
) -> None:
    """Makes the shards that are not there, and shows how fast."""
    folder = pathlib.Path(plan.out)
    _remove_leftovers(folder)
    wanted = [(s, i) for s, count in num_shards.items() for i in range(count)]
    open_ = []
    for shard in wanted:
        path = report_path(folder, *shard)
        if path.exists():
            report = json.loads(path.read_text(encoding="utf-8"))
            require_same_python(report.get("sandbox", {}), path)
        else:
            open_.append(shard)

    def runs_done() -> Iterator[None]:
        for _ in MAKERS[made_by](plan, open_, most) if open_ else ():
            for _ in range(plan.shard_size):
                yield

    label = f"explained ({len(wanted) - len(open_)} shards done before)"
    total = len(open_) * plan.shard_size
    for _ in progress(runs_done(), total=total, label=label, unit="run"):
        pass


def _gather(
    stage_dir: pathlib.Path, num_shards: Mapping[str, int], settings: dict
) -> None:
    reports = {
        split: [
            json.loads(report_path(stage_dir, split, index).read_text())
            for index in range(count)
        ]
        for split, count in num_shards.items()
    }
    gather_shards(stage_dir, reports)
    write_card(stage_dir, reports, settings)
    _remove_leftovers(stage_dir)


def _remove_leftovers(folder: pathlib.Path) -> None:
    """Of processes that were killed; nothing whole has such a name."""
    for leftover in folder.glob("*/.*.tmp"):
        leftover.unlink(missing_ok=True)
