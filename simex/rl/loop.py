"""The reinforcement-learning loop: collect, advantage, batch, update, log, save."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh

from simex.core.errors import UserError
from simex.core.files import write_jsonl
from simex.core.metrics import MetricsLog, mean_values
from simex.core.prng import host_rng, key
from simex.core.progress import progress
from simex.models.config import ModelConfig
from simex.rl.batch import RlBatch, make_batch, make_probe
from simex.rl.group_metrics import measure_groups
from simex.rl.invariants import check_first_update
from simex.rl.loss import PolicyLossConfig, policy_loss
from simex.rl.turn_advantage import turn_advantages
from simex.rollouts.measures import measure_rollouts
from simex.rollouts.objective import Objective, split_rollouts
from simex.rollouts.policy import Policy
from simex.rollouts.record import to_record
from simex.rollouts.rollout import Group
from simex.sandbox.pool import SandboxPool
from simex.sharding.mesh import put_batch
from simex.train.accumulate import Accumulator, make_accumulator
from simex.train.checkpoint import Checkpoints
from simex.train.logprobs import token_logprobs
from simex.train.optimizer import OptimizerConfig, make_optimizer
from simex.train.state import (
    TrainState,
    abstract_train_state,
    make_train_state,
    state_shardings,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RlConfig:
    """How much is sampled and how it becomes an update."""

    num_steps: int
    rollouts_per_step: int  # shared out by the objectives' weights
    advantage: str = "length_weighted_mean"  # a name in rl.advantage.ADVANTAGES
    loss: PolicyLossConfig = PolicyLossConfig()
    rows: int = 32  # of a micro-batch
    max_lost_share: float = 0.2  # more rollouts lost to infra errors stop the run
    steps_between_saves: int = 5
    groups_recorded: int = 8  # of each objective, each step


def run_rl(
    folder: pathlib.Path,
    objectives: Sequence[tuple[Objective, Sequence[Any]]],
    *,
    make_policy: Callable[[Any], Policy],
    pool: SandboxPool,
    config: RlConfig,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    mesh: Mesh,
    params: Any,
    seed: int,
) -> None:
    """Trains to `config.num_steps`, from the latest checkpoint in `folder` if any.

    On-policy: each step's rollouts come from the params that it updates, once.

    Args:
      folder: gets ``checkpoints/``, ``metrics.jsonl`` and ``rollouts/``.
      objectives: each with its items.
      make_policy: params -> policy; its temperature is the trainer's too.
      pool: the sandbox.
      config: sizes.
      model: the decoder.
      optimizer: how gradients become updates.
      mesh: the devices.
      params: to begin from.
      seed: of the order of items and of every sample.
    """
    tx = make_optimizer(optimizer, mesh)
    policy = make_policy(params)
    accumulator = make_accumulator(
        _make_loss_fn(model, config.loss, policy.method.temperature),
        tx,
        mesh,
        shardings=state_shardings(model, tx, mesh),
    )
    checkpoints = Checkpoints(folder / "checkpoints")
    found = checkpoints.restore({"state": abstract_train_state(model, tx, mesh)})
    if found is None:
        state = make_train_state(model, tx, mesh, key=key(seed, "rl"), params=params)
    else:
        state = found.items["state"]
    first_step = 0 if found is None else found.step
    log = MetricsLog(folder / "metrics.jsonl", first_step=first_step)
    steps = range(first_step, config.num_steps)
    for step in progress(steps, label=folder.name, unit="step"):
        started = time.monotonic()
        policy = dataclasses.replace(policy, params=state.params, version=step)
        groups = collect_groups(
            policy, objectives, pool=pool, config=config, seed=seed, step=step
        )
        collected = time.monotonic()
        batch = make_batch(
            groups,
            advantage=config.advantage,
            rows=config.rows,
            seq_len=model.max_positions,
        )
        _check_lost(batch, groups, config)
        first = {}
        if step == 0:
            first = _check_invariants(state, groups, accumulator, config, model, mesh)
        state, values = update(state, batch, accumulator, config.loss, mesh=mesh)
        values |= (
            first
            | measure_groups(groups)
            | measure_rollouts(groups)
            | {
                "rollouts": batch.num_rollouts,
                "trained_share": batch.num_trained / max(batch.num_rollouts, 1),
                "collect_secs": collected - started,
                "update_secs": time.monotonic() - collected,
            }
        )
        log.write(step, values)
        _record(folder, step, groups, config, decode=policy.tokenizer.decode)
        done = step + 1
        if done % config.steps_between_saves == 0 or done == config.num_steps:
            checkpoints.save(done, {"state": state})
    checkpoints.close()


def collect_groups(
    policy: Policy,
    objectives: Sequence[tuple[Objective, Sequence[Any]]],
    *,
    pool: SandboxPool,
    config: RlConfig,
    seed: int,
    step: int,
) -> list[Group]:
    """The groups of one train step, of every objective."""
    counts = split_rollouts([o for o, _ in objectives], config.rollouts_per_step)
    groups: list[Group] = []
    for index, (objective, items) in enumerate(objectives):
        if not counts[index]:  # its weight is 0
            continue
        chosen = pick_items(items, counts[index], seed=seed, step=step)
        groups += objective.collect(
            policy, chosen, pool=pool, seed_path=(seed, step, index)
        )
    return groups


def pick_items(items: Sequence[Any], count: int, *, seed: int, step: int) -> list[Any]:
    """The items of train step `step`: epochs of shuffled order, without gaps.

    A function of its arguments alone, so that resuming needs no stored position.
    """
    chosen = []
    for position in range(step * count, (step + 1) * count):
        epoch, offset = divmod(position, len(items))
        order = host_rng(seed, "rl items", epoch).permutation(len(items))
        chosen.append(items[order[offset]])
    return chosen


def update(
    state: TrainState,
    batch: RlBatch,
    accumulator: Accumulator,
    loss: PolicyLossConfig,
    *,
    mesh: Mesh,
) -> tuple[TrainState, dict[str, float]]:
    """One optimizer update; none where every group was flat."""
    sums = None
    for arrays in batch.micro_batches:
        rows: Mapping[str, Any] = put_batch(arrays, mesh)
        if sums is None:
            sums = accumulator.first(state.params, rows)
        else:
            sums = accumulator.add(sums, state.params, rows)
    if sums is None:
        return state, {}
    denominator = jnp.float32(loss.normaliser_tokens * batch.num_rollouts)
    state, metrics = accumulator.apply(state, sums, denominator)
    return state, mean_values(metrics)


def _check_invariants(
    state: TrainState,
    groups: Sequence[Group],
    accumulator: Accumulator,
    config: RlConfig,
    model: ModelConfig,
    mesh: Mesh,
) -> dict[str, float]:
    """Stops the run if trainer and sampler disagree while they hold the same params.

    Returns what was measured, by metric.
    """
    probe = make_probe(groups, rows=config.rows, seq_len=model.max_positions)
    if probe is None:
        return {}
    _, metrics = accumulator.first(state.params, put_batch(probe, mesh))
    values = mean_values({k: v for k, v in metrics.items() if k != "loss"})
    check_first_update(values, config.loss)
    return {k.replace("policy/", "first_update/"): v for k, v in values.items()}


def _make_loss_fn(
    model: ModelConfig, config: PolicyLossConfig, temperature: float
) -> Callable:
    def loss_fn(params: Any, batch: Mapping[str, Any]) -> tuple[Any, Any, dict]:
        logprobs_BT, entropy_BT = token_logprobs(
            model, params, batch, temperature=temperature
        )
        mask_BT = batch["loss_mask"]
        loss, metrics = policy_loss(
            logprobs_BT,
            batch["sampler_logprobs"],
            advantages_BT=batch["advantages"],
            mask_BT=mask_BT,
            config=config,
        )
        weight = mask_BT.sum()
        metrics["policy/entropy"] = ((entropy_BT * mask_BT).sum(), weight)
        return loss, weight, metrics

    return loss_fn


def _check_lost(batch: RlBatch, groups: Sequence[Group], config: RlConfig) -> None:
    asked = sum(len(group.rollouts) for group in groups)
    if batch.num_lost > config.max_lost_share * asked:
        raise UserError(
            f"At most {config.max_lost_share:.0%} of the rollouts may be lost to "
            f"faults of the sandbox; {batch.num_lost} of {asked} were. Look at the "
            "machine's load and memory; the run continues from its last checkpoint."
        )


def _record(
    folder: pathlib.Path,
    step: int,
    groups: Sequence[Group],
    config: RlConfig,
    *,
    decode: Callable[[Sequence[int]], str],
) -> None:
    kept: list[Group] = []
    for name in dict.fromkeys(group.objective for group in groups):
        own = [group for group in groups if group.objective == name]
        kept += own[: config.groups_recorded]
    write_jsonl(
        folder / "rollouts" / f"step_{step:05d}.jsonl",
        (
            to_record(
                group,
                decode=decode,
                advantages=turn_advantages(group, config.advantage),
            )
            for group in kept
        ),
    )
