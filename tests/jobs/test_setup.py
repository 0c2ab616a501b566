"""The decoder that fits a tokenizer."""

from simex.jobs.setup import DecoderShape


def test_rows_of_the_embedding_are_padded_and_the_model_knows_how_many_are_ids():
    shape = DecoderShape(
        d_model=16,
        num_layers=1,
        num_query_heads=2,
        num_kv_heads=1,
        head_dim=8,
        d_ff=24,
        max_positions=32,
    )
    config = shape.fit(371)
    assert (config.vocab_size, config.num_ids) == (384, 371)  # 6 x 64 rows
    config = shape.fit(384)
    assert (config.vocab_size, config.num_ids) == (384, 384)
