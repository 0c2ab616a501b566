"""Published models as configs: their sizes and what a token costs.

Each name is that of the base model on the Hugging Face hub (Qwen/Qwen2.5-7B, ...), whose
config.json gives the shape. `stored_params` is the number of stored values that the hub
counts in the safetensors files. `card` quotes the model card, in billions, rounded or
cut. Exceptions: of CWM the stored count is not known to us, its shape is that of
transformers' CwmConfig, which names facebook/cwm as its source, and its card is
MODEL_CARD.md of facebookresearch/cwm. The cards of Qwen2.5-14B and -32B stay up to 1 %
below what is stored. Tests hold `ModelConfig` to all of these.
"""

import dataclasses

from simex.models.config import ExpertsConfig, ModelConfig
from simex.models.rope import RopeScaling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """A named model."""

    config: ModelConfig
    stored_params: int | None  # None: not published
    card: str  # "7.61": billions of params
    card_non_embedding: str = ""  # without embedding and head; "": not on the card
    card_active: str = ""  # that one token touches, of experts

    def flops_per_token(self, num_positions: int, *, trains: bool = False) -> int:
        """Matmul FLOPs of a token that sees `num_positions`; a train step takes 3x."""
        forward = self.config.matmul_flops_per_token(num_positions)
        return 3 * forward if trains else forward


def _qwen2(
    width: int, layers: int, heads: int, kv_heads: int, d_ff: int, **changes: object
) -> ModelConfig:
    settings: dict = {
        "vocab_size": 151_936,
        "d_model": width,
        "num_layers": layers,
        "num_query_heads": heads,
        "num_kv_heads": kv_heads,
        "head_dim": width // heads,
        "d_ff": d_ff,
        "rope_theta": 1_000_000.0,
        "tie_embeddings": False,
        "qk_norm": False,
        "qkv_bias": True,
        "max_positions": 32_768,
    }
    return ModelConfig(**settings | changes)


def _qwen3(
    width: int, layers: int, heads: int, kv_heads: int, d_ff: int, **changes: object
) -> ModelConfig:
    own: dict = {"qk_norm": True, "qkv_bias": False, "head_dim": 128}
    longer = {"max_positions": 40_960}
    return _qwen2(width, layers, heads, kv_heads, d_ff, **own | longer | changes)


def _llama3(
    width: int, layers: int, heads: int, d_ff: int, **changes: object
) -> ModelConfig:
    own: dict = {
        "vocab_size": 128_256,
        "rope_theta": 500_000.0,
        "norm_eps": 1e-5,
        "qkv_bias": False,
        "max_positions": 131_072,
        "rope_scaling": RopeScaling(
            kind="llama3", factor=8.0, original_max_positions=8192
        ),
    }
    return _qwen2(width, layers, heads, 8, d_ff, **own | changes)


_TIED: dict = {"tie_embeddings": True}
_LLAMA32_ROPE = RopeScaling(kind="llama3", factor=32.0, original_max_positions=8192)
_CWM_ROPE = RopeScaling(kind="llama3", factor=16.0, original_max_positions=8192)

SIZES: dict[str, Size] = {
    "SmolLM2-135M": Size(
        config=_llama3(
            576,
            30,
            9,
            1536,
            vocab_size=49_152,
            num_kv_heads=3,
            rope_theta=100_000.0,
            rope_scaling=RopeScaling(),
            max_positions=8192,
            **_TIED,
        ),
        stored_params=134_515_008,
        card="0.135",
    ),
    "Qwen2.5-0.5B": Size(
        config=_qwen2(896, 24, 14, 2, 4864, **_TIED),
        stored_params=494_032_768,
        card="0.49",
        card_non_embedding="0.36",
    ),
    "Qwen2.5-1.5B": Size(
        config=_qwen2(1536, 28, 12, 2, 8960, **_TIED),
        stored_params=1_543_714_304,
        card="1.54",
        card_non_embedding="1.31",
    ),
    "Qwen2.5-3B": Size(
        config=_qwen2(2048, 36, 16, 2, 11_008, **_TIED),
        stored_params=3_085_938_688,
        card="3.09",
        card_non_embedding="2.77",
    ),
    "Qwen2.5-7B": Size(
        config=_qwen2(3584, 28, 28, 4, 18_944, vocab_size=152_064),
        stored_params=7_615_616_512,
        card="7.61",
        card_non_embedding="6.53",
    ),
    "Qwen2.5-14B": Size(
        config=_qwen2(5120, 48, 40, 8, 13_824, vocab_size=152_064, norm_eps=1e-5),
        stored_params=14_770_033_664,
        card="14.7",
        card_non_embedding="13.1",
    ),
    "Qwen2.5-32B": Size(
        config=_qwen2(5120, 64, 40, 8, 27_648, vocab_size=152_064, norm_eps=1e-5),
        stored_params=32_763_876_352,
        card="32.5",
        card_non_embedding="31.0",
    ),
    "Qwen3-0.6B": Size(
        config=_qwen3(1024, 28, 16, 8, 3072, **_TIED),
        stored_params=596_049_920,
        card="0.6",
        card_non_embedding="0.44",
    ),
    "Qwen3-1.7B": Size(
        config=_qwen3(2048, 28, 16, 8, 6144, **_TIED),
        stored_params=1_720_574_976,
        card="1.7",
        card_non_embedding="1.4",
    ),
    "Qwen3-4B": Size(
        config=_qwen3(2560, 36, 32, 8, 9728, **_TIED),
        stored_params=4_022_468_096,
        card="4.0",
        card_non_embedding="3.6",
    ),
    "Qwen3-8B": Size(
        config=_qwen3(4096, 36, 32, 8, 12_288),
        stored_params=8_190_735_360,
        card="8.2",
        card_non_embedding="6.95",
    ),
    "Qwen3-14B": Size(
        config=_qwen3(5120, 40, 40, 8, 17_408),
        stored_params=14_768_307_200,
        card="14.8",
        card_non_embedding="13.2",
    ),
    "Qwen3-32B": Size(
        config=_qwen3(5120, 64, 64, 8, 25_600),
        stored_params=32_762_123_264,
        card="32.8",
        card_non_embedding="31.2",
    ),
    "Qwen3-30B-A3B": Size(
        config=_qwen3(
            2048,
            48,
            32,
            4,
            6144,
            experts=ExpertsConfig(num_experts=128, num_per_token=8, d_ff=768),
        ),
        stored_params=30_532_122_624,
        card="30.5",
        card_non_embedding="29.9",
        card_active="3.3",
    ),
    "Llama-3.2-1B": Size(
        config=_llama3(2048, 16, 32, 8192, rope_scaling=_LLAMA32_ROPE, **_TIED),
        stored_params=1_235_814_400,
        card="1.23",
    ),
    "Llama-3.2-3B": Size(
        config=_llama3(3072, 28, 24, 8192, rope_scaling=_LLAMA32_ROPE, **_TIED),
        stored_params=3_212_749_824,
        card="3.21",
    ),
    "Llama-3.1-8B": Size(
        config=_llama3(4096, 32, 32, 14_336),
        stored_params=8_030_261_248,
        card="8",
    ),
    "CWM-32B": Size(
        config=_llama3(
            6144,
            64,
            48,
            21_504,
            rope_theta=1_000_000.0,
            rope_scaling=_CWM_ROPE,
            windows=tuple(8192 if layer % 4 else None for layer in range(64)),
        ),
        stored_params=None,
        card="32",
    ),
}
