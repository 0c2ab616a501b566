"""One whole GRPO step: simex beside TRL's GRPOTrainer, torch on the CPU.

    launch/peers -m tests.benchmarks.grpo [--rounds 5]

Eight prompts of 128 tokens, eight samples each, at most 256 new tokens, the 17 stop ids
of the rollouts' benchmark; the reward is 1 for a completion that begins with an even id.
A step samples, rewards, computes logprobs and makes one update with AdamW, gradients
clipped to norm 1. The learning rate is so small that lengths stay what they are.

simex packs prompts and completions into rows of 512; TRL pads them, and takes part with
backward passes of 64 and of 8 completions. Each contestant makes its warm-up steps
first; they do not count. `--prompts 1 --max-new 4 --warm-up 1 --rounds 1` tries the command.
"""

import argparse
import dataclasses
import functools
import pathlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.grpo_task import (
    BETAS,
    CLIP_NORM,
    END_IDS,
    LEARNING_RATE,
    Ids,
    Size,
    begins_even,
)
from tests.benchmarks.grpo_trl import make_trl
from tests.benchmarks.rollouts import GROUP, MAX_NEW, NUM_PROMPTS, PROMPT_LEN
from tests.benchmarks.training import save_in_process
from tests.benchmarks.turns import Maker, Round, medians, take_turns

CACHE = str(pathlib.Path(tempfile.gettempdir()) / "simex-benchmarks")
ROWS, ROW_LEN = 4, 512  # of a micro-batch of simex
TRL_BATCHES = (64, 8)  # completions of a backward pass
WARM_UP = 14  # steps of simex: sizes of a batch depend on lengths, each compiles once
TRL_WARM_UP = 2  # at most: it has one size


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeginEven:
    """The objective of simex; an item is the text of a prompt."""

    weight: float = 1.0
    group_size: int = GROUP
    name: str = "begin_even"

    def load_items(self, workdir: pathlib.Path) -> list[str]:
        """Every prompt."""
        return Size().make_texts()

    def collect(
        self, policy: Any, items: Sequence[str], *, pool: Any, seed_path: tuple
    ) -> list[Any]:
        """One group an item."""
        from simex.rollouts.policy import Query
        from simex.rollouts.rollout import Group, Rollout

        turns = iter(
            policy.complete(
                [
                    Query(task="solve", prompt=item, seed_path=(*seed_path, i, sample))
                    for i, item in enumerate(items)
                    for sample in range(self.group_size)
                ]
            )
        )
        return [
            Group(
                objective=self.name,
                item_id=str(i),
                rollouts=tuple(
                    Rollout(turns=(turn,), reward=begins_even(turn.completion_ids))
                    for turn in (next(turns) for _ in range(self.group_size))
                ),
            )
            for i in range(len(items))
        ]


def make_simex(
    size: Size, compute_dtype: str = "float32", *, warm_up: int = WARM_UP
) -> Round:
    """Collecting, selecting and updating as `simex.rl.loop` calls them."""
    from tests.benchmarks.trainers import prepare_jax

    prepare_jax(CACHE)
    import jax

    from simex.rl.collection import Collector
    from simex.rl.loop import update
    from simex.rl.presets import make_algorithm
    from simex.rl.selection import select
    from simex.rl.trainer import make_trainer
    from simex.rl.watchdog import Watchdog
    from simex.sharding.mesh import make_mesh
    from simex.train.optimizer import OptimizerConfig, make_optimizer
    from simex.train.state import make_train_state
    from tests.benchmarks.decoder import CONFIG, make_params

    mesh, params = make_mesh(), make_params()
    model = dataclasses.replace(
        CONFIG, max_positions=ROW_LEN, compute_dtype=compute_dtype
    )
    optimizer = OptimizerConfig(
        name="adamw",
        learning_rate=LEARNING_RATE,
        beta1=BETAS[0],
        beta2=BETAS[1],
        clip_norm=CLIP_NORM,
    )
    tx = make_optimizer(optimizer, mesh)
    algorithm = make_algorithm("grpo_trl", {"gibberish": "keep"})
    trainer = make_trainer(
        model, algorithm, tx, mesh, rows=ROWS, temperature=1.0, reference_params=params
    )
    collector = Collector(
        objectives=[(BeginEven(), size.make_texts())],
        pool=None,
        rollouts_per_step=size.num_rollouts,
        max_refills=0,
        policy=_make_policy(model, mesh, size),
        seed=0,
        watchdog=Watchdog(stall_secs=600.0),
    )
    state = make_train_state(model, tx, mesh, key=jax.random.key(0), params=params)
    num_steps = 0

    def step() -> dict[str, float]:
        nonlocal state, num_steps
        begin = time.perf_counter()
        batch = collector.collect(state.params, num_steps)
        selection = select(batch.groups, algorithm=algorithm)
        state, values = update(trainer, state, selection, step=num_steps)
        secs = time.perf_counter() - begin
        num_steps += 1
        rollouts = [r for group in batch.groups for r in group.rollouts]
        return {
            "secs": secs,
            "rollout_secs": batch.secs,
            "mean_len": sum(r.num_tokens for r in rollouts) / len(rollouts),
            "loss": values["loss"],
        }

    for _ in range(warm_up):
        step()
    return lambda number: step()


