"""Each predicate on an item that it must drop and on a neighbour that it must keep."""

import dataclasses

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.problems.filters.behaviour import Fate, TestRun, fate_of
from simex.problems.filters.contamination import ContaminationIndex, NgramLengths
from simex.problems.filters.duplicates import ExactDuplicates, NearDuplicates
from simex.problems.filters.report import DropReport
from simex.problems.filters.shape import (
    MaxSizes,
    why_license,
    why_malformed,
    why_many_answers,
    why_program_malformed,
    why_too_long,
)
from simex.problems.filters.sift import FilterSettings, sift
from simex.problems.filters.text import ngrams_of, tokens_of, words_of
from simex.problems.problem import Problem, TestCase, Visibility
from simex.problems.program import Claim, Program, SourceItem

TEST = TestCase(stdin="1", expected_stdout="1", visibility=Visibility.PUBLIC)


def make_item(
    statement: str = "Print it.", *sources: str, id: str = "a", **fields
) -> SourceItem:
    problem = Problem(
        id=id,
        statement=statement,
        tests=(TEST,),
        checker="lines",
        source="jsonl",
        composition=id,
        license="MIT",
    )
    return SourceItem(
        problem=dataclasses.replace(problem, **fields),
        programs=tuple(Program(source=s, license="MIT") for s in sources),
    )


def numbered(start: int, stop: int) -> str:
    """Words that all differ: "w1 w2 w3"."""
    return " ".join(f"w{n}" for n in range(start, stop))


def test_words_and_tokens_do_not_depend_on_the_way_of_writing():
    assert words_of("The  Sum_of\n$a$!") == ["the", "sum", "of", "a"]
    assert tokens_of('x = "a"  # note\n') == tokens_of("x='a'") == ["x", "=", "'a'"]
    assert ngrams_of(["a", "b", "c"], 2) == {("a", "b"), ("b", "c")}
    assert ngrams_of(["a"], 2) == {("a",)}
    assert ngrams_of([], 2) == set()


def test_an_item_without_test_or_without_statement_and_program_is_malformed():
    assert why_malformed(make_item()) is None
    assert why_malformed(make_item("", "print(1)")) is None
    assert why_malformed(make_item(tests=())) == "there is no test"
    assert "neither" in why_malformed(make_item(" \n"))
    assert why_malformed(make_item(id=" ")) == "the id is empty"


def test_a_program_must_parse_as_python_3():
    assert why_program_malformed("print(1)\n") is None
    assert why_program_malformed("print 1\n") == "does not parse: SyntaxError"
    assert why_program_malformed("x = 1\0") is not None
    assert why_program_malformed(" \n") == "the program is empty"


def test_what_is_too_long_says_how_long_it_is():
    sizes = MaxSizes(statement_chars=9, test_chars=2)
    assert why_too_long(make_item("123456789"), sizes) is None
    assert why_too_long(make_item("1234567890"), sizes) == (
        "the statement has 10 characters"
    )
    long = dataclasses.replace(TEST, stdin="12")
    assert why_too_long(make_item("a", tests=(TEST, long)), sizes) == (
        "test 1 has 3 characters"
    )
    with pytest.raises(UserError, match="num_tests must be at least 1"):
        MaxSizes(num_tests=0)


def test_licences_and_many_answers():
    assert why_many_answers(make_item()) is None
    assert why_many_answers(make_item(has_many_answers=True)) is not None
    assert why_license("GPL-3.0", ()) is None
    assert why_license("Apache-2.0 (archive)", ("MIT", "apache")) is None
    assert why_license("GPL-3.0", ("MIT", "Apache")) == "the licence is 'GPL-3.0'"


def test_thirteen_shared_words_are_contamination_and_twelve_are_not():
    index = ContaminationIndex([make_item(numbered(0, 40), id="eval/1")])
    shared = "before " + numbered(5, 18).upper() + ", after"
    assert "with eval/1" in index.why_contaminated(make_item(shared))
    assert index.why_contaminated(make_item("before " + numbered(5, 17))) is None


