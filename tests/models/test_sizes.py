"""The named models have the sizes that were published."""

import pytest

from simex.models.sizes import SIZES

# Their cards say 13.1 of 13.21, 32.5 and 31.0 of 32.76 and 31.21, and 32 of 32.58.
ROUNDED_LOOSELY = {"Qwen2.5-14B": 0.01, "Qwen2.5-32B": 0.01, "CWM-32B": 0.02}


@pytest.mark.parametrize("name", sorted(set(SIZES) - {"CWM-32B"}))
def test_a_named_model_has_as_many_params_as_are_stored(name) -> None:
    size = SIZES[name]
    assert size.config.num_params == size.stored_params


def matches(number: int, card: str, name: str) -> bool:
    """Whether `number`, rounded or cut, is what a card says in billions."""
    last_place = 10 ** -len(card.partition(".")[2])
    allowed = max(last_place, ROUNDED_LOOSELY.get(name, 0) * float(card))
    return abs(number / 1e9 - float(card)) <= allowed


@pytest.mark.parametrize("name", SIZES)
def test_the_counts_are_those_of_the_model_card(name) -> None:
    size = SIZES[name]
    config = size.config
    assert matches(config.num_params, size.card, name)
    if name.startswith("Qwen"):  # the other cards do not say
        assert matches(config.num_non_embedding_params, size.card_non_embedding, name)
    if config.experts:
        assert matches(config.num_active_params, size.card_active, name)


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
