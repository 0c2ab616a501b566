"""Free prose about one run, as a person would write it: true and false statements."""

import re
import time

import pytest

from simex.nlex.grounding import check_text
from simex.nlex.rewriters import REWRITERS
from simex.nlex.truth import Truth

SOURCE = """\
def scale(n, k):
    m = n * k
    return m
a = [3, 8, 1]
t = 0
seen = []
for x in a:
    if x > 2:
        t += scale(x, 2)
        seen.append(x)
i = 0
while i < 3:
    i += 1
d = {'k': t}
print(t)
print('done')
"""

# Text, number of statements at least, and the words at which a lie begins (none: true).
TRUE = [
    "First, a is [3, 8, 1] and t = 0.",
    "The variable t starts at 0. Then x becomes 3.",
    "x is set to 3; since 3 > 2, the condition holds and scale(3, 2) returns 6.",
    "In the first iteration x is 3, which is greater than 2, so t becomes 6.",
    "The loop runs 3 times.",
    "`x` takes the value 8. 8 > 2 is true. `t` becomes 22.",
    "t goes from 6 to 22.",
    "x becomes 1. The condition x > 2 is false, so t remains 22.",
    "3 is appended to seen, and later 8 is appended to seen.",
    "seen is [3] after that; then seen is [3, 8].",
    "The function scale is called with n = 3 and k = 2. m becomes 3 * 2, which is 6.",
    "The while loop iterates three times and i ends up as 3.",
    "After the loop, d is {'k': 22}. It prints 22 and then prints 'done'.",
    "len(a) is 3 and a[1] is 8.",
    "6 + 16 = 22, so t = 22.",
    "Initially seen is an empty list.",
    "t is increased by 16 to 22.",
    "1 is not greater than 2, so the if body is skipped.",
    "scale returns 16, t is 22 now.",
    "The program first outputs 22.",
    "It checks whether 3 > 2: true.",
]
FALSE = [
    ("First, a is [3, 8, 2] and t = 0.", "a is [3"),
    ("The variable t starts at 1.", "t starts"),
    ("x is set to 3; since 3 < 2, the condition holds.", "3 < 2"),
    ("x becomes 3, so t becomes 5.", "t becomes 5"),
    ("The loop runs 4 times.", "loop runs 4"),
    ("`x` takes the value 8. 8 > 2 is false.", "8 > 2"),
    ("t goes from 6 to 24.", "6 to 24"),
    ("x becomes 1. The condition x > 2 is true.", "x > 2"),
    ("4 is appended to seen.", "4 is appended"),
    ("Then seen is [3, 9].", "seen is"),
    ("scale is called with n = 3 and k = 4.", "k = 4"),
    ("m becomes 3 * 2, which is 7.", "7."),
    ("The while loop iterates twice.", "loop iterates"),
    ("It prints 23.", "prints 23"),
    ("len(a) is 4.", "len(a)"),
    ("6 + 16 = 23.", "6 + 16"),
    ("Initially t is None.", "t is None"),
    ("1 is greater than 2.", "1 is greater"),
    ("scale returns 17.", "returns 17"),
    ("a[1] is 9.", "a[1]"),
    ("It raises ValueError.", "raises"),
    ("x becomes 8 and then x becomes 3.", "x becomes 3"),
]
# True, and about nothing that a trace holds: no statement may be read and blamed.
HARMLESS = [
    "The program adds up the numbers above two, doubled.",
    "This is a simple loop; it is 3 lines long.",
    "If x were 9, nothing would change. Whether x > 2 decides.",
    "The result is printed at the end with print(t).",
    "We go through the list element by element, e.g. `t += scale(x, 2)`.",
]


@pytest.mark.parametrize(
    "text",
    [
        "*".join(["8**1000"] * 5) + " = 5.",
        "So " + "*".join(["8**1000"] * 5) + " is 5.",
        "str([[[0]*9999]*9999]*9999) > 'a' is true.",
        "str(['a'*9999]*9999) > 'a' is true.",
        "len(((0,)*9999,)*9999) > 0 is true.",
    ],
)
def test_no_text_is_too_large_to_be_looked_at(truth, text):
    found = check_text(text, truth, style="prose")
    # Nobody works it out, so nobody says that it is true.
    assert found.score < 1 or found.num_statements == 0


