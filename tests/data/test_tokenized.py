"""A split in memory."""

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.data.tokenized import tokenize_split
from simex.tokens.chat import render
from tests.data.conftest import make_examples


def test_examples_are_kept_as_the_chat_renders_them(tokenizer):
    examples = list(make_examples("train", 6))
    split = tokenize_split(examples, tokenizer, seq_len=1000)
    assert list(split.tasks) == ["explain", "predict_output", "solve"]
    for name, task in split.tasks.items():
        expected = [
            render(tokenizer, e.prompt, e.target) for e in examples if e.task == name
        ]
        assert len(task) == len(expected)
        for i, rendered in enumerate(expected):
            np.testing.assert_array_equal(task[i].ids, rendered.ids)
            np.testing.assert_array_equal(task[i].loss_mask, rendered.loss_mask)


def test_too_long_examples_are_left_out_and_counted(tokenizer):
    examples = list(make_examples("train", 8))
    lengths = {e.id: len(render(tokenizer, e.prompt, e.target)) for e in examples}
    seq_len = int(np.median(list(lengths.values())))
    split = tokenize_split(examples, tokenizer, seq_len=seq_len)
    report = split.report.tasks["solve"]
    of_solve = [lengths[e.id] for e in examples if e.task == "solve"]
    kept = [n for n in of_solve if n <= seq_len]
    assert 0 < len(kept) < len(of_solve)
    assert len(split.tasks["solve"]) == len(kept)
    assert report.num_examples == len(of_solve)
    assert report.num_too_long == len(of_solve) - len(kept)
    assert report.num_tokens == sum(kept)
    assert report.mean == pytest.approx(np.mean(of_solve))
    assert (report.shortest, report.longest) == (min(of_solve), max(of_solve))
    assert lengths[report.longest_id] == max(of_solve)
    assert split.report.num_too_long == sum(n > seq_len for n in lengths.values())
    assert f"{report.num_too_long} longer than {seq_len} left out" in str(split.report)


def test_loss_tokens_are_the_targets_and_their_ends(tokenizer):
    examples = list(make_examples("train", 3))
    split = tokenize_split(examples, tokenizer, seq_len=1000, tasks=["solve"])
    of_solve = [e for e in examples if e.task == "solve"]
    assert split.report.tasks["solve"].num_loss_tokens == sum(
        len(tokenizer.encode(e.target)) + 1 for e in of_solve
    )
    assert list(split.tasks) == ["solve"]


def test_a_task_without_examples_is_named(tokenizer):
    with pytest.raises(UserError, match="none of submit_or_fix"):
        tokenize_split(
            make_examples("train", 1), tokenizer, seq_len=99, tasks=["submit_or_fix"]
        )
    with pytest.raises(UserError, match="none of any task"):
        tokenize_split([], tokenizer, seq_len=99)
