"""Which runs a sweep has, and what they are called."""

import re

import pytest

from simex.core.errors import UserError
from simex.sweeps.points import MAX_NAME_CHARS, load_points, make_points
from tests.core.conftest import farm, write_gin  # noqa: F401  (fixtures)

FARM = """
run.stages = [@count_sheep, @build]
count_sheep.num_sheep = %NUM
build.speed = 1.0
NUM = 3
"""


def names(*grid: str, zipped: tuple[str, ...] = ()) -> list[str]:
    return [point.name for point in make_points(grid, zipped)]


def test_grid_keys_multiply_and_the_last_changes_fastest():
    assert names("train_rl.learning_rate=1e-6,3e-6", "SEED=0,1") == [
        "learning_rate=1e-06,SEED=0",
        "learning_rate=1e-06,SEED=1",
        "learning_rate=3e-06,SEED=0",
        "learning_rate=3e-06,SEED=1",
    ]


def test_zip_keys_go_together_and_multiply_with_the_grid():
    assert names("SEED=0,1", zipped=("a.width=8,16", "a.depth=1,2")) == [
        "SEED=0,width=8,depth=1",
        "SEED=0,width=16,depth=2",
        "SEED=1,width=8,depth=1",
        "SEED=1,width=16,depth=2",
    ]


def test_a_point_overrides_the_settings_in_gins_language():
    (point,) = make_points(["nlex/train_sft.variant='di rect'"])
    assert point.overrides == ["nlex/train_sft.variant='di rect'"]
    (point,) = make_points(["a.b=[@small/Barn(), %NUM, {'x': (1, 2.0)}]"])
    assert point.overrides == ["a.b=[@small/Barn(), %NUM, {'x': (1, 2.0)}]"]


def test_keys_that_end_alike_are_named_whole():
    assert names("nlex/train_sft.num_steps=1", "train_rl.num_steps=2") == [
        "nlex.train_sft.num_steps=1,train_rl.num_steps=2"
    ]


VALUES = (
    "1, 1.0, '1', '1.0', -1, 1e-6, True, 'true', 'True', None, 'none', 'a/b', 'a_b', "
    "'a:b', 'a b', '', '.', '..', 'Ab', 'ab', ['ab'], ('ab',), @Barn, @Barn(), %Barn, "
    "'a~b', 'a=b', 'a,b', 'ä', 'x" + "y" * 300 + "', 'x" + "y" * 301 + "'"
)


def test_names_are_safe_in_file_systems_and_never_the_same():
    found = names(f"a.b={VALUES}")
    assert len(found) == 31
    assert len({name.casefold() for name in found}) == len(found)
    for name in found:
        assert re.fullmatch(r"b=[A-Za-z0-9_.+~-]+", name), name
        assert not name.endswith(".") and len(name) <= MAX_NAME_CHARS
    assert found[:2] == ["b=1", "b=1.0"]  # plain values stay as they are


def test_names_of_many_long_keys_are_cut_and_differ():
    grid = [f"job.{'k' * 30}{i}={i},{i}0" for i in range(1, 7)]
    found = names(*grid)
    assert len(set(found)) == 64
    assert max(map(len, found)) == MAX_NAME_CHARS


def test_a_name_depends_on_its_own_values_alone():
    few, many = names("a.b=1,'x y'"), names("a.b='x y',7,8,1")
    assert set(few) < set(many)


@pytest.mark.parametrize(
    ("grid", "zipped", "message"),
    [
        ([], [], "A sweep needs a key with values"),
        (["a.b"], [], "must be one NAME=VALUE,VALUE"),
        (["a.b="], [], "must be one NAME=VALUE,VALUE"),
        (["a.b=x,y"], [], "'x' is not a value in .* text needs quotes"),
        (["a.b=[1,"], [], "a bracket or quote is not closed"),
        (["a.b=1],[2"], [], "cannot read|must be one NAME"),
        (["a.b=1\nc.d=2"], [], "cannot read|must be one NAME|not closed"),
        (["a.b=1,1"], [], "must give each value once; 1 is not"),
        (["a.b=1e-6,0.000001"], [], "must give each value once; 1e-06 is not"),
        (["a.b=1", "a.b=2"], [], "a.b must be given once; it is given 2 times"),
        (["a.b=1"], ["a.b=2"], "a.b must be given once"),
        ([], ["a.b=1,2", "c.d=1"], "equally many values; got a.b 2, c.d 1"),
    ],
)
def test_words_that_make_no_sweep_are_refused(grid, zipped, message):
    with pytest.raises(UserError, match=message):
        make_points(grid, zipped)


def load(path: str, *grid: str, overrides: tuple[str, ...] = ()):
    return load_points(path, make_points(grid), overrides)


def test_every_run_has_its_settings(write_gin):  # noqa: F811
    experiments = load(write_gin(FARM), "NUM=4,5", overrides=("build.speed=2.0",))
    assert [e.stages[0].arguments["num_sheep"] for e in experiments] == [4, 5]
    assert {e.stages[1].arguments["speed"] for e in experiments} == {2.0}


@pytest.mark.parametrize(
    ("grid", "overrides", "message"),
    [
        ("build.sped=2.0", (), "no parameter of build 'sped'. Did you mean 'speed'"),
        ("NMU=2,3", (), "NMU is set, but no stage .* Did you mean NUM?"),
        ("build.speed=2.0,'fast'", (), "build.speed must be float; got 'fast'"),
        ("NUM=2", ("NUM=3",), "NUM must stand in --set or in the sweep, not in both"),
        (
            "run.cpu_devices=1,2",
            (),
            "must differ .* cpu_devices=1 and cpu_devices=2 do",
        ),
        ("build.speed=2,2.0", (), "speed=2 and speed=2.0 do not"),
    ],
)
def test_every_run_is_checked_before_anything_runs(
    grid,
    overrides,
    message,
    write_gin,  # noqa: F811
):
    with pytest.raises(UserError, match=message):
        load(write_gin(FARM), grid, overrides=overrides)