@pytest.fixture(scope="module")
def truth(trace_of):
    return Truth(trace_of(SOURCE))


@pytest.mark.parametrize("text", TRUE)
def test_true_prose_is_grounded(truth, text):
    grounding = check_text(text, truth, style="llm")
    assert grounding.num_statements >= 1
    assert [(j.statement, j.reason) for j in grounding.false_statements] == []


@pytest.mark.parametrize(("text", "lie"), FALSE)
def test_a_lie_in_prose_is_found_at_its_place(truth, text, lie):
    grounding = check_text(text, truth, style="llm")
    spans = [(j.statement.start, j.statement.end) for j in grounding.false_statements]
    at = text.index(lie)
    assert any(start < at + len(lie) and at < end for start, end in spans), spans
    assert all(j.reason for j in grounding.false_statements)


QUOTING = """\
n = 5
print("Output:", n)
msg = f"The output is {n}"
s = "Prints 10 copies"
def f(x):
    return x + 1
print(f"f returns {f(n)}, n becomes 7")
"""


@pytest.mark.parametrize("style", ["prose", "compact"])
def test_what_a_program_prints_makes_no_claims(trace_of, style):
    trace = trace_of(QUOTING)
    found = check_text(REWRITERS[style](trace).text, Truth(trace), style=style)
    assert found.score == 1.0 and found.num_statements >= 5
    if style == "prose":
        lie = REWRITERS[style](trace).text.replace("Output: 5", "Output: 6")
        assert check_text(lie, Truth(trace), style=style).score < 1


@pytest.mark.parametrize(
    "text",
    [
        "x becomes a[0], which is 3.",
        "m becomes n * k, which is 6.",
        "m = 3 * 2 = 6.",
        "scale(3, 2) returns 3 * 2 = 6.",
        "a has 3 elements.",
        "The list seen contains 2 items.",
        "i is 2 + 1.",
    ],
)
def test_what_people_say_of_values_is_not_taken_for_others(truth, text):
    found = check_text(text, truth, style="llm")
    assert [(j.statement, j.reason) for j in found.false_statements] == []


@pytest.mark.parametrize(
    ("text", "num_false"),
    [
        ("- t becomes 99\n- i becomes 98\n- m is 97\n", 3),
        ("* scale returns 99\n* 5 is stored in t\n", 2),
        ("t becomes 99\n\n-3 is not seen.", 1),
        ("f'{t}' is formatted, so t becomes 99, and i becomes '-1'.", 2),
        ("The char ' is seen, t becomes 99.", 1),
    ],
)
def test_a_lie_is_found_in_a_list_and_beside_quotes(truth, text, num_false):
    assert len(check_text(text, truth, style="llm").false_statements) == num_false


@pytest.mark.parametrize(
    ("text", "is_true"),
    [
        ("It prints 2 6.", True),
        ("It prints 2 6 and then 7 3.", True),
        ("It prints 2 7.", False),
        ("It prints 2 6. It prints 7 4.", False),
        ("It prints 2 2 times.", True),  # no line of two numbers
    ],
)
def test_a_printed_line_of_numbers_is_checked_whole(trace_of, text, is_true):
    truth = Truth(trace_of("print(2, 6)\nprint(7, 3)\n"))
    found = check_text(text, truth, style="llm")
    assert (not found.false_statements) == is_true


def test_a_long_chain_is_looked_at_in_linear_time(truth, monkeypatch):
    # Each of n operands begins a match of at most 17: 17 n steps, not n * n / 2.
    def cost(num):
        begin = time.process_time()
        check_text("t = 0. t is " + "1 + " * num + "1", truth, style="prose")
        return time.process_time() - begin

    cost(100)
    short, long = (min(cost(num) for _ in range(3)) for num in (500, 4000))
    assert long < 24 * short  # 8 times the text; 64 times were it quadratic


