"""Batches: every example as often as asked, whole, and resumable anywhere."""

import collections
import contextlib
import itertools
import json
import time

import grain
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.data.mixture import Mixture
from simex.data.parts import share_of
from simex.data.pipeline import make_batch_dataset, make_batches
from simex.data.tokenized import (
    LengthReport,
    TokenizedSplit,
    TokenizedTask,
    tokenize_split,
)
from tests.data.conftest import make_examples
from tests.data.numbered import numbered_split


@pytest.fixture(scope="module")
def split(tokenizer) -> TokenizedSplit:
    return tokenize_split(make_examples("train", 40), tokenizer, seq_len=96)


def take(iterator, num: int | None = None) -> list[dict[str, np.ndarray]]:
    with contextlib.closing(iterator):
        return list(itertools.islice(iterator, num))


def sequences_in(batches) -> list[tuple[list[int], list[int], list[float]]]:
    """Ids, positions and loss mask of every segment of every row."""
    found = []
    for batch in batches:
        for row in range(len(batch["tokens"])):
            segment_ids = batch["segment_ids"][row]
            for segment in range(1, segment_ids.max() + 1):
                where = segment_ids == segment
                found.append(
                    tuple(
                        batch[name][row][where].tolist()
                        for name in ("tokens", "positions", "loss_mask")
                    )
                )
    return found


def test_one_epoch_holds_every_example_once_and_whole(split):
    batches = take(make_batches(split, Mixture(), batch_rows=4, seed=0, num_epochs=1))
    found = sorted(sequences_in(batches))
    expected = sorted(
        (e.ids.tolist(), list(range(len(e))), e.loss_mask.tolist())
        for task in split.tasks.values()
        for e in (task[i] for i in range(len(task)))
    )
    assert split.report.num_too_long == 0
    assert len(expected) == 4 * 40
    assert found == expected


def test_batches_have_the_agreed_names_shapes_and_types(split):
    batches = take(make_batches(split, Mixture(), batch_rows=4, seed=0, num_epochs=1))
    for batch in batches:
        assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
            "tokens": ((4, 96), "int32"),
            "segment_ids": ((4, 96), "int32"),
            "positions": ((4, 96), "int32"),
            "loss_mask": ((4, 96), "float32"),
        }
        padding = batch["segment_ids"] == 0
        for name in ("tokens", "positions", "loss_mask"):
            assert not batch[name][padding].any()


def test_the_last_batch_is_filled_up_with_padding():
    # 3 examples of 2, 3 and 4 tokens fit one row of 10: 1 of 4 rows is used.
    split = numbered_split({"a": 3})
    (batch,) = take(make_batches(split, Mixture(), batch_rows=4, seed=0, num_epochs=1))
    assert batch["tokens"].shape == (4, 10)
    assert (batch["segment_ids"] > 0).sum(axis=1).tolist() == [9, 0, 0, 0]


