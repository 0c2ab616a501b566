"""Job: datasets of explanations at scale, on all cores, resumed where it was stopped."""

import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import pathlib
import threading
import time
from collections.abc import Iterator, Mapping

import gin

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.core.progress import progress
from simex.core.system import num_usable_cores
from simex.data.card import write_card
from simex.data.explained import ShardPlan, make_shard, report_path
from simex.data.runs import CurriculumRuns, FileRuns
from simex.data.shards import gather_shards
from simex.jobs.sandbox import SandboxConfig
from simex.nlex.rewriters import REWRITERS
from simex.sandbox.pool import SandboxPool

_SECS_BETWEEN_LOOKS = 0.5


@gin.configurable
def explain_programs(
    workdir: pathlib.Path,
    stage_dir: pathlib.Path,
    *,
    runs: CurriculumRuns | FileRuns = CurriculumRuns(),
    num_shards: Mapping[str, int],
    shard_size: int = 500,
    seed: int = 0,
    style: str = "compact",
    min_grounding: float = 1.0,
    max_chars: int = 400,
    max_events: int = 2_000,
    verify: bool = False,
    tokenizer: str = "",
    num_processes: int | None = None,
    sandbox: SandboxConfig = SandboxConfig(),
) -> None:
    """Writes simex_examples/<version>/ (TFDS), tokens/, reports/, card.json, card.md.

    Args:
      workdir: of the run.
      stage_dir: where everything is written.
      runs: the programs; `CurriculumRuns` or `FileRuns`.
      num_shards: of each split.
      shard_size: runs a shard; a kill costs at most one shard a process.
      seed: of the programs. The same settings give the same bytes.
      style: a name in nlex.rewriters.REWRITERS.
      min_grounding: explanations with a lower share of true statements are dropped.
      max_chars: longer explanations are dropped.
      max_events: longer runs are dropped.
      verify: run everything untraced too and require the same stdout.
      tokenizer: path of a sentencepiece model, to write ids too.
      num_processes: None: one for each usable core.
      sandbox: which jail; each process has one worker.

    Raises:
      UserError: an unknown style, a missing tokenizer, or a split with no example.
    """
    del workdir
    if style not in REWRITERS:
        raise unknown_name("style", style, REWRITERS, where="explain_programs.style")
    if tokenizer and not pathlib.Path(tokenizer).is_file():
        raise UserError(f"explain_programs.tokenizer: {tokenizer} must be a file.")
    plan = ShardPlan(
        out=str(stage_dir),
        runs=runs,
        shard_size=shard_size,
        seed=seed,
        style=style,
        min_grounding=min_grounding,
        max_chars=max_chars,
        max_events=max_events,
        verify=verify,
        tokenizer=tokenizer,
        backend=sandbox.backend,
        allow_unsafe=sandbox.allow_unsafe,
    )
    _remove_leftovers(stage_dir)
    wanted = [(s, i) for s, count in num_shards.items() for i in range(count)]
    open_ = [w for w in wanted if not report_path(stage_dir, *w).exists()]
    label = f"explained ({len(wanted) - len(open_)} shards done before)"
    for _ in progress(
        _make_all(plan, open_, num_processes or num_usable_cores()),
        total=len(open_) * shard_size,
        label=label,
        unit="run",
    ):
        pass
    reports = {
        split: [
            json.loads(report_path(stage_dir, split, index).read_text())
            for index in range(count)
        ]
        for split, count in num_shards.items()
    }
    gather_shards(stage_dir, reports)
    settings = {k: v for k, v in dataclasses.asdict(plan).items() if k != "out"}
    write_card(stage_dir, reports, settings)
    _remove_leftovers(stage_dir)


def _remove_leftovers(folder: pathlib.Path) -> None:
    """Of processes that were killed; nothing whole has such a name."""
    for leftover in folder.glob("*/.*.tmp"):
        leftover.unlink(missing_ok=True)


def _make_all(
    plan: ShardPlan, wanted: list[tuple[str, int]], num_processes: int
) -> Iterator[None]:
    """Makes the shards in processes; yields once for each run that is through."""
    # Forking a process that has threads, as jax has, may hang its child.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        min(num_processes, len(wanted)) or 1,
        mp_context=context,
        initializer=_start_worker,
        initargs=(os.getpid(), plan.backend, plan.allow_unsafe),
    ) as pool:
        futures = [pool.submit(_work, plan, split, index) for split, index in wanted]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
                for _ in range(plan.shard_size):
                    yield
        finally:
            for future in futures:
                future.cancel()


_pool: SandboxPool | None = None


def _start_worker(parent: int, backend: str, allow_unsafe: bool) -> None:
    """Opens this process's sandbox; and sees to it that it does not outlive the job."""
    global _pool

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    _pool = SandboxPool(num_workers=1, backend=backend, allow_unsafe=allow_unsafe)


def _work(plan: ShardPlan, split: str, index: int) -> None:
    if _pool is None:
        raise UserError("A worker must be started before it works.")
    make_shard(plan, split, index, _pool)
