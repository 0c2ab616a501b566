"""Packing, with numbers small enough to do by hand."""

import json
import pathlib

import numpy as np
import pytest

from simex.tokens.chat import Rendered
from simex.tokens.packing import first_fit_decreasing, pack


def sequences_of(*lengths: int) -> list[Rendered]:
    """Sequence i has the ids 10 i, 10 i + 1, ...; its first token is the prompt."""
    return [
        Rendered.from_ids([10 * i], range(10 * i + 1, 10 * i + n), id=f"s{i}")
        for i, n in enumerate(lengths)
    ]


def test_first_fit_takes_the_longest_first():
    # Rows of 7. The 5 opens row 0 and the 4 row 1; 3 fits row 1 (4 + 3 = 7), 2 row 0.
    rows, starts, segments = first_fit_decreasing(np.array([3, 5, 2, 4]), 7)
    assert rows.tolist() == [1, 0, 0, 1]
    assert starts.tolist() == [4, 0, 5, 0]
    assert segments.tolist() == [2, 1, 2, 1]


def test_all_arrays_of_a_packed_batch():
    packed = pack(sequences_of(2, 3), 6, pad_id=99)
    assert packed.arrays["tokens"].tolist() == [[10, 11, 12, 0, 1, 99]]
    assert packed.arrays["segment_ids"].tolist() == [[1, 1, 1, 2, 2, 0]]
    assert packed.arrays["positions"].tolist() == [[0, 1, 2, 0, 1, 0]]
    assert packed.arrays["loss_mask"].tolist() == [[0, 1, 1, 0, 1, 0]]
    assert packed.fill_share == 5 / 6
    assert {k: v.dtype.name for k, v in packed.arrays.items()} == {
        "tokens": "int32",
        "segment_ids": "int32",
        "positions": "int32",
        "loss_mask": "float32",
    }


def test_extras_lie_beside_their_tokens_and_come_back():
    sequences = sequences_of(2, 4, 3)
    advantages = [np.full(len(s), 0.5 * i) for i, s in enumerate(sequences)]
    versions = [np.full(len(s), 7 + i) for i, s in enumerate(sequences)]
    packed = pack(
        sequences, 5, extras={"advantages": advantages, "policy_version": versions}
    )
    # Rows of 5: the 4 alone (4 + 2 > 5), then 3 + 2.
    assert packed.arrays["advantages"].tolist() == [
        [0.5, 0.5, 0.5, 0.5, 0.0],
        [1.0, 1.0, 1.0, 0.0, 0.0],
    ]
    assert packed.arrays["advantages"].dtype == np.float32
    assert packed.arrays["policy_version"].tolist()[1] == [9, 9, 9, 7, 7]
    assert packed.arrays["policy_version"].dtype.kind == "i"
    for name, given in (("advantages", advantages), ("policy_version", versions)):
        for back, vector in zip(packed.unpack(packed.arrays[name]), given, strict=True):
            np.testing.assert_array_equal(back, vector)


def test_no_sequence_is_ever_split_lost_or_overlapped():
    rng = np.random.default_rng(0)
    for _ in range(50):
        lengths = rng.integers(1, 33, size=rng.integers(1, 40))
        sequences = [
            Rendered.from_ids([], np.full(n, i + 1)) for i, n in enumerate(lengths)
        ]
        packed = pack(sequences, 32)
        for sequence, back in zip(
            sequences, packed.unpack(packed.arrays["tokens"]), strict=True
        ):
            np.testing.assert_array_equal(back, sequence.ids)
        # Nothing overlaps: as many positions are taken as there are tokens.
        assert (packed.arrays["segment_ids"] > 0).sum() == lengths.sum()
        assert packed.fill_share == lengths.sum() / packed.arrays["tokens"].size


# Tokens of real examples, by the tokenizer that goes with them:
# * functions: every fourth of 6,076 calls of functions of public code (source, call and
#   value; SmolLM2's tokenizer), by length: mean 307, longest 2,562;
# * programs: every second of 2,609 contest programs with input and output (the same
#   tokenizer): mean 602, longest 9,721;
# * explanations: all 688 examples of experiments/smoke.gin (its own tokenizer of 768
#   pieces): mean 121, longest 217.
LENGTHS = json.loads(
    pathlib.Path(__file__).with_name("real_lengths.json").read_text(encoding="utf-8")
)


