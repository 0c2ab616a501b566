"""config.json of a checkpoint, versions 4 and 5 of transformers, as a ModelConfig."""

from collections.abc import Mapping
from typing import Any

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.hf.families import CWM, FAMILIES, LLAMA, QWEN2, QWEN3_MOE, Family
from simex.models.config import ExpertsConfig, ModelConfig
from simex.models.rope import KINDS, RopeScaling

_CWM_ROPE = {  # what CwmConfig means when it is silent
    "rope_type": "llama3",
    "rope_theta": 1_000_000.0,
    "factor": 16.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def parse_model_json(content: Mapping[str, Any]) -> ModelConfig:
    """The model that config.json describes.

    Raises UserError, with names and numbers, for an unknown architecture, RoPE type or
    activation, for quantised weights, and for keys that are missing.
    """
    family = parse_family(content)
    _refuse_what_is_not_computed(content, family)
    width, heads = (
        _number(content, "hidden_size"),
        _number(content, "num_attention_heads"),
    )
    head_dim = content.get("head_dim") or family.default_head_dim or width // heads
    layers = _number(content, "num_hidden_layers")
    kv_heads = content.get("num_key_value_heads") or family.default_kv_heads or heads
    positions = content.get("max_position_embeddings", family.default_positions)
    theta, scaling = _parse_rope(content, family, positions)
    has_bias = bool(content.get("attention_bias", False)) and family is not CWM
    return ModelConfig(
        vocab_size=_number(content, "vocab_size"),
        d_model=width,
        num_layers=layers,
        num_query_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=head_dim,
        d_ff=_number(content, "intermediate_size"),
        rope_theta=theta,
        rope_scaling=scaling,
        norm_eps=float(content.get("rms_norm_eps", family.default_norm_eps)),
        tie_embeddings=bool(content.get("tie_word_embeddings", False)),
        qk_norm=family.qk_norm,
        qkv_bias=family is QWEN2 or has_bias,
        o_bias=has_bias and family is not QWEN2,
        mlp_bias=bool(content.get("mlp_bias", False)) and family in (LLAMA, CWM),
        max_positions=positions,
        windows=_parse_windows(content, family, layers),
        experts=_parse_experts(content, layers) if family is QWEN3_MOE else None,
    )


def parse_family(content: Mapping[str, Any]) -> Family:
    """The family of config.json's `architectures`. Raises UserError if unknown."""
    names = content.get("architectures") or [""]
    if len(names) != 1 or names[0] not in FAMILIES:
        raise UserError(
            "config.json must name one architecture that simex computes, one of "
            f"{', '.join(FAMILIES)}; got {', '.join(names) or 'none'}."
        )
    return FAMILIES[names[0]]


def _number(content: Mapping[str, Any], key: str) -> int:
    value = content.get(key)
    if not isinstance(value, int):
        raise UserError(f"config.json must have a whole number {key!r}; got {value!r}.")
    return value


def _refuse_what_is_not_computed(content: Mapping[str, Any], family: Family) -> None:
    wanted = {"hidden_act": "silu", "quantization_config": None}
    for key, value in wanted.items():
        if content.get(key, value) != value:
            raise UserError(
                f"simex computes {key}={value} only; config.json of this "
                f"{family.architecture} has {content[key]!r}."
            )


def _parse_rope(
    content: Mapping[str, Any], family: Family, positions: int
) -> tuple[float, RopeScaling]:
    # Version 5 has rope_parameters; before, rope_theta and rope_scaling stood apart.
    new, old = content.get("rope_parameters"), content.get("rope_scaling")
    if new and old and _scaling_of(new) != _scaling_of(old):
        raise UserError(
            "config.json must scale RoPE in one way; it has both rope_parameters "
            f"{new} and rope_scaling {old}. Take one of them out."
        )
    found = dict(new or old or {})
    if family is CWM and not found:
        found = dict(_CWM_ROPE)
    theta = found.get("rope_theta", content.get("rope_theta", family.default_theta))
    kind = found.get("rope_type", found.get("type", "default"))
    if kind not in KINDS:
        raise unknown_name("RoPE type", str(kind), KINDS)
    if found.get("partial_rotary_factor", content.get("partial_rotary_factor", 1)) != 1:
        raise UserError(
            "simex turns whole heads; config.json has a partial_rotary_factor."
        )
    original = found.get("original_max_position_embeddings", positions)
    options = {
        key: found[key]
        for key in (
            "low_freq_factor",
            "high_freq_factor",
            "beta_fast",
            "beta_slow",
            "attention_factor",
            "truncate",
        )
        if found.get(key) is not None
    }
    if found.get("mscale") and found.get("mscale_all_dim"):
        raise UserError(
            "simex knows YaRN's attention_factor, not mscale and mscale_all_dim; "
            f"config.json has {found['mscale']} and {found['mscale_all_dim']}."
        )
    if kind == "default":
        return float(theta), RopeScaling()
    factor = found.get("factor") or positions / original
    # The dynamic scaling of transformers starts where the context ends.
    contexts = {"linear": None, "dynamic": positions}
    return float(theta), RopeScaling(
        kind=kind,
        factor=float(factor),
        original_max_positions=contexts.get(kind, original),
        **options,
    )


def _scaling_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """All but theta, which only one of two forms holds."""
    kind = found.get("rope_type", found.get("type", "default"))
    passed_over = ("rope_type", "type", "rope_theta")
    rest = {k: v for k, v in found.items() if k not in passed_over and v is not None}
    return rest | {"rope_type": kind}


def _parse_windows(
    content: Mapping[str, Any], family: Family, num_layers: int
) -> tuple[int | None, ...]:
    if family is LLAMA:
        return ()
    default = 8192 if family is CWM else 4096
    width = content.get("sliding_window", default)
    is_on = family is CWM or content.get("use_sliding_window", False)
    if not width or not is_on:
        return ()
    if family is QWEN3_MOE:
        return (width,) * num_layers
    types = content.get("layer_types")
    if types is None and family is CWM:
        types = [
            "sliding_attention" if i % 4 else "full_attention"
            for i in range(num_layers)
        ]
    elif types is None:
        first = content.get("max_window_layers", 28)
        types = [
            "sliding_attention" if i >= first else "full_attention"
            for i in range(num_layers)
        ]
    if len(types) != num_layers:
        raise UserError(
            f"config.json must have a layer type for each of {num_layers} layers; got "
            f"{len(types)}."
        )
    known = ("full_attention", "sliding_attention")
    for name in types:
        if name not in known:
            raise unknown_name("layer type", name, known)
    windows = tuple(width if name == known[1] else None for name in types)
    return windows if any(windows) else ()


def _parse_experts(content: Mapping[str, Any], num_layers: int) -> ExpertsConfig:
    # `num_local_experts` is what version 5 may call it.
    key = "num_experts" if "num_experts" in content else "num_local_experts"
    step = content.get("decoder_sparse_step", 1)
    dense = set(content.get("mlp_only_layers") or ())
    dense |= {i for i in range(num_layers) if (i + 1) % step}
    return ExpertsConfig(
        num_experts=_number(content, key),
        num_per_token=_number(content, "num_experts_per_tok"),
        d_ff=_number(content, "moe_intermediate_size"),
        normalises=bool(content.get("norm_topk_prob", False)),
        dense_layers=tuple(sorted(dense)),
    )