@pytest.mark.parametrize("text", HARMLESS)
def test_prose_about_nothing_in_the_trace_is_not_blamed(truth, text):
    assert check_text(text, truth, style="llm").false_statements == ()


@pytest.mark.parametrize("style", ["compact", "prose", "raw_trace"])
@pytest.mark.parametrize(
    "text",
    [
        "\0\0=\n=== x= y='unclosed [1, (2",
        "x=" * 500,
        "9**9**9**9 = 1 and 'a' * 10000000 is 2, 1 << 99999999 = 0",
        "condition " * 300 + "x becomes " * 300,
        "x becomes '\\d" + "(" * 2000,
        "return \ncall \nraise ",
        "\ud800 t=4",
        # `int` refuses so many digits.
        "Iteration {0}: On line {0}, t is {0}.\nIteration {0}:".format("1" * 5000),
        "The loop on line {0} runs {0} times. Line {0} raises E".format("1" * 5000),
        "After iteration {0}, t is 3. After {0} iterations".format("1" * 5000),
    ],
)
def test_any_text_is_judged_without_an_error(truth, style, text):
    grounding = check_text(text, truth, style=style)
    assert 0 <= grounding.score <= 1 and 0 <= grounding.completeness <= 1


TURNS = """\
n = 0
for a in [1, 2]:
    for b in [3, 4, 5]:
        n += b
for c in range(12):
    n -= 1
try:
    n // 0
except ZeroDivisionError:
    n = 1
"""


@pytest.mark.parametrize(
    ("told", "lie", "num_false"),
    [
        ("Line 8 raises", "Line 9 raises", 1),
        ("Line 8 raises", "It raises", 0),  # no line is named
        ("Iteration 12:", "Iteration 13:", 1),
        ("Iteration 3: On line 3, b", "Iteration 4: On line 3, b", 2),  # in both
        ("Iteration 2: On line 2, a", "Iteration 1: On line 2, a", 1),
        ("Iteration 3: On line 5, c becomes 2.", "Not all is told.", 0),
        # The text says 2, 2 3 4, 3, 2 3 4, 2 3 4 13. Of the turns, 1, 1 2 3, 2, 1 2 3,
        # 1 to 12, it has at most 2, 3, 2, 3, 2 3 4 in this order: 7 of 12.
        (r"Iteration (\d+):", lambda m: f"Iteration {int(m[1]) + 1}:", 5),
    ],
)
def test_lines_that_raise_and_headings_of_turns_are_checked(
    trace_of, told, lie, num_false
):
    trace = trace_of(TURNS)
    text = REWRITERS["prose"](trace).text
    assert check_text(text, Truth(trace), style="prose").false_statements == ()
    changed, num_changed = re.subn(told, lie, text)
    assert num_changed
    found = check_text(changed, Truth(trace), style="prose").false_statements
    assert len(found) == num_false
    assert {j.statement.kind.value for j in found} <= {"raise", "turn"}


EMPTY = "It prints an empty string."


@pytest.mark.parametrize(
    ("source", "text", "share"),
    [
        ("n = 5\nprint(n)\n", EMPTY, 0.0),
        ("n = 5\nprint(n)\n", f"n becomes 5. {EMPTY}", 1 / 2),
        ("n = 5\nprint(n)\n", "It prints ''. It prints 5.", 1 / 2),
        ("n = 5\nprint(n)\n", "It prints ' '.", 0.0),
        ("n = 5\n", EMPTY, 1.0),
        ("n = 5\nprint('')\n", f"n becomes 5. {EMPTY}", 1.0),
        ("n = 5\nprint()\nprint(n)\n", f"n becomes 5. {EMPTY} It prints 5.", 1.0),
        # Nothing is printed between the two assignments, and 5 after them.
        ("n = 5\nm = 6\nprint(n)\n", f"n becomes 5. {EMPTY} m becomes 6.", 1.0),
        ("n = 5\nprint(n)\nm = 6\n", f"n becomes 5. {EMPTY} m becomes 6.", 2 / 3),
    ],
)
def test_an_empty_string_is_printed_where_no_words_are(trace_of, source, text, share):
    assert check_text(text, Truth(trace_of(source)), style="llm").score == share
