"""CRUXEval's official and strict scores, by real assertions in the sandbox."""

from simex.evals.cruxeval import score_answers
from simex.evals.scoring.cruxeval_rules import make_cruxeval_output
from simex.evals.scoring.generations import Completion
from simex.problems.sources.cruxeval import CruxItem
from simex.sandbox.pool import SandboxPool

ITEM = CruxItem(id="s", code="def f(n):\n    return n + 1", input="0", output="1")


def test_official_takes_what_compares_equal_and_strict_only_the_same_literal():
    said = ["1", "True", "2 - 1", "2", "f(0)", None, "1)\nexit(0)#"]
    with SandboxPool(1) as pool:
        scored = score_answers(pool, [ITEM] * 7, [{"said": text} for text in said])
    official = [r["is_right"] for r in scored]
    strict = [r["is_strictly_right"] for r in scored]
    assert official == [True, True, True, False, False, False, False]
    assert strict == [True, False, False, False, False, False, False]


def test_both_scorers_of_cruxeval_ask_and_compare_alike():
    # The value is a text that looks like the call: officially refused, strictly right.
    record = {"id": "s", "code": "def f(n):\n    return 'f(0)'", "input": "0"}
    record["output"] = "'f(0)'"
    benchmark_item = make_cruxeval_output(record)
    answer = Completion(text="'f(0)'")
    assert benchmark_item.official(answer) is None
    assert benchmark_item.strict(answer) is True
    with SandboxPool(1) as pool:
        (scored,) = score_answers(pool, [CruxItem(**record)], [{"said": "'f(0)'"}])
    assert (scored["is_right"], scored["is_strictly_right"]) == (False, True)
