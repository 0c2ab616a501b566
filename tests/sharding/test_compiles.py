"""Compilations are counted, and one that nobody expects is told with its shapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simex.sharding.compiles import (
    RecompileWarning,
    compile_secs,
    num_compiles,
    watch_compiles,
)


def _double():
    return jax.jit(lambda batch: 2 * batch["tokens"])


def _tokens(*shape: int) -> dict[str, np.ndarray]:
    return {"tokens": np.zeros(shape, np.float32)}


def test_the_first_call_compiles_and_the_second_does_not() -> None:
    double = watch_compiles(_double(), "doubling", max_shapes=1)
    before, secs = num_compiles(), compile_secs()
    for _ in range(3):
        double(_tokens(2, 5))
    assert num_compiles() == before + 1
    assert compile_secs() >= secs


def test_one_shape_too_many_is_told_with_what_differs() -> None:
    double = watch_compiles(_double(), "doubling", max_shapes=1)
    double(_tokens(2, 5))
    with pytest.warns(RecompileWarning) as told:
        double(_tokens(2, 6))
    (warning,) = told
    assert "The doubling" in str(warning.message)
    assert "compiled for the 2nd time" in str(warning.message)
    assert "float32[2, 6]" in str(warning.message)
    assert "float32[2, 5]" in str(warning.message)


def test_any_number_of_shapes_may_be_expected() -> None:
    double = watch_compiles(_double(), "doubling")
    for size in range(1, 5):
        double(_tokens(size))


def test_the_same_shapes_on_other_devices_are_told() -> None:
    double = watch_compiles(_double(), "doubling")
    for device in jax.devices()[:1]:
        double({"tokens": jax.device_put(jnp.ones(3), device)})
    with pytest.warns(RecompileWarning, match="placement on devices"):
        double({"tokens": jax.device_put(jnp.ones(3), jax.devices()[1])})
