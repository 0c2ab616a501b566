"""The tables of the attention kernel are those that its own masks give."""

import jax
import numpy as np
import pytest
from jax.experimental.pallas.ops.tpu.splash_attention import (
    splash_attention_mask as masks,
)

from simex.models import splash


@pytest.mark.parametrize("window", [None, 1000, 1024])
def test_blocks_that_are_whole_are_told_without_computing_them(window, monkeypatch):
    def tables():
        splash._make_kernel.cache_clear()
        with jax.ensure_compile_time_eval():
            kernel = splash._make_kernel(2, 4096, window, 2)
        infos = (kernel.fwd_mask_info, kernel.dq_mask_info, kernel.dkv_mask_info)
        return jax.tree.leaves(infos)

    found = tables()
    monkeypatch.setattr(splash, "_CausalMask", masks.CausalMask)
    monkeypatch.setattr(splash, "_LocalMask", masks.LocalMask)
    expected = tables()
    splash._make_kernel.cache_clear()
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)
