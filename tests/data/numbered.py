"""A split whose examples say their own numbers."""

import numpy as np

from simex.data.tokenized import (
    LengthReport,
    TaskLengths,
    TokenizedSplit,
    TokenizedTask,
)


def numbered_split(num_by_task: dict[str, int], *, seq_len: int = 10) -> TokenizedSplit:
    """Example i of a task is ``[1000 t + i] * (2 + i % 5)``, its prompt one token."""
    tasks = {}
    for t, (name, num) in enumerate(num_by_task.items()):
        ids = [np.full(2 + i % 5, 1000 * t + i, dtype=np.int32) for i in range(num)]
        tasks[name] = TokenizedTask(
            ids=np.concatenate([np.zeros(0, dtype=np.int32), *ids]),
            ends=np.cumsum([len(v) for v in ids], dtype=np.int64),
            num_prompt_tokens=np.ones(num, dtype=np.int32),
        )
    lengths = TaskLengths(
        num_examples=3,
        num_too_long=3,
        mean=12.0,
        median=12.0,
        percentile_95=12.0,
        longest=12,
        shortest=11,
        longest_id="x",
        num_tokens=0,
        num_loss_tokens=0,
    )
    report = LengthReport(seq_len=seq_len, tasks=dict.fromkeys(num_by_task, lengths))
    return TokenizedSplit(tasks=tasks, report=report, pad_id=0)
