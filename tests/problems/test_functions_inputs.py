"""Arguments that are guessed from the text of a function."""

import ast

import pytest

from simex.problems.sources.functions.calls import generated_calls
from simex.problems.sources.functions.parameters import Parameter, guess_parameters


def parameters_of(text: str) -> list[Parameter] | None:
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    return guess_parameters(function)


def types_of(parameter: Parameter) -> set[type]:
    return {type(ast.literal_eval(v)) for v in parameter.values if "lambda" not in v}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(q: int): return q", {int}),
        ("def f(q: list[str]): return q", {list}),
        ("def f(q): return isinstance(q, (bytes, tuple))", {bytes, tuple}),
        ("def f(q=2.5): return q", {float}),
        ("def f(q): return q & 255", {int}),
        ("def f(q): return q.items()", {dict}),
        ("def f(q): return q in ('on', 'off')", {str}),
        ("def f(q): return q[1:].splitlines().index('a')", {str, bytes}),
        ("def f(q): return q.replace('a', 'b')", {str}),
        ("def f(q): return q.startswith(b'a')", {bytes}),
    ],
)
def test_the_use_of_a_parameter_tells_its_type(text, expected):
    (parameter,) = parameters_of(text)
    assert types_of(parameter) == expected


def test_constants_that_a_parameter_is_compared_with_are_tried_first():
    (mode,) = parameters_of("def f(mode): return mode == 'r' or mode in ('w', 'a')")
    assert mode.values[:3] == ("'r'", "'w'", "'a'")


def test_a_character_is_tried_where_ord_is_taken():
    (letter,) = parameters_of("def f(q): return ord(q)")
    assert all(len(ast.literal_eval(value)) == 1 for value in letter.values)


def test_a_name_alone_lets_other_types_be_tried_later():
    (name,) = parameters_of("def f(filename): return g(filename)")
    assert [type(ast.literal_eval(v)) for v in name.values[:8]] == [str] * 8
    assert types_of(name) > {str, int, bytes}


def test_a_function_of_a_special_object_has_no_parameters():
    assert parameters_of("def f(q): return q.readline()") is None
    assert parameters_of("def f(q):\n    q.name = 3") is None


def test_unknown_parameters_get_values_of_one_kind_in_one_round():
    first, second = parameters_of("def f(one, other): return one + other")
    calls = generated_calls("f", [first, second], num_calls=7)
    for call in calls:
        left, right = ast.parse(call, mode="eval").body.args
        assert type(ast.literal_eval(left)) is type(ast.literal_eval(right))
        assert ast.unparse(left) != ast.unparse(right)


def test_optional_and_keyword_parameters_are_left_out_in_every_other_round():
    text = "def f(q: int, sep: str = ',', *, strict: bool = False): return q"
    calls = generated_calls("f", parameters_of(text), num_calls=4)
    shapes = []
    for call in calls:
        node = ast.parse(call, mode="eval").body
        shapes.append((len(node.args), [k.arg for k in node.keywords]))
    assert shapes == [(1, []), (2, ["strict"])] * 2


def test_equal_calls_are_made_once():
    none = generated_calls("f", [], num_calls=5)
    assert none == ["f()"]
