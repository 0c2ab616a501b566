"""Streams depend on seed and names alone."""

import subprocess
import sys

import jax
import numpy as np

from simex.core.prng import host_rng, key


def test_a_stream_is_the_same_in_another_process():
    code = "from simex.core.prng import host_rng; print(host_rng(3, 'a', 1).integers(9**9))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert int(other.stdout) == host_rng(3, "a", 1).integers(9**9)


def test_numbers_do_not_change_between_releases():
    # Drawn with numpy 2.4 when this was written; a change would change every data set.
    assert host_rng(0, "a", 1).integers(0, 100, 5).tolist() == [83, 54, 92, 95, 7]
    assert jax.random.key_data(key(0, "a")).tolist() == [3648530762, 3331588380]


def test_seeds_and_names_make_different_streams():
    streams = [(0, "a"), (1, "a"), (0, "b"), (0, "a", "b"), (0, "ab"), (0, 1), (0, "1")]
    draws = [host_rng(*stream).integers(9**9) for stream in streams]
    keys = [tuple(jax.random.key_data(key(*stream)).tolist()) for stream in streams]
    assert len(set(draws)) == len(set(keys)) == len(streams)


def test_a_key_draws():
    uniform = jax.random.uniform(key(0, "a"), (3,))
    assert uniform.shape == (3,)
    np.testing.assert_array_equal(uniform, jax.random.uniform(key(0, "a"), (3,)))