def test_a_shared_id_title_or_program_is_contamination():
    lengths = NgramLengths(num_tokens=6)
    evaluated = make_item(
        "Something.",
        "def f(n):\n    return n * 7\n",
        id="Eval/1",
        title="The Sum of Two",
    )
    index = ContaminationIndex([evaluated], lengths)
    why = index.why_contaminated
    assert "id or title" in why(make_item("Else.", id="eval/1"))
    assert "id or title" in why(make_item("Else.", title="the sum of two"))
    # The same tokens, laid out otherwise and with a comment.
    copied = "x = 1\ndef f( n ): # seven\n  return n*7\nprint(f(2))"
    assert "shares the code" in why(make_item("Else.", copied))
    # Two words are no title, and five tokens no run.
    other = "def f(n):\n    return 7 * n\n"
    assert (
        why(make_item("Else.", other.replace("f", "g", 1), title="of Two")) is not None
    )
    assert why(make_item("Else.", "print(n * 7)\n", title="of Two")) is None
    with pytest.raises(UserError, match="at least 2"):
        NgramLengths(num_words=1)


def test_a_short_function_under_another_name_is_contamination():
    body = "(n):\n    total = 0\n    for i in range(n):\n        total += i * i\n"
    body += "    return total\n"
    index = ContaminationIndex([make_item("Squares.", f"def f{body}", id="eval/1")])
    other = f"import math\ndef squares{body.replace(':', ':  # up to n', 1)}"
    why = index.why_contaminated
    assert why(make_item("Else.", other)) == "holds the function of eval/1"
    assert why(make_item("Else.", other.replace("i * i", "i * 2"))) is None
    # "return a + b" may stand in both.
    small = "def {}(a, b):\n    return a + b\n"
    index = ContaminationIndex([make_item("Add.", small.format("f"), id="eval/1")])
    found = index.why_contaminated(make_item("Else.", small.format("g")))
    assert found is None


def test_the_second_of_two_equal_items_is_a_duplicate():
    exact = ExactDuplicates()
    assert exact.why_duplicate(make_item("Print it.", id="a")) is None
    assert exact.why_duplicate(make_item("Print that.", id="b")) is None
    assert exact.why_duplicate(make_item("print  IT", id="c")) == ("says the same as a")


def test_two_calls_of_one_function_are_no_duplicates_of_each_other():
    exact, near = ExactDuplicates(), NearDuplicates()
    names = ", ".join(f"a{n}" for n in range(50))
    source = f"def f({names}):\n    return a0 > 0\n"
    rows = [
        ("0", "x.py", source, "f(1)", None),
        ("1", "x.py", source, "f(2)", None),
        ("2", "x.py", f"{source}b = 3\n", "f(b)", None),  # nearly the same text
        ("3", "x.py", source, "f(1)", "says the same as 0"),
        ("4", "y.py", f"{source}b = 4\n", "f(b)", "is nearly the same as 0"),
    ]
    for id, group, text, call, reason in rows:
        text += f"print(repr({call}))\n"
        item = make_item("", text, id=id, composition=group, call=call)
        found = exact.why_duplicate(item) or near.why_duplicate(item)
        assert (id, found) == (id, reason)


def test_near_duplicates_are_found_above_the_threshold_only():
    """Of n words in a row there are n - 4 shingles of five."""
    whole = numbered(0, 104)  # 100 shingles
    # Without the last 5 words: 95 shingles, all shared. 95 / 100 = 0.95.
    near = numbered(0, 99)
    # 64 words shared and 40 others: 60 shared of 100 + 100 - 60. 60 / 140 = 0.43.
    far = numbered(0, 64) + " " + numbered(200, 240)
    found = NearDuplicates(threshold=0.9)
    assert found.why_duplicate(make_item(whole, id="whole")) is None
    assert found.why_duplicate(make_item(near, id="near")) == (
        "is nearly the same as whole"
    )
    assert found.why_duplicate(make_item(far, id="far")) is None
    strict = NearDuplicates(threshold=0.96)
    assert strict.why_duplicate(make_item(whole, id="whole")) is None
    assert strict.why_duplicate(make_item(near, id="near")) is None
    with pytest.raises(UserError, match="got 0"):
        NearDuplicates(threshold=0)


def test_a_near_duplicate_that_stays_is_held_against_what_comes():
    """Each text has 100 shingles of five words and shares 90 with the one before."""
    # One to two: 90 / 110 = 0.82. One to three: 80 / 120 = 0.67.
    texts = [numbered(start, start + 104) for start in (0, 10, 20)]
    one, two, three = (make_item(t, id=str(i)) for i, t in enumerate(texts))
    for stays, reason in ((True, "is nearly the same as 1"), (False, None)):
        found = NearDuplicates(threshold=0.8)
        assert found.why_duplicate(one) is None
        assert found.why_duplicate(two, stays=stays) == "is nearly the same as 0"
        assert found.why_duplicate(three) == reason


