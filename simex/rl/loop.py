"""The reinforcement-learning loop: collect, advantage, batch, update, log, save."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.core.heap import trim_freed_memory
from simex.core.interrupts import Terminated, signals_at_end
from simex.core.prng import key
from simex.models.config import ModelConfig
from simex.rl.algorithm import Algorithm
from simex.rl.batch import make_micro_batches
from simex.rl.collection import Collector
from simex.rl.curriculum import Curriculum
from simex.rl.deadline import PoolWithDeadline
from simex.rl.device_turns import make_turns, taking_turns
from simex.rl.first_update import check_first_step
from simex.rl.held_out import HeldOutItems, rankable, validate
from simex.rl.infra_watch import InfraWatch
from simex.rl.presets import PRESETS
from simex.rl.readable_watch import ReadableWatch
from simex.rl.replay import Replay
from simex.rl.run_log import RunLog
from simex.rl.run_metrics import measure_selection
from simex.rl.saved_run import Progress, SavedRun
from simex.rl.selection import Selection, group_advantages, select
from simex.rl.stream import Staleness, open_stream
from simex.rl.trainer import Trainer, make_trainer
from simex.rl.watchdog import Watchdog
from simex.rollouts.objective import Objective
from simex.rollouts.policy import Policy
from simex.rollouts.record import to_record
from simex.rollouts.rollout import Group
from simex.sharding.processes import StopVotes, num_processes
from simex.tokens.rarity import find_rare_ids
from simex.train.best import refuse_unknown_metric
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import TrainState, abstract_train_state, make_train_state


@dataclasses.dataclass(frozen=True, kw_only=True)
class RlConfig:
    """How much is sampled and how it becomes an update."""

    num_steps: int
    rollouts_per_step: int  # shared out by the objectives' weights
    algorithm: Algorithm = PRESETS["paper"]
    staleness: Staleness = Staleness()
    curriculum: Curriculum | None = None  # None: items in shuffled epochs
    replay: Replay | None = None  # supervised examples in every update
    rows: int = 32  # of a micro-batch
    share_prompts: bool = True  # in its rows, where the model and platform allow it
    max_lost_share: float = 0.2  # of rollouts, to infra errors; of more none is ranked
    max_lost_steps: int = 3  # so many train steps in a row above it stop the run
    max_unreadable_steps: int = 20  # in a row; likewise
    steps_between_saves: int = 5
    keep_best: str = ""  # the metric by which the best train step stays on disk
    groups_recorded: int = 8  # of each objective, each step
    groups_scored: int = 2  # of those: for the gap between trainer and sampler
    answer_deadline_secs: float = 600.0  # without any answer of the sandbox
    stall_secs: float = 120.0  # a longer wait is said on stderr
    has_tensorboard: bool = False  # write tensorboard/ too

    def __post_init__(self) -> None:
        """Raises UserError for a number that cannot be."""
        for field in ("rows", "steps_between_saves", "stall_secs"):
            if not (value := getattr(self, field)) > 0:
                raise UserError(
                    f"train_rl.{field} must be above 0; it is {value}. Raise it; a "
                    "number that is never reached means never."
                )


def run_rl(
    folder: pathlib.Path,
    objectives: Sequence[tuple[Objective, Sequence[Any]]],
    *,
    make_policy: Callable[[Any], Policy],
    pool: Any,
    config: RlConfig,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    mesh: Mesh,
    params: Any,
    seed: int,
    held_out: HeldOutItems | None = None,
) -> None:
    """Trains to `config.num_steps`, from the latest checkpoint in `folder` if any.

    Each batch of rollouts is used for one update. By default it is sampled by the
    params that it updates, and a run is a function of its seed, stopped or not.

    Args:
      folder: gets ``checkpoints/``, ``metrics.jsonl`` and ``rollouts/``.
      objectives: each with its items.
      make_policy: params -> policy; its temperature is the trainer's too.
      pool: a SandboxPool, or what answers in its place.
      config: sizes and the algorithm.
      model: the decoder.
      optimizer: how gradients become updates.
      mesh: the devices.
      params: to begin from; the reference, where the algorithm has one.
      seed: of the order of items and of every sample.
      held_out: items to ask about on the way; they change no weight. What is measured
        after an update stands in the line of its train step.

    Raises:
      UserError: trainer and sampler disagree, an objective cannot teach anything, no
        answer can be read, or the sandbox goes on failing.
    """
    if num_processes() > 1 and config.staleness.num_ahead:
        raise UserError(
            "Several processes must collect and update in turns, but max_staleness is "
            f"{config.staleness.max_steps}. Set it to 0, or use one process."
        )
    known = [] if held_out is None else held_out.ranking_metrics
    refuse_unknown_metric(config.keep_best, known, where="keep_best")
    tx = make_optimizer(optimizer, mesh)
    turns = make_turns(mesh, is_shared=config.staleness.num_ahead > 0)
    policy = taking_turns(make_policy(params), turns)
    is_rare_V = find_rare_ids(
        policy.tokenizer, share=config.algorithm.gibberish_rare_share
    )
    trainer = make_trainer(
        model,
        config.algorithm,
        tx,
        mesh,
        rows=config.rows,
        temperature=policy.method.temperature,
        reference_params=params,
        share_prompts=config.share_prompts,
    )
    with (
        SavedRun(
            folder / "checkpoints",
            steps_between=config.steps_between_saves,
            last=config.num_steps,
            keep_best=config.keep_best,
        ) as saved,
        Watchdog(stall_secs=config.stall_secs) as watchdog,
        PoolWithDeadline(pool, deadline_secs=config.answer_deadline_secs) as patient,
    ):
        begin = saved.load(abstract_train_state(model, tx, mesh)) or Progress(
            step=0,
            state=make_train_state(model, tx, mesh, key=key(seed, "rl"), params=params),
        )
        infra = InfraWatch(
            config.max_lost_share,
            config.max_lost_steps,
            num_bad_steps=begin.num_bad_steps,
        )
        readable = ReadableWatch(config.max_unreadable_steps)
        collector = Collector(
            objectives=objectives,
            pool=patient,
            policy=policy,
            rollouts_per_step=config.rollouts_per_step,
            max_refills=config.algorithm.num_refills,
            seed=seed,
            watchdog=watchdog,
            cursor=begin.next_cursor,
            curriculum=config.curriculum,
        )
        with (
            open_run_log(
                folder,
                objectives,
                patient,
                begin.step,
                config,
                decode=policy.tokenizer.decode,
            ) as log,
            open_stream(
                collector.collect,
                staleness=config.staleness,
                watchdog=watchdog,
                waiting=begin.waiting,
            ) as stream,
        ):
            done, votes = begin, StopVotes()
            try:
                for step in range(begin.step, config.num_steps):
                    taken = stream.take(step, done.state.params)
                    log.mark("wait")
                    groups = taken.batch.groups
                    infra.check(groups)
                    selection = select(
                        groups, algorithm=config.algorithm, is_rare_V=is_rare_V
                    )
                    teaches = any(any(one.advantages) for one in selection.chosen)
                    readable.check(groups, teaches=teaches)
                    awaiting = watchdog.awaiting(f"the update of train step {step}")
                    with signals_at_end():
                        first, state = {}, done.state
                        with turns(), awaiting:
                            if step == begin.step and taken.batch.version == step:
                                first = check_first_step(
                                    trainer, state, groups, step=step
                                )
                            log.score(
                                groups,
                                functools.partial(trainer.score_turns, state.params),
                            )
                            log.mark("score")
                            state, values = update(
                                trainer,
                                state,
                                selection,
                                step=step,
                                replay=config.replay,
                            )
                        done = Progress(
                            step=step + 1,
                            state=state,
                            cursor=taken.batch.cursor,
                            num_bad_steps=infra.num_bad_steps,
                        )
                        log.mark("update")
                        measured = {}
                        if held_out and held_out.is_due(done.step, config.num_steps):
                            measured = validate(
                                held_out, policy, done, patient, watchdog=watchdog
                            )
                            log.mark("validation")
                        values |= first | measure_selection(selection) | measured
                        log.write(step, taken, values)
                        ranked_by = rankable(
                            measured, max_lost_share=config.max_lost_share
                        )
                        saved.save(done, ranked_by, waiting=stream.waiting)
                        log.mark("save")
                    trim_freed_memory()
                    if votes.must_stop():
                        raise Terminated
            except KeyboardInterrupt:
                saved.save_at_stop(done, waiting=stream.waiting)
                raise


def update(
    trainer: Trainer,
    state: TrainState,
    selection: Selection,
    *,
    step: int,
    replay: Replay | None = None,
) -> tuple[TrainState, dict[str, float]]:
    """One optimizer update; none where nothing is to be learned."""
    micro_batches = make_micro_batches(
        selection.chosen,
        rows=trainer.rows,
        seq_len=trainer.model.max_positions,
        share_prompts=trainer.shares_prompts,
    )
    state, values = trainer.update(
        state,
        micro_batches,
        denominator=selection.denominator,
        replayed=replay.make_batch(step) if replay else None,
        replay_weight=replay.weight if replay else 0.0,
    )
    # Nothing of the update may still run when another thread gets the devices.
    jax.block_until_ready(state.params)
    return state, values


def open_run_log(
    folder: pathlib.Path,
    objectives: Sequence[tuple[Objective, Sequence[Any]]],
    pool: Any,
    first_step: int,
    config: RlConfig,
    *,
    decode: Callable[[Sequence[int]], str],
) -> RunLog:
    """The log of a run that goes on at `first_step`; `decode` is the tokenizer's."""

    def make_record(group: Group, **scores: Any) -> dict[str, Any]:
        advantages = group_advantages(group, config.algorithm)
        return to_record(group, decode=decode, advantages=advantages, **scores)

    return RunLog(
        folder,
        first_step=first_step,
        num_steps=config.num_steps,
        objectives=objectives,
        pool=pool,
        groups_recorded=config.groups_recorded,
        has_tensorboard=config.has_tensorboard,
        groups_scored=config.groups_scored,
        make_record=make_record,
    )
