"""Names and layout of the exported tensors."""

import ml_dtypes
import numpy as np
import pytest

from simex.core.errors import UserError
from simex.hf.names import places, to_tensors

FLOAT32 = np.dtype(np.float32)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_embeddings": False},
        {"qk_norm": False},
        {"qk_norm": False, "qkv_bias": True},
    ],
)
def test_every_param_has_one_place_and_its_shape(make_config, make_params, changes):
    config = make_config(**changes)
    tensors = to_tensors(make_params(config), config, dtype=FLOAT32)
    assert len(tensors) == len(list(places(config)))
    assert sum(t.size for t in tensors.values()) == config.num_params


def test_kernels_are_transposed_and_nothing_else(make_config, make_params):
    config = make_config()
    params = make_params(config)
    tensors = to_tensors(params, config, dtype=FLOAT32)
    query = params["layer_1"]["attention"]["q"]["kernel"]  # [D, N*H] = [32, 64]
    np.testing.assert_array_equal(
        tensors["model.layers.1.self_attn.q_proj.weight"], query.T
    )
    np.testing.assert_array_equal(
        tensors["model.embed_tokens.weight"], params["embedder"]["embedding"]
    )


def test_tensors_are_contiguous_since_safetensors_ignores_strides(
    make_config, make_params
):
    config = make_config()
    tensors = to_tensors(make_params(config), config, dtype=FLOAT32)
    assert all(t.flags.c_contiguous for t in tensors.values())


def test_tied_embeddings_have_no_head_and_untied_ones_do(make_config):
    tied = {p.name for p in places(make_config())}
    untied = {p.name for p in places(make_config(tie_embeddings=False))}
    assert untied - tied == {"lm_head.weight"}


def test_bfloat16_tensors_round_the_params(make_config, make_params):
    config = make_config()
    params = make_params(config)
    dtype = np.dtype(ml_dtypes.bfloat16)
    norm = to_tensors(params, config, dtype=dtype)["model.norm.weight"]
    assert norm.dtype == dtype
    np.testing.assert_allclose(
        norm.astype(np.float32), params["final_norm"]["scale"], rtol=2**-8
    )


def test_missing_extra_and_misshapen_params_are_all_named(make_config, make_params):
    config = make_config()
    params = make_params(config)
    del params["final_norm"]
    params["adapter"] = {"kernel": np.zeros(3)}
    params["layer_0"]["attention"]["k"]["kernel"] = np.zeros((32, 16))
    with pytest.raises(UserError) as raised:
        to_tensors(params, config, dtype=FLOAT32)
    message = str(raised.value)
    assert "no final_norm/scale" in message
    assert "adapter/kernel" in message
    assert "layer_0/attention/k/kernel of shape (32, 16), not (32, 32)" in message
