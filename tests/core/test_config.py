"""What experiment files mean."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal

import pytest

from simex.core import bindings
from simex.core.config import load_experiment
from simex.core.errors import UserError
from simex.core.setting_values import fit_value
from tests.core.conftest import Barn

FARM = """
run.stages = [@count_sheep, @build]
count_sheep.num_sheep = 3
"""


def test_stages_have_the_settings_of_the_file(write_gin):
    experiment = load_experiment(write_gin(FARM))
    assert experiment.name == "farm"
    assert [s.name for s in experiment.stages] == ["count_sheep", "build"]
    assert experiment.stages[0].arguments == {"num_sheep": 3}
    assert experiment.stages[0].settings == {"num_sheep": "3", "breed": "'merino'"}


def test_defaults_inside_a_default_are_settings_too(write_gin):
    experiment = load_experiment(write_gin(FARM))
    assert experiment.stages[1].settings == {
        "barn": "Barn",
        "barn.width": "4",
        "barn.doors": "('front',)",
        "speed": "1.0",
    }


def test_a_scope_wins_over_no_scope_and_reaches_what_is_inside(write_gin):
    experiment = load_experiment(
        write_gin("""
            run.stages = [@small/build, @large/build]
            build.barn = @Barn()
            Barn.width = 2
            large/Barn.width = 9
        """)
    )
    small, large = experiment.stages
    assert small.arguments == {"barn": Barn(width=2)}
    assert large.arguments == {"barn": Barn(width=9)}
    assert large.name == "large/build"


def test_a_macro_means_what_it_stands_for(write_gin):
    experiment = load_experiment(
        write_gin("""
            run.stages = [@large/build]
            build.barn = %barn
            barn = @Barn()
            large/Barn.width = %width
            width = 9
        """)
    )
    assert experiment.stages[0].arguments == {"barn": Barn(width=9)}


def test_values_take_the_form_that_the_annotation_asks_for(write_gin):
    experiment = load_experiment(
        write_gin("""
            run.stages = [@build]
            run.cpu_devices = 2
            build.speed = 2
            build.barn = @Barn()
            Barn.doors = ["front", "back"]
        """)
    )
    arguments = experiment.stages[0].arguments
    assert experiment.cpu_devices == 2
    assert arguments["barn"] == Barn(doors=("front", "back"))
    assert isinstance(arguments["speed"], float)


def test_a_set_wins_over_the_file_and_over_the_macro(write_gin):
    path = write_gin(FARM + "count_sheep.breed = %breed\nbreed = 'texel'\n")
    experiment = load_experiment(path, ["count_sheep.num_sheep=5", "breed='shetland'"])
    assert experiment.stages[0].arguments == {"num_sheep": 5, "breed": "shetland"}


def test_a_later_line_wins_over_an_include_beside_the_file(write_gin):
    write_gin(FARM, "base.gin")
    path = write_gin("include 'base.gin'\ncount_sheep.num_sheep = 7\n")
    experiment = load_experiment(path)
    assert experiment.stages[0].arguments == {"num_sheep": 7}


def test_includes_and_experiments_are_found_in_the_experiments_folder(
    write_gin, tmp_path, monkeypatch
):
    monkeypatch.setattr(bindings, "EXPERIMENTS", tmp_path / "shelf")
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "base.gin").write_text(FARM)
    (tmp_path / "shelf" / "other.gin").write_text("include 'base.gin'\n")
    assert load_experiment("other.gin").name == "other"
    assert load_experiment(write_gin("include 'base.gin'\n")).name == "farm"


def test_the_saved_config_gives_the_same_stages_again(write_gin):
    experiment = load_experiment(
        write_gin("""
            include 'base.gin'
            run.stages = [@count_sheep, @small/build, @large/build]
            build.barn = %barn
            barn = @Barn()
            large/Barn.width = 9
            small/Barn.doors = ["a"]
        """)
        if write_gin(FARM, "base.gin")
        else ""
    )
    again = load_experiment(write_gin(experiment.config_text, "again.gin"))
    assert [s.settings for s in again.stages] == [s.settings for s in experiment.stages]
    assert again.config_text.splitlines()[1:] == experiment.config_text.splitlines()[1:]
    assert "large/Barn.width = 9\n" in experiment.config_text
    assert "count_sheep.breed = 'merino'\n" in experiment.config_text


def test_changed_settings_name_their_line_and_their_default(write_gin):
    experiment = load_experiment(
        write_gin(FARM + "count_sheep.breed = 'merino'\nbuild.speed = 2.5\n")
    )
    changed = {s.key: (s.text, s.default, s.where) for s in experiment.changed_settings}
    del changed["run.stages"]
    assert changed == {
        "count_sheep.num_sheep": ("3", None, "farm.gin:3"),
        "build.speed": ("2.5", "1.0", "farm.gin:5"),
    }


KNOWN = "Known: Barn, build, count_sheep, run."

ERRORS = {
    "a misspelt configurable": (
        "cuont_sheep.num_sheep = 3",
        (
            "farm.gin:4: There is no configurable 'cuont_sheep'. Did you mean "
            f"'count_sheep'? {KNOWN}"
        ),
    ),
    "a misspelt reference": (
        "build.barn = @Bran()",
        f"farm.gin:4: There is no configurable 'Bran'. Did you mean 'Barn'? {KNOWN}",
    ),
    "a misspelt parameter": (
        "count_sheep.num_shep = 3",
        (
            "farm.gin:4: There is no parameter of count_sheep 'num_shep'. Did you mean "
            "'num_sheep'? Known: breed, num_sheep."
        ),
    ),
    "a misspelt macro": (
        "speed = 2.0\nbuild.speed = %sped",
        "farm.gin:5: There is no macro 'sped'. Did you mean 'speed'? Known: speed.",
    ),
    "a macro that nobody reads": (
        "seed = 2",
        (
            "farm.gin:4: seed is set, but no stage of run.stages reads it.\n"
            "Take it out, or refer to it from a stage."
        ),
    ),
    "a constructor that nobody refers to": (
        "Barn.width = 3",
        (
            "farm.gin:4: Barn.width is set, but no stage of run.stages reads it.\n"
            "Take it out, or refer to it from a stage."
        ),
    ),
    "a misspelt scope": (
        "run.stages = [@count_sheep, @large/build]\nlarje/build.speed = 3.0",
        (
            "farm.gin:5: larje/build.speed is set, but no stage of run.stages reads it. "
            "Did you mean large/build.speed?\n"
            "Take it out, or refer to it from a stage."
        ),
    ),
    "a value of the wrong type": (
        "count_sheep.num_sheep = 'many'",
        "farm.gin:4: count_sheep.num_sheep must be int; got 'many' (str).",
    ),
    "a truth value for a number": (
        "count_sheep.num_sheep = True",
        "farm.gin:4: count_sheep.num_sheep must be int; got True (bool).",
    ),
    "a truth value for a number or nothing": (
        "run.cpu_devices = True",
        "farm.gin:4: run.cpu_devices must be int | None; got True (bool).",
    ),
    "a member of the wrong type": (
        "build.barn = @Barn()\nBarn.doors = ['front', 3]",
        "farm.gin:5: Barn.doors must be tuple[str, ...]; got ['front', 3] (list).",
    ),
    "a wrong value from a macro": (
        "build.speed = %speed\nspeed = 'fast'",
        (
            "farm.gin:4, %speed from farm.gin:5: build.speed must be float; "
            "got 'fast' (str)."
        ),
    ),
    "a value that the constructor refuses": (
        "build.barn = @Barn()\nBarn.width = 0",
        (
            "farm.gin:4: Barn(width=0) is not possible: "
            "Barn.width must be at least 1; got 0."
        ),
    ),
    "a setting that the command line gives": (
        "build.workdir = '/tmp'",
        (
            "farm.gin:4: build.workdir cannot be set; the command line gives it "
            "(--workdir)."
        ),
    ),
    "a stage listed twice": (
        "run.stages = [@build, @build]",
        (
            "farm.gin: run.stages lists build twice; give one of them a scope, such as "
            "@again/build."
        ),
    ),
    "twice a job without a folder of its own": (
        "run.stages = [@count_sheep, @count_sheep]",
        (
            "farm.gin: count_sheep must stand in run.stages once, without a scope, since "
            "it always writes the folder count_sheep; got count_sheep. Run the other one "
            "in a workdir of its own."
        ),
    ),
    "a scope of a job without a folder of its own": (
        "run.stages = [@count_sheep, @again/count_sheep]",
        (
            "farm.gin: count_sheep must stand in run.stages once, without a scope, since "
            "it always writes the folder count_sheep; got again/count_sheep. Run the other "
            "one in a workdir of its own."
        ),
    ),
    "a scope that is a stage": (
        "run.stages = [@count_sheep, @build, @count_sheep/build]",
        (
            "farm.gin: the scope of count_sheep/build must not be the name of a stage; "
            "count_sheep is one. Choose another scope."
        ),
    ),
    "no stages": (
        "run.stages = []",
        "farm.gin: run.stages must list at least one job.",
    ),
    "no devices": (
        "run.cpu_devices = 0",
        "farm.gin: run.cpu_devices must be at least 1; got 0.",
    ),
    "an import": (
        "import os",
        (
            "farm.gin:4: experiment files cannot import Python; got 'import os'. What they "
            "may name is listed in simex/jobs/wiring.py."
        ),
    ),
    "a missing include": (
        "include 'base.gin'",
        (
            "farm.gin:4: There is no experiment file 'base.gin'; looked for base.gin and "
            "SHELF/base.gin. Files in experiments/: none."
        ),
    ),
    "a file that includes itself": (
        "include 'farm.gin'",
        "farm.gin includes itself; take one of the includes away.",
    ),
    "a macro that stands for itself": (
        "build.speed = %a\na = %b\nb = %a",
        "farm.gin:5: the macro %a stands for itself.",
    ),
    "text without quotes": (
        "count_sheep.breed = texel",
        (
            "farm.gin:4: 'texel' is not a value in 'count_sheep.breed = texel': text needs "
            "quotes."
        ),
    ),
    "a line that is no binding": (
        "count_sheep.breed",
        (
            "farm.gin:4: cannot read 'count_sheep.breed': Couldn't parse statement, "
            "expected ':' or '='."
        ),
    ),
    "an open bracket": (
        "build.barn = [1,",
        "farm.gin: a bracket or quote after line 3 is not closed.",
    ),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_names_the_line_and_what_to_do(kind, write_gin, monkeypatch):
    monkeypatch.setattr(bindings, "EXPERIMENTS", pathlib.Path("SHELF"))
    line, message = ERRORS[kind]
    with pytest.raises(UserError) as caught:
        load_experiment(write_gin(FARM + line + "\n"))
    assert str(caught.value) == message


def test_a_job_that_lacks_a_value_says_which(write_gin):
    with pytest.raises(UserError) as caught:
        load_experiment(write_gin("run.stages = [@few/count_sheep]\n"))
    assert str(caught.value) == (
        "farm.gin: few/count_sheep needs a value for num_sheep; add a line "
        "'few/count_sheep.num_sheep = ...'."
    )


def test_a_file_without_stages_says_so(write_gin):
    with pytest.raises(UserError) as caught:
        load_experiment(write_gin("count_sheep.num_sheep = 3\n"))
    assert str(caught.value) == (
        "farm.gin: run needs a value for stages; add a line 'run.stages = ...'."
    )


def test_a_constructor_made_from_itself_is_refused(write_gin):
    text = "run.stages = [@build]\nbuild.barn = @Barn()\nBarn.doors = @Barn()\n"
    with pytest.raises(UserError, match="farm.gin:3: Barn is made from itself"):
        load_experiment(write_gin(text))


def test_a_missing_experiment_lists_those_that_exist(write_gin, tmp_path, monkeypatch):
    monkeypatch.setattr(bindings, "EXPERIMENTS", tmp_path)
    write_gin(FARM)
    with pytest.raises(
        UserError, match="There is no experiment file 'fram.gin'.*: farm.gin."
    ):
        load_experiment("fram.gin")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "count_sheep.num_sheep",
            (
                "--set 'count_sheep.num_sheep' must be one NAME=VALUE, such as "
                "--set 'train_sft.num_steps=100'."
            ),
        ),
        (
            "count_sheep.breed=texel",
            (
                "--set 'count_sheep.breed=texel': 'texel' is not a value in "
                "'count_sheep.breed=texel': text needs quotes. Write it as --set "
                "'train_sft.num_steps=100'; text in quotes of its own: "
                "--set 'job.name=\"value\"'."
            ),
        ),
        (
            "count_sheep.num_shep=3",
            (
                "--set 'count_sheep.num_shep=3': There is no parameter of count_sheep "
                "'num_shep'. Did you mean 'num_sheep'? Known: breed, num_sheep."
            ),
        ),
    ],
)
def test_a_bad_override_is_quoted(override, message, write_gin):
    with pytest.raises(UserError) as caught:
        load_experiment(write_gin(FARM), [override])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "hint", "fits"),
    [
        ("ab", Sequence[str], False),  # would be read as "a" and "b"
        ("ab", Sequence[str] | None, False),
        ("ab", str | Sequence[str], True),
        (["ab"], Sequence[str], True),
        ([["ab"], "ab"], Sequence[Sequence[str]], False),
        (True, int | None, False),
        (True, float | None, False),
        ([1, True], Sequence[int], False),
        ({"a": True}, Mapping[str, float], False),
        (True, bool | int, True),
        ("ab", Literal["ab"], True),
    ],
)
def test_a_text_is_no_list_and_a_truth_value_no_number(value, hint, fits):
    if fits:
        assert fit_value(value, hint, key="a.b", where="x.gin:1") in (value, ("ab",))
        return
    with pytest.raises(UserError, match="x.gin:1: a.b must be "):
        fit_value(value, hint, key="a.b", where="x.gin:1")