def test_weights_are_honoured_whatever_the_numbers_on_disk():
    split = numbered_split({"few": 10, "many": 300, "unused": 50})
    mixture = Mixture(weights={"few": 3.0, "many": 1.0})
    batches = take(make_batches(split, mixture, batch_rows=8, seed=0), 400)
    drawn = collections.Counter(ids[0] // 1000 for ids, _, _ in sequences_in(batches))
    assert set(drawn) == {0, 1}
    assert drawn[0] / drawn.total() == pytest.approx(0.75, abs=0.01)
    # All of the large task comes, not only as much as one pass over the small one.
    seen = {ids[0] for ids, _, _ in sequences_in(batches)}
    assert len(seen) == 10 + 300


def test_without_weights_shares_are_natural():
    split = numbered_split({"few": 10, "many": 90})
    batches = take(make_batches(split, Mixture(), batch_rows=8, seed=0), 300)
    drawn = collections.Counter(ids[0] // 1000 for ids, _, _ in sequences_in(batches))
    assert drawn[0] / drawn.total() == pytest.approx(0.1, abs=0.01)


def test_no_example_comes_more_often_than_there_are_epochs():
    split = numbered_split({"few": 10, "many": 300})
    mixture = Mixture(weights={"few": 1.0, "many": 1.0})
    batches = take(make_batches(split, mixture, batch_rows=4, seed=0, num_epochs=2))
    count = collections.Counter(ids[0] for ids, _, _ in sequences_in(batches))
    # "few" ends after 2 * 10 draws, and "many" has been drawn as often.
    assert [count[i] for i in range(10)] == [2] * 10
    assert sum(n for i, n in count.items() if i >= 1000) == pytest.approx(20, abs=1)


def test_the_seed_decides_the_order_and_epochs_differ(split):
    def first(seed: int) -> list:
        it = make_batches(split, Mixture(), batch_rows=4, seed=seed)
        return sequences_in(take(it, 5))

    assert first(0) == first(0)
    assert first(0) != first(1)
    # Two windows of 1,024 an epoch: the first window of each holds other examples.
    numbered = numbered_split({"a": 2048})
    batches = take(
        make_batches(numbered, Mixture(), batch_rows=1, seed=0, num_epochs=2)
    )
    order = [ids[0] for ids, _, _ in sequences_in(batches)]
    assert sorted(order[:2048]) == sorted(order[2048:]) == list(range(2048))
    assert set(order[:1024]) != set(order[2048:3072])


def test_rows_are_not_sorted_by_length():
    # Lengths 2 to 6 in rows of 6: 200 sixes stand alone, and sorted they come first.
    split = numbered_split({"a": 1000}, seq_len=6)
    batches = take(make_batches(split, Mixture(), batch_rows=4, seed=0, num_epochs=1))
    half = len(batches) // 2
    first, second = (
        sum(len(ids) == 6 for ids, _, _ in sequences_in(part))
        for part in (batches[:half], batches[half:])
    )
    assert first + second == 200
    assert first == pytest.approx(100, abs=25)


def test_hosts_read_different_examples_and_together_all():
    split = numbered_split({"a": 101})
    per_host = [
        [
            ids[0]
            for ids, _, _ in sequences_in(
                take(
                    make_batches(
                        split,
                        Mixture(),
                        batch_rows=6,
                        seed=0,
                        num_epochs=1,
                        share=share_of(3, process=host, num_processes=3),
                    )
                )
            )
        ]
        for host in range(3)
    ]
    assert sorted(itertools.chain(*per_host)) == list(range(101))


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0)])
@pytest.mark.parametrize("num_parts", [2, 4])
def test_every_part_has_the_tasks_in_the_shares_of_the_mixture(weights, num_parts):
    split = numbered_split({"a": 120, "b": 120})
    mixture = Mixture(weights=dict(zip("ab", weights)))
    seen = []
    for part in range(num_parts):
        share = share_of(num_parts, process=part, num_processes=num_parts)
        it = make_batches(split, mixture, batch_rows=8, seed=0, share=share)
        ids = [ids[0] for ids, _, _ in sequences_in(take(it, 200))]
        # 200 batches of 8 / num_parts rows: hundreds of examples.
        share_of_a = np.mean([number < 1000 for number in ids])
        assert share_of_a == pytest.approx(weights[0] / sum(weights), abs=0.05)
        seen.append(set(ids))
    assert len(set.union(*seen)) == 240


def test_batches_depend_on_the_number_of_parts_and_not_on_who_reads_them():
    split = numbered_split({"a": 101})

    def read(num_processes):
        shares = [
            share_of(4, process=p, num_processes=num_processes)
            for p in range(num_processes)
        ]
        readers = [
            make_batches(split, Mixture(), batch_rows=8, seed=0, share=share)
            for share in shares
        ]
        batches = [[next(r)["tokens"] for r in readers] for _ in range(3)]
        states = [state for r in readers for state in r.get_state()]
        again = [
            make_batches(split, Mixture(), batch_rows=8, seed=0, share=share)
            for share in shares
        ]
        for reader in again:
            reader.set_state(states)
        batches += [[next(r)["tokens"] for r in again]]
        return np.stack([np.concatenate(parts) for parts in batches]), states

    whole, states = read(1)
    for num_processes in (2, 4):
        same, same_states = read(num_processes)
        np.testing.assert_array_equal(whole, same)
        assert states == same_states


