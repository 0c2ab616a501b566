"""Prompts, targets and parsing of every task."""

import dataclasses

import pytest

from simex.problems.problem import TestCase, Visibility
from simex.tasks import explain, predict_output, solve, submit_or_fix
from simex.tasks.answer import Answer, Refusal
from simex.tasks.rewards import (
    are_outputs_right,
    as_meant,
    is_printed_right,
    is_stated_right,
    outputs_as_meant,
)
from tests.scripted import PROBLEM

TESTS = (
    TestCase(stdin="1 2\n", expected_stdout="3\n", visibility=Visibility.PUBLIC),
    TestCase(stdin="4 5\n", expected_stdout="9\n", visibility=Visibility.PUBLIC),
)


def test_the_prediction_prompt_holds_program_and_stdin_and_nothing_else():
    prompt = predict_output.render_prompt("print(input())\n", "7\n")
    assert prompt == "[PYTHON]\nprint(input())\n[/PYTHON]\n## Input\n7"


def test_a_right_target_parses_to_its_output():
    target = predict_output.render_target("x=1", "3 4\n")
    assert target == "<think>x=1</think><output>3 4</output>"
    assert predict_output.parse_completion(target).value == "3 4"


def test_written_newlines_are_read_where_no_real_one_is():
    said = predict_output.parse_completion(r"</think><output>1\n2</output>").value
    assert said == r"1\n2"
    assert as_meant(said, "1\n2\n", checker="lines") == "1\n2"
    assert as_meant(said, "1\n3\n", checker="lines") == "1\n2"  # wrong either way
    assert as_meant("a\\n\nb", "1\n", checker="lines") == "a\\n\nb"


def test_a_printed_repr_with_a_written_newline_is_right_as_it_is_written():
    printed = "'a\\nb'\n"  # by print(repr("a\nb"))
    target = predict_output.render_target("", printed)
    said = predict_output.parse_completion(target).value
    assert said == r"'a\nb'" == as_meant(said, printed, checker="lines")
    problem = dataclasses.replace(
        PROBLEM, tests=(dataclasses.replace(TESTS[0], expected_stdout=printed),)
    )
    assert outputs_as_meant(problem, [said]) == [said]
    assert outputs_as_meant(problem, ["a\\nb"]) == ["a\nb"]
    assert outputs_as_meant(problem, [None]) == [None]


@pytest.mark.parametrize(
    ("completion", "is_truncated", "refusal"),
    [
        ("<output>3</output>", False, Refusal.NO_END_OF_THOUGHT),
        ("</think></think><output>3</output>", False, Refusal.SEVERAL_THOUGHTS),
        ("</think>3", False, Refusal.NO_ANSWER),
        ("</think><output>3", False, Refusal.NO_ANSWER),
        (
            "</think><output>3</output><output>4</output>",
            False,
            Refusal.SEVERAL_ANSWERS,
        ),
        ("</think><output>3</output>", True, Refusal.TRUNCATED),
    ],
)
def test_anything_else_is_refused_with_a_reason(completion, is_truncated, refusal):
    answer = predict_output.parse_completion(completion, is_truncated=is_truncated)
    assert answer.refusal is refusal and answer.value is None


def test_an_output_before_the_end_of_thought_is_no_answer():
    answer = predict_output.parse_completion("<output>3</output></think>")
    assert answer.refusal is Refusal.NO_ANSWER


def test_an_answer_is_either_a_value_or_a_refusal():
    with pytest.raises(ValueError, match="either"):
        Answer()
    with pytest.raises(ValueError, match="either"):
        Answer(value="", refusal=Refusal.NO_ANSWER)


def test_the_solve_prompt_shows_statement_and_public_tests():
    assert solve.render_prompt("Print the sum.", TESTS[:1]) == (
        "Print the sum.\nExample Tests\n----- Test 0 -----\n## Input\n1 2\n"
        "## Expected Output\n3\n"
    )


def test_a_program_comes_back_as_it_was_rendered():
    source = "a = input()\nif a:\n    print(a)\n"
    target = solve.render_target("", source)
    assert solve.parse_completion(target).value == source


def test_two_code_blocks_are_refused():
    target = solve.render_target("", "print(1)\n") * 2
    assert solve.parse_completion(target).refusal is Refusal.SEVERAL_THOUGHTS
    twice = "</think>```python\n1\n```\n```python\n2\n```"
    assert solve.parse_completion(twice).refusal is Refusal.SEVERAL_ANSWERS


