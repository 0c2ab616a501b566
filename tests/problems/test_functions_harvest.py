"""What is read out of a folder of Python code, without running any of it."""

import ast
import pathlib
import sysconfig

import pytest

from simex.core.errors import UserError
from simex.problems.sources.functions import (
    HarvestLimits,
    candidate_cases,
    harvest,
    render_program,
)

GEOMETRY = '''\
"""A module. It must never be imported.

>>> area(3, 4)
12
"""
import math, os
from functools import reduce as fold

raise_if_imported = 1 / 0

SIDES = {"square": 4}
SIDES["hexagon"] = 6


def area(width, height):
    """The area.

    >>> size = [2, 5]
    >>> geometry.area(size[0], 5)
    10
    """
    return math.prod([width, height])


def num_sides(name):
    "A docstring with the answer."
    return _lookup(SIDES, name)


def _lookup(table, key):
    return table.get(key, 0)


def home(name):
    return os.path.join(os.environ["HOME"], name)


def remember(name):
    SIDES[name] = 1
    return SIDES


def pairs(seq):
    for a in seq:
        yield a, a


def sort_in_place(items):
    items.sort()


def answer():
    return SIDES


def read(stream):
    return stream.readline().upper()


class Box:
    @staticmethod
    def double(n):
        return n * 2
'''


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "geometry.py").write_text(GEOMETRY)
    return tmp_path


def test_a_folder_gives_its_pure_functions_and_says_why_the_others_are_left_out(folder):
    found = harvest(folder, license="MIT")
    entries = {cases[0].entry for cases in found.functions}
    assert entries == {
        "area",
        "num_sides",
        "_lookup",
        "pairs",
        "sort_in_place",
        "Box.double",
    }
    assert found.dropped == {
        "imports an impure module": 1,  # home
        "changes a global": 1,  # remember
        "is too simple": 1,  # answer
        "needs a special object": 1,  # read
    }


def test_a_program_holds_what_the_function_needs_and_no_more(folder):
    cases = {c.entry: c for c in candidate_cases(folder)}
    assert cases["num_sides"].source == (
        "SIDES = {'square': 4}\n"
        "SIDES['hexagon'] = 6\n"
        "def num_sides(name):\n"
        "    return _lookup(SIDES, name)\n"
        "def _lookup(table, key):\n"
        "    return table.get(key, 0)"
    )
    # `import math, os` is narrowed to the one that is read.
    assert cases["area"].source.startswith("import math\ndef area(")


def test_a_rendered_program_prints_the_call(folder):
    case = next(c for c in candidate_cases(folder) if c.entry == "Box.double")
    assert render_program(case) == (
        "class Box:\n"
        "\n"
        "    @staticmethod\n"
        "    def double(n):\n"
        "        return n * 2\n"
        f"print(repr({case.call}))\n"
    )
    assert case.call.startswith("Box.double(")
    assert case.num_chars == len(render_program(case))
    assert case.num_lines == 6


def test_calls_of_doctests_come_first_with_names_put_in(folder):
    cases = [c for c in candidate_cases(folder) if c.entry == "area"]
    assert [c.call for c in cases[:2]] == ["area(3, 4)", "area([2, 5][0], 5)"]
    assert [c.origin for c in cases[:3]] == ["doctest", "doctest", "generated"]


def test_generators_are_listed_and_changed_arguments_are_shown(folder):
    cases = list(candidate_cases(folder))
    assert all(c.call.startswith("list(pairs(") for c in cases if c.entry == "pairs")
    sorts = [c.call for c in cases if c.entry == "sort_in_place"]
    assert "(a := [3, 1, 2], sort_in_place(a))[0]" in sorts


def test_cases_carry_their_file_as_group_and_ids_differ(folder):
    inner = folder / "shapes" / "flat"
    inner.mkdir(parents=True)
    (inner / "__init__.py").write_text("def half(n):\n    return n // 2\n")
    cases = list(candidate_cases(folder, license="MIT"))
    half = next(c for c in cases if c.entry == "half")
    assert (half.group, half.module) == ("shapes/flat/__init__.py", "shapes.flat")
    assert half.license == "MIT"
    assert len({c.id for c in cases}) == len(cases)
    assert cases == list(candidate_cases(folder, license="MIT"))


def test_shorter_programs_come_first_and_long_ones_are_left_out(folder):
    sizes = [len(f[0].source) for f in harvest(folder).functions]
    assert sizes == sorted(sizes)
    # The four lines of `pairs` and the print: five. `num_sides` has seven.
    few = harvest(folder, limits=HarvestLimits(max_lines=5))
    assert "num_sides" not in {f[0].entry for f in few.functions}
    assert few.dropped["is too long"] == 2  # num_sides, Box.double (6 lines)


def test_copies_of_a_function_are_taken_once(tmp_path):
    text = "def twice(n):\n    return n + n\n"
    (tmp_path / "one.py").write_text(text)
    (tmp_path / "two.py").write_text(text.replace("twice", "double"))
    found = harvest(tmp_path)
    assert [f[0].module for f in found.functions] == ["one"]
    assert found.dropped == {"same body as another": 1}


def test_files_that_are_not_python_and_folders_of_tests_are_passed_over(tmp_path):
    (tmp_path / "old.py").write_text("def f(x):\n    print x\n")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe def f")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "new.py").write_text("def f(x):\n    return x + 1\n")
    found = harvest(tmp_path)
    assert found.functions == ()
    assert found.dropped == {"in a file that does not parse": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(n):\n    return open(n)\n", "needs an unknown or impure name"),
        ("def f(n):\n    print(n)\n", "needs an unknown or impure name"),
        ("def f(n):\n    import random\n    return n\n", "imports an impure module"),
        ("def f(n):\n    import io\n    return io.open(n)\n", "imports an impure"),
        ("import io\ndef f(n):\n    return io.open(n)\n", "imports an impure module"),
        ("import sys\ndef f(n):\n    return n, sys.argv\n", "imports an impure module"),
        ("from x import *\ndef f(n):\n    return g(n)\n", "needs an unknown or"),
        ("def f(n):\n    global k\n    k = n\n    return k\n", "changes a global"),
        ("if 1:\n    k = 2\ndef f(n):\n    return n + k\n", "needs a top-level branch"),
        ("import datetime as d\ndef f(n):\n    return n, d.date.today()\n", "uses an"),
    ],
)
def test_what_is_not_pure_is_dropped_with_a_reason(tmp_path, text, reason):
    (tmp_path / "m.py").write_text(text)
    found = harvest(tmp_path)
    assert found.functions == ()
    assert [r[: len(reason)] for r in found.dropped] == [reason]


def test_a_missing_folder_and_a_limit_of_zero_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        harvest(tmp_path / "nowhere")
    with pytest.raises(UserError, match="max_lines must be at least 1; got 0"):
        HarvestLimits(max_lines=0)


def test_a_real_package_gives_programs_that_parse_and_hold_no_docstring():
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    found = harvest(root / "email")
    assert len(found.functions) >= 20
    for case, *_ in found.functions:
        tree = ast.parse(render_program(case))
        inner = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        assert all(ast.get_docstring(n) is None for n in inner)
        assert case.num_chars <= 1500
        assert case.num_lines <= 40


@pytest.mark.slow
def test_the_standard_library_holds_many_more_than_300_candidates():
    found = harvest()
    assert len(found.functions) >= 500
    assert {f[0].license for f in found.functions} == {"PSF-2.0"}
    assert sum(f[0].num_chars <= 600 for f in found.functions) >= 300