def test_the_search_for_near_duplicates_misses_none_of_two_hundred():
    """As many as a comparison of all pairs finds, on texts with one word changed."""
    rng = np.random.default_rng(0)
    found = NearDuplicates(threshold=0.8)
    texts = [rng.integers(0, 1000, size=120).tolist() for _ in range(200)]
    for index, text in enumerate(texts):
        item = make_item(" ".join(map(str, text)), id=f"first {index}")
        assert found.why_duplicate(item) is None
    for index, text in enumerate(texts):
        changed = [*text]
        changed[60] = "other"
        # Five shingles of 116 hold the word: 111 / 121 = 0.92.
        item = make_item(" ".join(map(str, changed)), id=f"second {index}")
        assert found.why_duplicate(item) == f"is nearly the same as first {index}"


def run(ending: str = "ok", *, accepted: bool = True, repeated: bool = True) -> TestRun:
    return TestRun(ending=ending, is_accepted=accepted, is_repeated=repeated)


@pytest.mark.parametrize(
    ("claim", "runs", "fate", "reason"),
    [
        (Claim.RIGHT, [run(), run()], Fate.RIGHT, ""),
        (Claim.RIGHT, [run(), run(accepted=False)], Fate.WRONG, "fails its own tests"),
        (Claim.WRONG, [run(), run(accepted=False)], Fate.WRONG, ""),
        (
            Claim.WRONG,
            [run()],
            Fate.DROPPED,
            "claims to be wrong and passes every test",
        ),
        (Claim.RIGHT, [run(repeated=False)], Fate.DROPPED, "is not deterministic"),
        (
            Claim.RIGHT,
            [run("time_limit", accepted=False, repeated=False)],
            Fate.WRONG,
            "fails its own tests",
        ),
        (Claim.RIGHT, [run(), run("infra error")], Fate.DROPPED, "could not be run"),
        (Claim.RIGHT, [], Fate.DROPPED, "could not be run"),
    ],
)
def test_what_becomes_of_a_program(claim, runs, fate, reason):
    assert fate_of(claim, runs) == (fate, reason)


def test_sifting_drops_programs_and_tests_but_keeps_the_item():
    settings = FilterSettings(sizes=MaxSizes(num_tests=1, num_programs=1))
    item = make_item(
        "Print it.", "print(1)", "print 1", "print(1)", "print(2)", tests=(TEST, TEST)
    )
    sifted = sift(item, settings, None)
    assert [p.source for p in sifted.item.programs] == ["print(1)"]
    assert [reason for reason, _ in sifted.programs_dropped] == [
        "malformed",
        "duplicate",
        "over the number",
    ]
    assert (len(sifted.item.problem.tests), sifted.num_tests_cut) == (1, 1)
    # All programs of an item without a statement are left out: nothing remains.
    sifted = sift(make_item("", "print 1"), settings, None)
    assert (sifted.item, sifted.reason) == (None, "malformed")


def test_an_evaluation_set_is_sifted_by_no_licence():
    settings = FilterSettings(allowed_licenses=("MIT",)).for_evaluation()
    item = make_item("Print it.", "print(1)", license="CC-BY-4.0")
    assert sift(item, settings, None).item == item


def test_sifting_gives_the_first_reason_and_what_was_seen():
    index = ContaminationIndex([make_item(id="eval/1")])
    settings = FilterSettings(allowed_licenses=("MIT",))
    reasons = {
        "licence": make_item(license="GPL-3.0"),
        "many answers": make_item(has_many_answers=True),
        "contaminated": make_item("Else.", id="eval/1"),
        "": make_item("Else."),
    }
    for reason, item in reasons.items():
        assert sift(item, settings, index).reason == reason
    assert sift(reasons["contaminated"], settings, None).item is not None


def test_the_report_counts_all_and_shows_a_few():
    report = DropReport()
    for number in range(9):
        report.add("too long", f"a.jsonl:{number}", "x" * 1000)
    report.add("malformed", "b.jsonl:1")
    record = report.to_record()
    assert list(record) == ["too long", "malformed"]
    assert record["too long"]["count"] == 9
    assert len(record["too long"]["examples"]) == 5
    assert len(record["too long"]["examples"][0]["detail"]) == 300
    assert report.total == 10
