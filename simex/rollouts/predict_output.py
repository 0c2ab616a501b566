"""Objective 1 of RL: predict what a program prints."""

import dataclasses
import pathlib
from collections.abc import Sequence

from simex.core.files import read_jsonl
from simex.rollouts.policy import Policy, Query
from simex.rollouts.rollout import Group, Rollout, Turn
from simex.sandbox.pool import SandboxPool
from simex.tasks.predict_output import (
    PredictionItem,
    parse_completion,
    render_prompt,
)
from simex.tasks.rewards import is_output_right


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOutputObjective:
    """Reward ±reward_scale for the exact stdout of right and wrong programs."""

    weight: float
    group_size: int = 8
    reward_scale: float = 0.8
    name: str = "predict_output"

    def load_items(self, workdir: pathlib.Path) -> list[PredictionItem]:
        """Programs of the RL problems with their true outputs."""
        path = workdir / "run_programs" / "rl.jsonl"
        return [PredictionItem(**record) for record in read_jsonl(path)]

    def collect(
        self,
        policy: Policy,
        items: Sequence[PredictionItem],
        *,
        pool: SandboxPool,
        seed_path: tuple[int, ...],
    ) -> list[Group]:
        """One group an item; the true outputs are known, so nothing is run."""
        del pool
        queries = [
            Query(
                task="predict_output",
                prompt=render_prompt(item.source, item.stdin),
                seed_path=(*seed_path, index, sample),
            )
            for index, item in enumerate(items)
            for sample in range(self.group_size)
        ]
        turns = iter(policy.complete(queries))
        return [
            Group(
                objective=self.name,
                item_id=item.id,
                rollouts=tuple(
                    self._reward(item, next(turns)) for _ in range(self.group_size)
                ),
            )
            for item in items
        ]

    def _reward(self, item: PredictionItem, turn: Turn) -> Rollout:
        answer = parse_completion(turn.text, is_truncated=turn.is_truncated)
        is_right = answer.value is not None and is_output_right(
            answer.value, item.stdout, checker=item.checker
        )
        refusal = answer.refusal.value if answer.refusal else ""
        return Rollout(
            turns=(turn,),
            reward=self.reward_scale if is_right else -self.reward_scale,
            parts={"passed": float(is_right), "refused": float(bool(refusal))},
            notes={"true": item.stdout, "said": answer.value or "", "refusal": refusal},
        )
