"""A model's shape as the config files of transformers, versions 4 and 5, and of vLLM."""

from collections.abc import Mapping, Sequence
from typing import Any

from simex.hf.families import CWM, LLAMA, QWEN3, QWEN3_MOE, Family
from simex.models.config import ModelConfig
from simex.models.rope import RopeScaling
from simex.tokens.tokenizer import END_ID, PAD_ID

# Defaults of generation, where an imported model brings none of its own.
SAMPLING: Mapping[str, Any] = {"do_sample": True, "temperature": 1.0, "top_p": 0.95}


def model_json(
    config: ModelConfig,
    family: Family,
    *,
    dtype: str,
    end_id: int = END_ID,
    pad_id: int | None = PAD_ID,
    bos_id: int | None = None,
) -> dict[str, Any]:
    """The content of config.json; `dtype` is that of the stored tensors."""
    rope = rope_json(config.rope_theta, config.rope_scaling)
    content = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_query_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        # Version 5 reads the second; version 4 and vLLM the first.
        "rope_theta": config.rope_theta,
        "rope_parameters": rope,
        "tie_word_embeddings": config.tie_embeddings,
        "attention_dropout": 0.0,
        "use_cache": True,
        "bos_token_id": bos_id,
        "eos_token_id": end_id,
        "pad_token_id": pad_id,
        "dtype": dtype,
        "torch_dtype": dtype,
    }
    if config.rope_scaling.kind != "default":
        # Version 4 and vLLM look here, without the base.
        content["rope_scaling"] = {k: v for k, v in rope.items() if k != "rope_theta"}
    if family is CWM and bos_id is None:
        del content["bos_token_id"]  # its class wants a number or its own default
    return content | _family_json(config, family)


def _family_json(config: ModelConfig, family: Family) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if family in (LLAMA, QWEN3, QWEN3_MOE):
        content["attention_bias"] = config.o_bias
    if family in (LLAMA, CWM):
        content["mlp_bias"] = config.mlp_bias
    if family is CWM:
        content |= _layer_types(config)
    elif family is not LLAMA:
        content["use_sliding_window"] = any(config.windows)
        content |= _layer_types(config) if any(config.windows) else {}
    if family is QWEN3_MOE and config.experts:
        experts = config.experts
        content.pop("layer_types", None)  # there all layers have the window, or none
        content |= {
            "num_experts": experts.num_experts,
            "num_experts_per_tok": experts.num_per_token,
            "moe_intermediate_size": experts.d_ff,
            "norm_topk_prob": experts.normalises,
            "decoder_sparse_step": 1,
            "mlp_only_layers": list(experts.dense_layers),
            "output_router_logits": False,
        }
    return content


def rope_json(theta: float, scaling: RopeScaling) -> dict[str, Any]:
    """`rope_parameters` of version 5."""
    content: dict[str, Any] = {"rope_type": scaling.kind, "rope_theta": theta}
    if scaling.kind == "default":
        return content
    content["factor"] = scaling.factor
    if scaling.kind in ("yarn", "llama3"):
        content["original_max_position_embeddings"] = scaling.original_max_positions
    if scaling.kind == "llama3":
        content["low_freq_factor"] = scaling.low_freq_factor
        content["high_freq_factor"] = scaling.high_freq_factor
    if scaling.kind == "yarn":
        content["beta_fast"] = scaling.beta_fast
        content["beta_slow"] = scaling.beta_slow
        content["attention_factor"] = scaling.amplitude
        content["truncate"] = scaling.truncate
    return content


def generation_json(
    *,
    sampling: Mapping[str, Any] = SAMPLING,
    stop_ids: Sequence[int] = (END_ID,),
    pad_id: int | None = PAD_ID,
    bos_id: int | None = None,
) -> dict[str, Any]:
    """The content of generation_config.json, with all stop ids as a list."""
    ids = {"eos_token_id": list(stop_ids), "pad_token_id": pad_id}
    if bos_id is not None:
        ids["bos_token_id"] = bos_id
    return {**sampling, **ids}


def _layer_types(config: ModelConfig) -> dict[str, Any]:
    width = next(filter(None, config.windows), None)
    windows = config.windows or (None,) * config.num_layers
    names = ["sliding_attention" if w else "full_attention" for w in windows]
    # Qwen2 and Qwen3 of version 4 know only "sliding from this layer on".
    first = next((i for i, w in enumerate(windows) if w), config.num_layers)
    return {
        "sliding_window": width,
        "layer_types": names,
        "max_window_layers": first,
    }