def test_parts_that_do_not_divide_over_processes_are_refused():
    with pytest.raises(UserError, match="multiple of the 4 processes, but it is 6"):
        share_of(6, process=0, num_processes=4)


@pytest.mark.parametrize("weights", [{}, {"explain": 2.0, "solve": 1.0}])
def test_resuming_at_any_batch_gives_the_same_rest(split, weights):
    # Two epochs of one dataset: going back to the first must not see the second's order.
    dataset = make_batch_dataset(
        split, Mixture(weights=weights), batch_rows=12, seed=0, num_epochs=2
    )
    grain.experimental.assert_equal_output_after_checkpoint(dataset)


def test_resuming_after_many_windows_gives_the_same_rest():
    split = numbered_split({"few": 10, "many": 300})
    mixture = Mixture(weights={"few": 1.0, "many": 2.0})
    offset = int(np.random.default_rng(0).integers(300, 900))
    with contextlib.closing(make_batches(split, mixture, batch_rows=8, seed=3)) as it:
        for _ in range(offset):
            next(it)
        state = json.dumps(it.get_state())
        rest = list(itertools.islice(it, 150))
    resumed = make_batches(split, mixture, batch_rows=8, seed=3)
    resumed.set_state(json.loads(state))
    np.testing.assert_equal(take(resumed, 150), rest)


def test_a_position_survives_being_written_as_json(split):
    def make():
        return make_batches(split, Mixture(), batch_rows=4, seed=0)

    with contextlib.closing(make()) as it:
        for _ in range(7):
            next(it)
        written = json.dumps(it.get_state())
        rest = list(itertools.islice(it, 9))
    resumed = make()
    resumed.set_state(json.loads(written))
    np.testing.assert_equal(take(resumed, 9), rest)


def test_a_task_whose_examples_are_all_too_long_is_refused():
    split = numbered_split({"long": 0, "fine": 5})
    mixture = Mixture(weights={"long": 1.0, "fine": 1.0})
    with pytest.raises(UserError, match=r"at most 10 tokens; all 3 .* \(shortest 11\)"):
        make_batches(split, mixture, batch_rows=2, seed=0)
    # Without weights the task has nothing to add, which the report says.
    take(make_batches(split, Mixture(), batch_rows=2, seed=0), 1)
    with pytest.raises(UserError, match="all 3 are longer"):
        make_batches(numbered_split({"long": 0}), Mixture(), batch_rows=2, seed=0)


def test_an_unknown_task_is_refused(split):
    with pytest.raises(UserError, match="Known tasks: explain, predict_output, solve"):
        make_batches(split, Mixture(weights={"sovle": 1}), batch_rows=2, seed=0)


def quickstart_like_split(num: int) -> TokenizedSplit:
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(130, 40, size=num), 20, 256).astype(np.int64)
    task = TokenizedTask(
        ids=np.ones(lengths.sum(), dtype=np.int32),
        ends=np.cumsum(lengths),
        num_prompt_tokens=(lengths // 2).astype(np.int32),
    )
    report = LengthReport(seq_len=256, tasks={})
    return TokenizedSplit(tasks={"explain": task}, report=report, pad_id=0)


def test_rows_are_full_and_the_iterator_is_fast():
    split = quickstart_like_split(10_000)
    with contextlib.closing(
        make_batches(split, Mixture(), batch_rows=32, seed=0)
    ) as it:
        next(it)
        started = time.process_time()
        fills = [np.mean(next(it)["segment_ids"] > 0) for _ in range(100)]
        # Of all threads: 32 * 256 * 100 = 819,200 positions.
        cpu_secs = time.process_time() - started
    assert np.mean(fills) > 0.95
    # 1.5M tokens a second on a free core; a twentieth of it still never stalls a CPU.
    assert 819_200 * np.mean(fills) / cpu_secs > 75_000
