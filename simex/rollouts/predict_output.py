"""Objective 1 of RL: predict what a program prints."""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Iterator, Sequence

from simex.core.errors import UserError
from simex.core.files import read_jsonl
from simex.rollouts.answers import parse_turn
from simex.rollouts.beside import Beside
from simex.rollouts.grounded import (
    ItemTruth,
    as_truth,
    ground_rollout,
    trace_items,
)
from simex.rollouts.policy import Policy, Query
from simex.rollouts.program import ProgramReport, TestReport, clipped
from simex.rollouts.rollout import End, Group, Rollout, Turn
from simex.sandbox.pool import SandboxPool
from simex.sharding.processes import gather, own_share
from simex.tasks.grounded import GroundingReward
from simex.tasks.predict_output import PredictionItem, render_prompt
from simex.tasks.rewards import read_stated


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOutputObjective:
    """Reward ±reward_scale for the exact stdout of right and wrong programs."""

    weight: float
    group_size: int = 8
    reward_scale: float = 0.8
    wrong_share: float | None = None
    """Share of the items whose program is wrong, of the first ones as of all; None: as
    they come. A predictor of right programs alone can cheat by solving the problem
    instead (METHOD 3)."""

    grounding: GroundingReward | None = None
    """Rewards the explanation as well: each of its statements is looked up in the trace
    of the run, which the sandbox makes anew for every group. None: the output alone."""

    max_new_tokens: int | None = None  # None: as the policy has it
    max_items: int | None = None  # the first ones; None: all
    items_from: Sequence[str] = ()
    """Files of items to train on, such as "make_prediction_set/items.jsonl", made of
    problems for training: in the workdir, or with an absolute path. (): those of
    `run_programs`, from which held-out items come in either case."""

    name: str = "predict_output"

    def __post_init__(self) -> None:
        """Raises UserError for a share outside 0..1."""
        if self.wrong_share is not None and not 0 <= self.wrong_share <= 1:
            raise UserError(f"wrong_share must lie in 0..1; got {self.wrong_share}.")

    def load_items(
        self, workdir: pathlib.Path, *, split: str = "rl"
    ) -> list[PredictionItem]:
        """Programs of the problems of a split with their true outputs.

        Raises:
          UserError: `items_from` has programs of problems that are held out, or there
            is no item with that share of wrong programs.
        """
        own = [f"run_programs/{split}.jsonl"]
        files = (self.items_from if split == "rl" else ()) or own
        items = [
            PredictionItem(**record)
            for name in files
            for record in read_jsonl(workdir / name)
        ]
        if files != own:
            _refuse_held_out(items, workdir)
        if self.wrong_share is not None:
            items = mix_roles(items, wrong_share=self.wrong_share)
        return items[: self.max_items]

    def collect(
        self,
        policy: Policy,
        items: Sequence[PredictionItem],
        *,
        pool: SandboxPool,
        seed_path: tuple[int, ...],
    ) -> list[Group]:
        """One group an item. The true outputs are known: runs are for traces only.

        A program whose run cannot be told whole is rewarded for its output alone.
        """
        queries = [
            Query(
                task="predict_output",
                prompt=render_prompt(item.source, item.stdin),
                seed_path=(*seed_path, index, sample),
                max_new_tokens=self.max_new_tokens,
            )
            for index, item in enumerate(items)
            for sample in range(self.group_size)
        ]
        turns, truths = self._ask(policy, queries, items, pool)
        rollouts: Iterator[Rollout] = map(
            self._reward,
            [item for item in items for _ in range(self.group_size)],
            turns,
        )
        if self.grounding is not None:
            rollouts = self._ground(rollouts, policy, truths)
        return [
            Group(
                objective=self.name,
                item_id=item.id,
                rollouts=tuple(itertools.islice(rollouts, self.group_size)),
            )
            for item in items
        ]

    def _ask(
        self,
        policy: Policy,
        queries: Sequence[Query],
        items: Sequence[PredictionItem],
        pool: SandboxPool,
    ) -> tuple[list[Turn], list[ItemTruth]]:
        """The turns, and what is true of each item where that is rewarded.

        Programs are traced while the policy explains them, each by one process: two
        could find different faults and times, and then learn from different groups.
        """
        if self.grounding is None:
            return policy.complete(queries), []
        work = functools.partial(trace_items, pool=pool)
        with Beside(work, waits=policy.waits) as tracing:
            for item in own_share(items):
                tracing.put(item)
            turns = policy.complete(queries)
            own = tracing.results()
        return turns, [as_truth(run) for found in gather(own) for run in found]

    def _ground(
        self, rollouts: Iterator[Rollout], policy: Policy, truths: Sequence[ItemTruth]
    ) -> Iterator[Rollout]:
        assert self.grounding is not None
        for truth in truths:
            for rollout in itertools.islice(rollouts, self.group_size):
                yield ground_rollout(
                    rollout,
                    truth,
                    decode=policy.tokenizer.decode,
                    config=self.grounding,
                    scale=self.reward_scale,
                )

    def _reward(self, item: PredictionItem, turn: Turn) -> Rollout:
        answer = parse_turn(turn)
        said, is_right = answer.value, False
        if said is not None:
            said, is_right = read_stated(
                said, item.stdout, checker=item.checker, float_tol=item.float_tol
            )
        refusal = answer.refusal.value if answer.refusal else ""
        return Rollout(
            turns=(turn,),
            reward=self.reward_scale if is_right else -self.reward_scale,
            parts={
                "passed": float(is_right),
                "refused": float(bool(refusal)),
                # Of the right and of the wrong programs alone; METHOD 3.
                f"passed_{item.role}": float(is_right),
            },
            notes={"true": item.stdout, "said": said or "", "refusal": refusal},
            end=End.REFUSED if refusal else End.ANSWERED,
            refusals=(refusal,) if refusal else (),
            programs=(_report(item, said, is_right),),
        )


