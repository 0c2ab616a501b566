"""Output prediction: what share of stdouts does a policy predict?"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from simex.rollouts.policy import Policy, Query
from simex.rollouts.rollout import Turn
from simex.tasks import explain
from simex.tasks.answer import Answer
from simex.tasks.predict_output import (
    PredictionItem,
    parse_completion,
    render_prompt,
)
from simex.tasks.rewards import as_meant, is_stated_right


def predictions_path(folder: pathlib.Path, checkpoint: str) -> pathlib.Path:
    """Where evaluate_prediction keeps what a checkpoint, STAGE or STAGE@best, said."""
    return folder / f"{checkpoint.partition('@')[0].replace('/', '_')}.jsonl"


def predict_outputs(
    policy: Policy, items: Sequence[PredictionItem], *, seed_path: tuple[int, ...]
) -> list[dict[str, Any]]:
    """One record an item: what was said, what is true, whether they are equal.

    `limits` are those of its run, for whoever runs the program again.
    """
    queries = [
        Query(
            task="predict_output",
            prompt=render_prompt(item.source, item.stdin),
            seed_path=(*seed_path, index),
        )
        for index, item in enumerate(items)
    ]
    turns = policy.complete(queries)
    return [
        _make_record(
            turn,
            _answer_of(turn, item),
            functools.partial(
                is_stated_right,
                expected=item.stdout,
                checker=item.checker,
                float_tol=item.float_tol,
            ),
            {
                "id": item.id,
                "group": item.group,
                "role": item.role,
                "source": item.source,
                "stdin": item.stdin,
                "true": item.stdout,
                "limits": dataclasses.asdict(item.run_limits),
            },
        )
        for item, turn in zip(items, turns, strict=True)
    ]


def _answer_of(turn: Turn, item: PredictionItem) -> Answer:
    answer = parse_completion(turn.text, is_truncated=turn.is_truncated)
    if answer.value is None:
        return answer
    return Answer(
        value=as_meant(
            answer.value, item.stdout, checker=item.checker, float_tol=item.float_tol
        )
    )


def predict_calls(
    policy: Policy, calls: Sequence[dict[str, Any]], *, seed_path: tuple[int, ...]
) -> list[dict[str, Any]]:
    """The same for function calls; `calls` hold id, group, source, call and stdout.

    `stdout` is the repr of the call's value; the answer must be the same text.
    """
    queries = [
        Query(
            task="explain",
            prompt=explain.render_prompt(call["source"], call["call"]),
            seed_path=(*seed_path, index),
        )
        for index, call in enumerate(calls)
    ]
    turns = policy.complete(queries)
    return [
        _make_record(
            turn,
            explain.parse_completion(
                turn.text, call=call["call"], is_truncated=turn.is_truncated
            ),
            call["stdout"].rstrip("\n").__eq__,
            {
                "id": call["id"],
                "group": call["group"],
                "role": "function",
                "source": call["source"],
                "stdin": call["call"],
                "true": call["stdout"],
            },
        )
        for call, turn in zip(calls, turns, strict=True)
    ]


def _make_record(
    turn: Turn,
    answer: Answer,
    is_equal: Callable[[str], bool],
    fields: dict[str, Any],
) -> dict[str, Any]:
    return fields | {
        "said": answer.value,
        "refusal": answer.refusal.value if answer.refusal else None,
        "is_right": answer.value is not None and is_equal(answer.value),
        "text": turn.text,
        "num_tokens": len(turn.completion_ids),
    }
