"""A model's shape as the config files of transformers, versions 4 and 5, and of vLLM."""

import dataclasses
from typing import Any

from simex.core.errors import UserError
from simex.models.config import ModelConfig
from simex.tokens.tokenizer import END_ID, PAD_ID


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A model class of transformers."""

    architecture: str
    model_type: str


LLAMA = Family(architecture="LlamaForCausalLM", model_type="llama")
QWEN2 = Family(architecture="Qwen2ForCausalLM", model_type="qwen2")
QWEN3 = Family(architecture="Qwen3ForCausalLM", model_type="qwen3")

_FAMILIES = {  # by (qk_norm, qkv_bias)
    (False, False): LLAMA,
    (False, True): QWEN2,
    (True, False): QWEN3,
}


def family_of(config: ModelConfig, *, is_sentencepiece: bool = True) -> Family:
    """The class that computes what this model computes.

    Raises UserError where there is none, and for a Qwen2 with a sentencepiece tokenizer:
    transformers 5 reads such a tokenizer.json with a class of its own and gives other
    ids, without a warning.
    """
    family = _FAMILIES.get((config.qk_norm, config.qkv_bias))
    if family is None:
        raise UserError(
            "An exported model has qk_norm or qkv_bias or neither; got both, which no "
            "model class of transformers has. Train with qkv_bias=False."
        )
    if family is QWEN2 and is_sentencepiece:
        raise UserError(
            "A model with qkv_bias=True is a Qwen2, which cannot be exported with a "
            "sentencepiece tokenizer: transformers would give other ids. Train with "
            "qk_norm=True (Qwen3) or without both (Llama)."
        )
    return family


def model_json(config: ModelConfig, family: Family, *, dtype: str) -> dict[str, Any]:
    """The content of config.json; `dtype` is that of the stored tensors."""
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
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
        "bos_token_id": None,
        "eos_token_id": END_ID,
        "pad_token_id": PAD_ID,
        "dtype": dtype,
        "torch_dtype": dtype,
    }
    if family is not QWEN2:
        content["attention_bias"] = False
    if family is LLAMA:
        content["mlp_bias"] = False
    return content


def generation_json(*, temperature: float, top_p: float) -> dict[str, Any]:
    """The content of generation_config.json, with all stop ids as a list."""
    return {
        "do_sample": True,
        "temperature": temperature,
        "top_p": top_p,
        "eos_token_id": [END_ID],
        "pad_token_id": PAD_ID,
    }
