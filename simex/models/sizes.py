"""Published models as configs: their sizes and what a token costs.

Shapes are those of the config.json files on the Hugging Face hub. `published_params` is
the count that their pages give or that follows from the stored tensors; a test holds
`ModelConfig.num_params` to it.
"""

import dataclasses

from simex.models.config import ExpertsConfig, ModelConfig
from simex.models.rope import RopeScaling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """A named model."""

    config: ModelConfig
    published_params: int | float  # all of them
    published_active: float | None = None  # that one token touches, of experts

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
        published_params=134_515_008,
    ),
    "Qwen2.5-0.5B": Size(
        config=_qwen2(896, 24, 14, 2, 4864, **_TIED), published_params=494_032_768
    ),
    "Qwen2.5-1.5B": Size(
        config=_qwen2(1536, 28, 12, 2, 8960, **_TIED), published_params=1_543_714_304
    ),
    "Qwen2.5-3B": Size(
        config=_qwen2(2048, 36, 16, 2, 11_008, **_TIED), published_params=3_085_938_688
    ),
    "Qwen2.5-7B": Size(
        config=_qwen2(3584, 28, 28, 4, 18_944, vocab_size=152_064),
        published_params=7_615_616_512,
    ),
    "Qwen2.5-14B": Size(
        config=_qwen2(5120, 48, 40, 8, 13_824, vocab_size=152_064, norm_eps=1e-5),
        published_params=14_770_033_664,
    ),
    "Qwen2.5-32B": Size(
        config=_qwen2(5120, 64, 40, 8, 27_648, vocab_size=152_064, norm_eps=1e-5),
        published_params=32_763_876_352,
    ),
    "Qwen3-0.6B": Size(
        config=_qwen3(1024, 28, 16, 8, 3072, **_TIED), published_params=596_049_920
    ),
    "Qwen3-1.7B": Size(
        config=_qwen3(2048, 28, 16, 8, 6144, **_TIED), published_params=1_720_574_976
    ),
    "Qwen3-4B": Size(
        config=_qwen3(2560, 36, 32, 8, 9728, **_TIED), published_params=4_022_468_096
    ),
    "Qwen3-8B": Size(
        config=_qwen3(4096, 36, 32, 8, 12_288), published_params=8_190_735_360
    ),
    "Qwen3-14B": Size(
        config=_qwen3(5120, 40, 40, 8, 17_408), published_params=14_768_307_200
    ),
    "Qwen3-32B": Size(
        config=_qwen3(5120, 64, 64, 8, 25_600), published_params=32_762_123_264
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
        published_params=30_532_122_624,
        published_active=3.3e9,
    ),
    "Llama-3.2-1B": Size(
        config=_llama3(2048, 16, 32, 8192, rope_scaling=_LLAMA32_ROPE, **_TIED),
        published_params=1_235_814_400,
    ),
    "Llama-3.2-3B": Size(
        config=_llama3(3072, 28, 24, 8192, rope_scaling=_LLAMA32_ROPE, **_TIED),
        published_params=3_212_749_824,
    ),
    "Llama-3.1-8B": Size(
        config=_llama3(4096, 32, 32, 14_336), published_params=8_030_261_248
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
        published_params=32e9,
    ),
}
