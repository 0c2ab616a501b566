"""Small random models of every family, made by transformers and written to a folder."""

import json
import pathlib

WIDTH = 64
SMALL = {
    "vocab_size": 512,
    "hidden_size": WIDTH,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 1024,
    "initializer_range": 0.1,  # else logits are so small that nothing is compared
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def _rope(kind: str, **options) -> dict:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10_000.0, **options}}


# name: (class of transformers, settings over SMALL)
CASES: dict[str, tuple[str, dict]] = {
    "llama": ("Llama", {}),
    "llama tied, one kv head": (
        "Llama",
        {"tie_word_embeddings": True, "num_key_value_heads": 1},
    ),
    "llama with biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama3 rope": (
        "Llama",
        _rope(
            "llama3",
            factor=8.0,
            low_freq_factor=1.0,
            high_freq_factor=4.0,
            original_max_position_embeddings=128,
        ),
    ),
    "linear rope": ("Llama", _rope("linear", factor=4.0)),
    "dynamic rope": (
        "Llama",
        _rope("dynamic", factor=3.0) | {"max_position_embeddings": 256},
    ),
    "qwen2": ("Qwen2", {}),
    "qwen2 tied, yarn": (
        "Qwen2",
        {"tie_word_embeddings": True}
        | _rope("yarn", factor=2.0, original_max_position_embeddings=256),
    ),
    "qwen2 with windows": (
        "Qwen2",
        {"use_sliding_window": True, "sliding_window": 37, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", {"head_dim": 32}),
    "qwen3 with biases, yarn": (
        "Qwen3",
        {"attention_bias": True}
        | _rope(
            "yarn",
            factor=4.0,
            original_max_position_embeddings=128,
            attention_factor=0.9,
            beta_fast=16.0,
            truncate=False,
        ),
    ),
    "qwen3 moe": (
        "Qwen3Moe",
        {
            "num_experts": 8,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 48,
            "norm_topk_prob": True,
        },
    ),
    "qwen3 moe, one dense layer": (
        "Qwen3Moe",
        {
            "num_experts": 4,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 32,
            "mlp_only_layers": [0],
        },
    ),
    "cwm": ("Cwm", {"num_hidden_layers": 4, "sliding_window": 29}),
}


def make_torch_model(name: str, folder: pathlib.Path, **saving):
    """The model in float32, written to `folder` as transformers writes it."""
    import torch
    import transformers

    kind, changes = CASES[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**SMALL | changes)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with torch.no_grad():  # ones and zeros would hide mistakes
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder, **saving)
    return model


def read_config(folder: pathlib.Path) -> dict:
    """config.json."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))