@pytest.mark.parametrize(
    "second", ["```\nout\n```", "```text\nout\n```", "```py\n1\n```"]
)
def test_a_second_code_block_counts_whatever_its_language(second):
    completion = f"</think>```python\nprint(1)\n```\nIt prints\n{second}"
    assert solve.parse_completion(completion).refusal is Refusal.SEVERAL_ANSWERS


@pytest.mark.parametrize("line", ["```", "```json {", "```python x"])
def test_a_fence_inside_the_program_makes_its_end_a_guess(line):
    target = solve.render_target("", f"s = '''\n{line}\n'''\nprint(s)\n")
    assert solve.parse_completion(target).refusal is Refusal.SEVERAL_ANSWERS


def test_blanks_at_the_end_of_an_exact_output_need_not_be_stated():
    target = predict_output.render_target("", "4\n")
    stated = predict_output.parse_completion(target).value
    assert stated == "4"
    assert is_stated_right(stated, "4\n", checker="exact")
    assert not is_stated_right("4\n\n5", "4\n5\n", checker="exact")
    assert not is_stated_right(" 4", "4\n", checker="exact")
    # What was printed is held to the byte, as by the judge.
    assert not is_printed_right("4", "4\n", checker="exact")
    exact = dataclasses.replace(
        PROBLEM, checker="exact", tests=(TESTS[0],), call_tests=()
    )
    (test,) = exact.public_tests
    shown = [test.expected_stdout.rstrip()]
    assert test.expected_stdout.endswith("\n")
    assert are_outputs_right(exact, shown, are_stated=True) == [True]
    assert are_outputs_right(exact, shown, are_stated=False) == [False]


def test_backquotes_inside_a_line_of_a_program_are_no_fence():
    source = "print('```', 1)\n"
    target = solve.render_target("", source)
    assert solve.parse_completion(target).value == source


def test_code_in_the_reasoning_is_no_answer():
    completion = "<think>```python\n1\n```</think>```python\nprint(1)\n```"
    assert solve.parse_completion(completion).value == "print(1)\n"


def test_the_fix_prompt_shows_what_the_attempt_printed_beside_what_was_expected():
    prompt = submit_or_fix.render_prompt("Sum.", "print(3)\n", TESTS, ["3\n", "3\n"])
    assert "## Attempt\n```python\nprint(3)\n```" in prompt
    assert prompt.endswith(
        "## Input\n4 5\n## Expected Output\n9\n## Output for the attempt\n3\n"
    )


def test_outputs_and_tests_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        submit_or_fix.render_prompt("Sum.", "print(3)\n", TESTS, ["3\n"])


def test_submitting_is_one_word_alone_in_the_code_block():
    thought = submit_or_fix.render_thought([True, False])
    assert thought == "0 passed\n1 failed"
    submitted = submit_or_fix.render_target("0 passed", None)
    assert submit_or_fix.is_submit(submit_or_fix.parse_completion(submitted))
    other = submit_or_fix.render_target("", "#SUBMIT\nprint(1)\n")
    assert not submit_or_fix.is_submit(submit_or_fix.parse_completion(other))


def test_functions_use_cruxevals_layout():
    prompt = explain.render_prompt("def f(n):\n    return n\n", "f(2)")
    assert prompt == ("[PYTHON]\ndef f(n):\n    return n\nassert f(2) == ??\n[/PYTHON]")
    target = explain.render_target("n=2", "f(2)", "2\n")
    assert target == "[THOUGHT]n=2[/THOUGHT][ANSWER]assert f(2) == 2[/ANSWER]"
    assert explain.parse_completion(target).value == "2"


@pytest.mark.parametrize(
    ("call", "value"),
    [("f('A == B')", "'C'"), ("f(1)", "'C == D'"), ("f(' == ')", "2")],
)
def test_a_call_and_its_value_may_hold_the_sign_between_them(call, value):
    target = explain.render_target("so", call, value)
    assert explain.parse_completion(target, call=call).value == value
    # Another call than the asked one: what follows the last sign.
    other = explain.render_target("so", "g('A == B')", "3")
    assert explain.parse_completion(other, call=call).value == "3"
    nothing = other.replace("==", "is")
    assert explain.parse_completion(nothing, call=call).refusal is Refusal.NO_ANSWER


def test_a_stated_output_is_judged_by_the_checker_of_the_problem():
    assert is_stated_right("3", "3\n", checker="codecontests")
    assert not is_stated_right("1000009", "1000000", checker="codecontests")
    assert not is_stated_right("", "0", checker="codecontests")