def _make_policy(model: Any, mesh: Any, size: Size) -> Any:
    from simex.rollouts.policy import Policy
    from simex.sampling.methods import SamplingMethod
    from simex.sampling.sampler import Sampler
    from simex.sharding.mesh import make_decode_mesh

    sampler = Sampler(
        model,
        make_decode_mesh(mesh, tensor=mesh.size),  # both cores share every row
        num_slots=size.num_rollouts,
        max_prompt_len=PROMPT_LEN,
        max_total_len=PROMPT_LEN + size.max_new,
        stop_ids=END_IDS,
    )
    return Policy(
        sampler=sampler,
        params=None,
        tokenizer=Ids(),
        method=SamplingMethod(),
        max_new_tokens=size.max_new,
    )


def compare(
    rounds: int, size: Size = Size(), warm_up: int = WARM_UP
) -> dict[str, dict[str, float]]:
    """Medians of each contestant's figures."""
    makers: dict[str, Maker] = {
        "simex": functools.partial(make_simex, size, warm_up=warm_up),
        "simex bfloat16": functools.partial(
            make_simex, size, "bfloat16", warm_up=warm_up
        ),
    }
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryDirectory() as folder:
        save_in_process(folder)
        trl = {
            f"TRL, {batch} at once": functools.partial(
                make_trl, folder, size, batch, min(warm_up, TRL_WARM_UP)
            )
            for batch in TRL_BATCHES
            if batch <= size.num_rollouts
        }
        figures = take_turns(
            makers | trl, rounds=rounds, environ=dict.fromkeys(trl, quiet)
        )
    return {name: medians(found) for name, found in figures.items()}


def fastest_trl(found: Mapping[str, Mapping[str, float]]) -> float:
    """Seconds a step of TRL, in the batches that suit it best."""
    return min(figures["secs"] for n, figures in found.items() if n.startswith("TRL"))


def rows(rounds: int = 5) -> list[tuple[str, str, float, dict[str, float]]]:
    """(what, unit, simex, peers) for a table of several benchmarks."""
    found = compare(rounds)
    peers = {"TRL": 60 / fastest_trl(found)}
    return [
        (f"GRPO step {dtype}", "steps/min", 60 / found[name]["secs"], peers)
        for name, dtype in (("simex", "float32"), ("simex bfloat16", "bfloat16"))
    ]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=NUM_PROMPTS)
    parser.add_argument("--max-new", type=int, default=MAX_NEW)
    parser.add_argument("--warm-up", type=int, default=WARM_UP)
    asked = parser.parse_args()
    size = Size(prompts=asked.prompts, max_new=asked.max_new)
    results = compare(asked.rounds, size, asked.warm_up)
    theirs = fastest_trl(results)
    for name, found in results.items():
        rollout = found.get("rollout_secs")
        print(
            f"{name:16} {found['secs']:6.2f} s a step, {theirs / found['secs']:4.2f} "
            f"times the fastest TRL  {found['mean_len']:5.1f} tokens a sample"
            + (f", {rollout:.2f} s of rollouts" if rollout else "")
        )


if __name__ == "__main__":
    main()
