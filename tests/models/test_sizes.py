"""The named models have the sizes that were published."""

import pytest

from simex.models.sizes import SIZES


@pytest.mark.parametrize("name", SIZES)
def test_a_named_model_has_its_published_number_of_params(name) -> None:
    size = SIZES[name]
    if size.published_params == 32e9:  # the paper on CWM only says 32B
        assert 31.5e9 < size.config.num_params < 33e9
    else:
        assert size.config.num_params == size.published_params


def test_a_mixture_of_experts_touches_few_of_its_params() -> None:
    size = SIZES["Qwen3-30B-A3B"]
    assert size.published_active == pytest.approx(
        size.config.num_active_params, rel=0.02
    )


@pytest.mark.parametrize("name", SIZES)
def test_a_token_costs_two_flops_a_param_and_its_attention(name) -> None:
    # 2 FLOPs for each matmul param; norms and biases are far below 1 %. The lookup of
    # an untied embedding costs nothing.
    config = SIZES[name].config
    matmul_params = config.num_active_params
    if not config.tie_embeddings:
        matmul_params -= config.vocab_size * config.d_model
    alone = SIZES[name].flops_per_token(0)
    assert alone == pytest.approx(2 * matmul_params, rel=0.01)
    # Scores and values of 1,000 positions: 2 x 2 x 1,000 x heads x width, each layer.
    width = config.num_query_heads * config.head_dim
    attention = SIZES[name].flops_per_token(1000) - alone
    assert attention == 4000 * width * config.num_layers
    assert SIZES[name].flops_per_token(1000, trains=True) == 3 * (alone + attention)


def test_a_window_bounds_the_cost_of_attention() -> None:
    # CWM at 100,000 positions: 16 layers see all, 48 see 8,192; 48 heads of 128.
    size = SIZES["CWM-32B"]
    attention = size.flops_per_token(100_000) - size.flops_per_token(0)
    assert attention == 4 * 48 * 128 * (16 * 100_000 + 48 * 8192)
