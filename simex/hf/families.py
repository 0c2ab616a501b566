"""The model classes of transformers that the decoder computes, and which is which."""

import dataclasses

from simex.core.errors import UserError
from simex.models.config import ModelConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A model class of transformers.

    `default_*` are what its config means when config.json does not say.
    """

    architecture: str
    model_type: str
    default_theta: float = 10_000.0
    default_kv_heads: int | None = None  # None: as many as query heads
    default_head_dim: int | None = None  # None: width / heads
    default_positions: int = 32_768
    default_norm_eps: float = 1e-6
    qk_norm: bool = False


LLAMA = Family(
    architecture="LlamaForCausalLM", model_type="llama", default_positions=2048
)
QWEN2 = Family(architecture="Qwen2ForCausalLM", model_type="qwen2", default_kv_heads=32)
QWEN3 = Family(
    architecture="Qwen3ForCausalLM",
    model_type="qwen3",
    default_kv_heads=32,
    default_head_dim=128,
    qk_norm=True,
)
QWEN3_MOE = Family(
    architecture="Qwen3MoeForCausalLM",
    model_type="qwen3_moe",
    default_kv_heads=4,
    qk_norm=True,
)
CWM = Family(
    architecture="CwmForCausalLM",
    model_type="cwm",
    default_theta=1_000_000.0,
    default_kv_heads=8,
    default_head_dim=128,
    default_positions=131_072,
    default_norm_eps=1e-5,
)

FAMILIES = {
    family.architecture: family for family in (LLAMA, QWEN2, QWEN3, QWEN3_MOE, CWM)
}


def family_of(config: ModelConfig, *, is_sentencepiece: bool = True) -> Family:
    """The class that computes what this model computes.

    Raises UserError where there is none, and for a Qwen2 with a sentencepiece tokenizer:
    transformers 5 reads such a tokenizer.json with a class of its own and gives other
    ids, without a warning.
    """
    family = _matching_family(config)
    if family is QWEN2 and is_sentencepiece:
        raise UserError(
            "A model with qkv_bias=True is a Qwen2, which cannot be exported with a "
            "sentencepiece tokenizer: transformers would give other ids. Train with "
            "qk_norm=True (Qwen3) or without both (Llama)."
        )
    return family


def _matching_family(config: ModelConfig) -> Family:
    has_windows = any(config.windows)
    biases = (config.qkv_bias, config.o_bias)
    if config.qk_norm and biases in ((False, False), (True, True)):
        family = QWEN3_MOE if config.experts else QWEN3
    elif config.qk_norm:
        raise UserError(
            "A model with qk_norm has attention biases on all of q, k, v and o, or none, "
            "in the classes of transformers; got both qk_norm and "
            f"qkv_bias={config.qkv_bias}, o_bias={config.o_bias}. Train with qkv_bias=False."
        )
    elif biases == (True, False):
        family = QWEN2
    elif has_windows:
        family = CWM
    else:
        family = LLAMA
    _check_family(config, family)
    return family


def _check_family(config: ModelConfig, family: Family) -> None:
    """Raises UserError for what the class cannot hold."""
    faults = []
    if config.experts and family is not QWEN3_MOE:
        faults.append("experts without qk_norm")
    if config.mlp_bias and family not in (LLAMA, CWM):
        faults.append("mlp_bias")
    if any((config.qkv_bias, config.o_bias)) and family is CWM:
        faults.append("attention biases with windows")
    if config.o_bias and not config.qkv_bias:
        faults.append("a bias on o only")
    if len({window for window in config.windows if window}) > 1:
        faults.append(f"windows of several widths, {config.windows}")
    if family is QWEN3_MOE and len(set(config.windows)) > 1:
        faults.append("windows on some of the layers only")
    scaling = config.rope_scaling
    original = scaling.original_max_positions
    if scaling.kind == "dynamic" and original != config.max_positions:
        faults.append(
            f"dynamic RoPE scaling that starts at {original} of {config.max_positions} "
            "positions (theirs starts at the last one)"
        )
    if faults:
        raise UserError(
            f"{family.architecture}, the class of transformers that is nearest to this "
            f"model, has no {' and no '.join(faults)}. Such a model cannot be exported."
        )
