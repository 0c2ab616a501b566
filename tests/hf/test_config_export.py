"""The exported model classes."""

import pytest

from simex.core.errors import UserError
from simex.hf.config_export import generation_json, model_json
from simex.hf.families import family_of


@pytest.mark.parametrize(
    "changes,architecture",
    [({}, "Qwen3ForCausalLM"), ({"qk_norm": False}, "LlamaForCausalLM")],
)
def test_class_follows_from_the_shape(make_config, changes, architecture):
    assert family_of(make_config(**changes)).architecture == architecture


def test_qwen2_is_refused_with_sentencepiece_and_only_with_it(make_config):
    config = make_config(qk_norm=False, qkv_bias=True)
    with pytest.raises(UserError, match="other ids"):
        family_of(config)
    family = family_of(config, is_sentencepiece=False)
    assert family.architecture == "Qwen2ForCausalLM"


def test_a_shape_that_no_class_has_is_refused(make_config):
    with pytest.raises(UserError, match="got both"):
        family_of(make_config(qk_norm=True, qkv_bias=True))


def test_both_generations_of_loaders_find_theta_and_dtype(make_config):
    config = make_config()
    content = model_json(config, family_of(config), dtype="bfloat16")
    assert content["rope_theta"] == content["rope_parameters"]["rope_theta"] == 5000.0
    assert content["dtype"] == content["torch_dtype"] == "bfloat16"
    assert content["vocab_size"] == 480  # embedding rows, padding included


def test_stop_ids_are_a_list():
    assert generation_json()["eos_token_id"] == [4]
