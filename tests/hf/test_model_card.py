"""What the README.md of an export claims."""

from simex.hf.families import family_of
from simex.hf.model_card import render_model_card


def card(config, **settings) -> str:
    return render_model_card(
        config,
        family_of(config, is_sentencepiece=True),
        title="tiny",
        about="",
        operative_config="",
        **settings,
    )


def test_a_model_that_simex_trained_from_nothing_has_its_licence(make_config):
    text = card(make_config(), is_from_nothing=True)
    assert "\nlicense: apache-2.0\ntags:\n" in text
    assert "It has\nseen nothing else" in text


def test_a_model_that_began_as_another_keeps_the_licence_of_that_one(make_config):
    text = card(make_config(), is_from_nothing=False)
    assert "\npipeline_tag: text-generation\ntags:\n" in text
    assert "apache" not in text.lower() and "nothing else" not in text
    assert "the licence of that one holds for it" in text
