"""From rewards alone: copying and one-line programs are learned, noise is not."""

import numpy as np
import pytest

from tests.rl.lessons import SUMS, WORDS, Copy, Shuffled, Sums, teach
from tests.rl.toy import make_toy, read_metrics, train

LESSONS = {
    "copy": (Copy(), {word: word for word in WORDS}, {"corpus": ("a b c d",)}),
    "sums": (Sums(), SUMS, {"corpus": (*SUMS, *"0123456"), "d_model": 64}),
}


def pass_rates(folder, lesson, *, seed, num_steps, is_shuffled=False):
    """Share of 128 rollouts that are right, by train step."""
    objective, answers, shape = LESSONS[lesson]
    toy = make_toy(folder, **shape)
    train(
        folder / "run",
        toy,
        num_steps=num_steps,
        objective=Shuffled(teacher=objective) if is_shuffled else objective,
        params=teach(toy, answers, seed=seed),
        seed=seed,
        learning_rate=0.002,
        max_new_tokens=4,
        rollouts_per_step=128,
        steps_between_saves=1000,
    )
    name = "shuffled" if is_shuffled else objective.name
    return [record[f"{name}/passed"] for record in read_metrics(folder / "run")]


@pytest.mark.long
def test_copying_is_learned_in_15_steps(tmp_path):
    rates = pass_rates(tmp_path, "copy", seed=0, num_steps=15)
    assert rates[0] < 0.5 and np.mean(rates[-3:]) > 0.75


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_is_learned_in_30_steps(tmp_path, lesson, seed):
    rates = pass_rates(tmp_path, lesson, seed=seed, num_steps=30)
    print(f"{lesson} seed {seed}: {rates[0]:.2f} -> {np.mean(rates[-5:]):.3f}")
    assert rates[0] < 0.6 and np.mean(rates[-5:]) > 0.85


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("lesson", LESSONS)
def test_with_shuffled_rewards_nothing_is_learned(tmp_path, lesson, seed):
    rates = pass_rates(tmp_path, lesson, seed=seed, num_steps=30, is_shuffled=True)
    print(
        f"{lesson} seed {seed}, shuffled: {rates[0]:.2f} -> {np.mean(rates[-5:]):.3f}"
    )
    # A reward is handed out as often as before, but to anybody.
    assert np.mean(rates[-5:]) < rates[0] + 0.15