# An example of half a row hardly finds a partner: with rows of 512, programs fill 91 %,
# and explanations in the 256 of the quickstart 94 %. At eight times the median and more,
# windows of `data.pipeline.WINDOW_EXAMPLES` = 1,024 examples suffice.
@pytest.mark.parametrize(
    ("name", "seq_len", "window"),
    [
        ("functions", 1024, 256),
        ("functions", 4096, 512),
        ("programs", 1024, 256),
        ("programs", 4096, 256),
        ("explanations", 1024, 1024),
    ],
)
def test_rows_of_real_lengths_are_filled_to_97_percent(name, seq_len, window):
    lengths = np.array([n for n in LENGTHS[name] if n <= seq_len])
    drawn = np.random.default_rng(0).choice(lengths, (8, window))
    num_rows = sum(first_fit_decreasing(w, seq_len)[0].max() + 1 for w in drawn)
    assert drawn.sum() / (num_rows * seq_len) >= 0.97


def answers(prompt: list[int], *completions: list[int]) -> list[Rendered]:
    return [Rendered.from_ids(prompt, c, id=f"{prompt}{c}") for c in completions]


def test_a_row_holds_what_sequences_share_once():
    # 7 8 9 is a prompt of two answers; its last id stays with each of them. 5 6 has one.
    sequences = [*answers([7, 8, 9], [1], [2, 3]), *answers([5, 6], [4])]
    packed = pack(sequences, 10, num_shared=[2, 2, 1])
    # The longest first, then what begins alike; 2 + 3 + 2 + 3 of 10 columns.
    assert packed.arrays["tokens"].tolist() == [[7, 8, 9, 2, 3, 9, 1, 5, 6, 4]]
    assert packed.arrays["segment_ids"].tolist() == [[1, 1, 2, 2, 2, 3, 3, 4, 4, 4]]
    assert packed.arrays["prefix_ids"].tolist() == [[1, 1, 1, 1, 1, 1, 1, 4, 4, 4]]
    assert packed.arrays["positions"].tolist() == [[0, 1, 2, 3, 4, 2, 3, 0, 1, 2]]
    assert packed.arrays["loss_mask"].tolist() == [[0, 0, 0, 1, 1, 0, 1, 0, 0, 1]]
    assert packed.fill_share == 1.0
    for sequence, back in zip(
        sequences, packed.unpack(packed.arrays["tokens"]), strict=True
    ):
        assert back.tolist() == sequence.ids.tolist()


def test_what_is_shared_stands_in_each_row_that_needs_it():
    # Rows of 8: 3 shared and 2 x (1 + 1) are 7; the third answer needs 3 + 2 elsewhere.
    packed = pack(answers([1, 2, 3, 4], [5], [6], [7]), 8, num_shared=[3, 3, 3])
    assert packed.arrays["tokens"].tolist() == [
        [1, 2, 3, 4, 5, 4, 6, 0],
        [1, 2, 3, 4, 7, 0, 0, 0],
    ]


def test_a_row_with_the_beginning_comes_before_an_earlier_one_with_room():
    # Rows of 13. 9 x 8 opens row 0; 1 2 3 4 with 3 more ids does not fit there and opens
    # row 1. Its second answer needs 5 columns of row 0, but 2 of row 1.
    sequences = [*answers([9], [9] * 7), *answers([1, 2, 3, 4], [5, 6, 7], [8])]
    packed = pack(sequences, 13, num_shared=[0, 3, 3])
    assert packed.rows.tolist() == [0, 1, 1]
    assert packed.arrays["tokens"][1].tolist() == [
        *[1, 2, 3, 4, 5, 6, 7, 4, 8], 0, 0, 0, 0
    ]  # fmt: skip