def _refuse_held_out(items: Sequence[PredictionItem], workdir: pathlib.Path) -> None:
    groups = {item.group for item in items}
    for split in ("validation", "test"):
        path = workdir / f"run_programs/{split}.jsonl"
        held = {r["group"] for r in read_jsonl(path)} if path.exists() else set()
        if shared := sorted(groups & held):
            raise UserError(
                "PredictOutputObjective.items_from must share no group of problems with "
                f"{path}, which is held out; it shares {len(shared)}, {shared[0]!r} "
                "among them. Make the items of problems for training: "
                'make_prediction_set.problems_from = "make_problems/rl.jsonl" or '
                '"import_problems/train.jsonl", and the candidates of the same ones.'
            )


def mix_roles(
    items: Sequence[PredictionItem], *, wrong_share: float
) -> list[PredictionItem]:
    """As many items as can be with that share of wrong programs.

    Of 6 right and 2 wrong programs, `wrong_share` 0.5 keeps 2 of each. Both kinds come in
    their own order, so mixed that the first items have the share as well, whoever takes
    no more than those.

    Raises:
      UserError: nothing remains, e.g. where no program is wrong.
    """
    wrong = [item for item in items if item.role == "wrong"]
    right = [item for item in items if item.role != "wrong"]
    total = min(
        len(right) / (1 - wrong_share) if wrong_share < 1 else float("inf"),
        len(wrong) / wrong_share if wrong_share > 0 else float("inf"),
    )
    num_wrong = min(round(total * wrong_share), len(wrong))
    num_right = min(round(total * (1 - wrong_share)), len(right))
    num = num_wrong + num_right
    if not num:
        raise UserError(
            f"A share of {wrong_share:g} wrong programs needs items to choose from; "
            f"there are {len(right)} right and {len(wrong)} wrong ones. Leave "
            "PredictOutputObjective.wrong_share out, or make more problems."
        )
    # How many of the first n are wrong; rounded, so that it ends with `num_wrong`.
    so_far = [(2 * n * num_wrong + num) // (2 * num) for n in range(num + 1)]
    wrongs, rights = iter(wrong), iter(right)
    return [
        next(wrongs if now > before else rights)
        for before, now in itertools.pairwise(so_far)
    ]


def _report(item: PredictionItem, said: str | None, is_right: bool) -> ProgramReport:
    test = TestReport(
        visibility="public",
        verdict="",
        stdin=clipped(item.stdin),
        stdout=clipped(item.stdout),
        is_predicted=True,
        predicted=None if said is None else clipped(said),
        is_prediction_right=is_right,
    )
    return ProgramReport(source=clipped(item.source), tests=(test,))