def test_whatever_is_shared_each_sequence_sees_itself_and_nothing_else():
    rng = np.random.default_rng(0)
    for _ in range(50):
        prompts = [rng.integers(1, 99, rng.integers(1, 20)).tolist() for _ in range(4)]
        sequences = [
            one
            for prompt in prompts
            for one in answers(
                prompt, *(rng.integers(1, 99, n) for n in rng.integers(1, 13, 3))
            )
        ]
        shared = [int(np.argmax(s.loss_mask)) - 1 for s in sequences]
        packed = pack(sequences, 32, num_shared=shared)
        segments, prefixes = (
            packed.arrays[name] for name in ("segment_ids", "prefix_ids")
        )
        for sequence, row, columns in zip(
            sequences, packed.rows, packed.columns, strict=True
        ):
            last = columns[-1]
            sees = (segments[row] == segments[row, last]) | (
                segments[row] == prefixes[row, last]
            )
            assert packed.arrays["tokens"][row, sees].tolist() == sequence.ids.tolist()
            assert packed.arrays["positions"][row, sees].tolist() == list(
                range(len(sequence))
            )
        assert packed.arrays["loss_mask"].sum() == sum(
            s.loss_mask.sum() for s in sequences
        )
        assert len(segments) <= len(pack(sequences, 32).arrays["tokens"])


@pytest.mark.parametrize("num", [-1, 2, 3])
def test_targets_are_never_shared(num):
    """Prompt 1 2, answer 3: of its ids 0 or 1 may be shared; id 2 predicts the 3."""
    with pytest.raises(ValueError, match="none of them nor the next may be a target"):
        pack(answers([1, 2], [3]), 8, num_shared=[num])


def test_nothing_is_shared_where_that_would_take_more_rows():
    # Rows of 54, prompts of 8, 8, 8, 7, 7: apart 53 | 38 + 14 | 31 + 18. Group by group
    # the 53 comes first, then what begins like it, and four rows are needed.
    prompts = [[1] * 8, [1] * 8, [1] * 8, [2] * 7, [2] * 7]
    lengths = (53, 14, 18, 38, 31)
    sequences = [
        *(
            Rendered.from_ids(prompt, [9] * (n - len(prompt)))
            for prompt, n in zip(prompts, lengths, strict=True)
        )
    ]
    packed = pack(sequences, 54, num_shared=[7, 7, 7, 6, 6])
    assert len(packed.arrays["tokens"]) == 3
    assert (packed.arrays["prefix_ids"] == packed.arrays["segment_ids"]).all()


def test_what_is_shared_has_no_extras_and_nothing_shared_has_no_conditions():
    sequences = answers([1, 2, 3], [4], [5])
    with pytest.raises(
        ValueError, match="'advantages' of .* must be 0 at its 2 shared"
    ):
        pack(
            sequences,
            8,
            num_shared=[2, 2],
            extras={"advantages": [np.array([0.0, 1.0, 0.0, 1.0])] * 2},
        )
    without_prompt = [Rendered.from_ids([], [3, 4])] * 2
    assert pack(without_prompt, 8, num_shared=[0, 0]).fill_share == 0.5


def test_the_rows_are_filled_up_to_a_fixed_number():
    packed = pack(sequences_of(3), 4, num_rows=3)
    assert packed.arrays["tokens"].shape == (3, 4)
    assert packed.arrays["segment_ids"].sum(axis=1).tolist() == [3, 0, 0]
    assert packed.fill_share == 3 / 12


def test_no_sequences_make_no_rows():
    assert pack([], 4).arrays["tokens"].shape == (0, 4)
    assert pack([], 4).fill_share == 0.0


def test_too_long_sequences_are_named_and_never_cut():
    with pytest.raises(ValueError, match=r"1 to 4 tokens; 's1' \(number 1\) has 5"):
        pack(sequences_of(4, 5, 6), 4)
    with pytest.raises(ValueError, match=r"'empty' \(number 0\) has 0"):
        pack([Rendered.from_ids([], [], id="empty")], 4)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="need 2 rows of 4 tokens; num_rows is 1"):
        pack(sequences_of(3, 3), 4, num_rows=1)


def test_extras_of_another_length_or_name_are_refused():
    sequences = sequences_of(3)
    with pytest.raises(ValueError, match=r"of 's0' must have shape \(3,\)"):
        pack(sequences, 4, extras={"advantages": [np.zeros(2)]})
    with pytest.raises(ValueError, match="one vector a sequence, 1; got 0"):
        pack(sequences, 4, extras={"advantages": []})
    with pytest.raises(ValueError, match="must not be called 'tokens'"):
        pack(sequences, 4, extras={"tokens": [np.zeros(3)]})
