"""Generations of other tools are scored as each benchmark's own scorer does."""

import json
import pathlib

import pytest

from simex.core.errors import UserError
from simex.evals.scoring.benchmarks import items_between, load_items
from simex.evals.scoring.evalplus_rule import REFERENCE_FAILED
from simex.evals.scoring.exporters import RENDERERS, export_results
from simex.evals.scoring.generations import Completion, read_generations
from simex.evals.scoring.grading import grade_all
from simex.evals.scoring.results_file import load_about
from simex.evals.scoring.rules import BenchmarkItem, judged
from simex.main import main
from simex.problems.problem import CallCase, Problem, Visibility
from simex.sandbox.pool import SandboxPool

MBPP_PLUS_FILE = (
    pathlib.Path(__file__).parents[3] / "shared" / "data" / "eval" / "mbpp_plus.jsonl"
)
CRUX = [
    {"id": "sample_0", "code": "def f(n):\n    return n + 1", "input": "1"},
    {"id": "sample_1", "code": "def f(n):\n    return n > 0", "input": "5"},
]
CRUX[0]["output"], CRUX[1]["output"] = "2", "True"
HUMAN = {
    "task_id": "HumanEval/0",
    "prompt": "def add(a, b):\n",
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}
LIVE = {
    "question_id": "abc_a",
    "question_title": "Sum",
    "question_content": "Print the sum.",
    "platform": "atcoder",
    "contest_date": "2024-01-01T00:00:00",
    "difficulty": "easy",
    "starter_code": "",
    "metadata": "{}",
    "public_test_cases": json.dumps(
        [{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]
    ),
    "private_test_cases": "[]",
}
SUM = "print(sum(map(int, input().split())))\n"


def _score(tmp_path: pathlib.Path, name: str, data, generations: str, *words: str):
    data_path, gen_path = tmp_path / "data.jsonl", tmp_path / "gen.json"
    data_path.write_text("".join(json.dumps(record) + "\n" for record in data))
    gen_path.write_text(generations)
    out = tmp_path / "results.json"
    command = ["score", name, "--data", str(data_path), "--generations", str(gen_path)]
    assert main([*command, "--out", str(out), "--workers", "1", *words]) == 0
    return json.loads(out.read_text())


def _value(results, rule: str, k: str = "pass@1") -> float:
    return results["scores"][rule][k]["value"]


def test_an_answer_with_the_call_in_it_leaves_the_count_as_the_official_scorer_does(
    tmp_path,
) -> None:
    generations = {"sample_0": ["2", "f(1)"], "sample_1": ["False", "True"]}
    results = _score(tmp_path, "cruxeval-o", CRUX, json.dumps(generations))
    # Official: 1 of 1 that count, and 1 of 2: (1 + 1/2) / 2. Strict: 1/2 both.
    assert _value(results, "official") == pytest.approx(0.75)
    assert _value(results, "strict") == pytest.approx(0.5)
    assert results["verdicts"]["official"]["left_out"] == 1
    assert results["items"]["sample_0"]["official"] == [True, None]


def test_an_item_that_is_refused_or_wrong_throughout_counts_as_nought(
    tmp_path,
) -> None:
    # A model that is right on one item and repeats the call on the other: 1/2, not 1.
    generations = {"sample_0": ["2", "f(1)"], "sample_1": ["f(5)", "f(5)"]}
    results = _score(
        tmp_path, "cruxeval-o", CRUX, json.dumps(generations), "--k", "1,2"
    )
    score = results["scores"]["official"]["pass@1"]
    assert (score["value"], score["n"], score["items_left_out"]) == (0.5, 2, 0)
    assert results["items"]["sample_1"]["official"] == [False, False]
    # Of sample_0 one generation counts and is right: any draw of two holds it.
    assert _value(results, "official", "pass@2") == pytest.approx((1 + 0) / 2)
    # Wrong and refused: 0 of 2, not 0 of 1; for inputs alike.
    generations = {"sample_0": ["3", "f(2)"], "sample_1": ["f(1)", "7"]}
    results = _score(tmp_path, "cruxeval-i", CRUX, json.dumps(generations))
    assert results["items"]["sample_0"]["official"] == [False, False]
    assert results["items"]["sample_1"]["official"] == [True, None]
    assert results["excluded"]["official"] == 1
    assert _value(results, "official") == pytest.approx((0 + 1) / 2)


def test_equality_lets_one_through_for_true_and_the_strict_rule_does_not(
    tmp_path,
) -> None:
    generations = {"sample_0": ["1 + 1"], "sample_1": ["1"]}
    results = _score(tmp_path, "cruxeval-o", CRUX, json.dumps(generations))
    assert _value(results, "official") == 1.0
    assert _value(results, "strict") == 0.0


def test_an_input_is_right_when_the_call_gives_the_output(tmp_path) -> None:
    generations = {"sample_0": ["f(1)", "f(2)"], "sample_1": ["f(3)", "3"]}
    results = _score(tmp_path, "cruxeval-i", CRUX, json.dumps(generations))
    # "3" is no call: left out officially (1/2 and 1/1), wrong strictly (1/2 and 1/2).
    assert _value(results, "official") == pytest.approx(0.75)
    assert _value(results, "strict") == pytest.approx(0.5)


def test_a_call_that_cannot_be_made_outside_is_wrong_and_ends_no_scoring(
    tmp_path,
) -> None:
    calls = ["f(...)", f"f({'[' * 199}{']' * 199})", "f(\0)", "f({[]})", "f(4)"]
    generations = {"sample_1": calls}
    words = ("--partial",)
    results = _score(tmp_path, "cruxeval-i", CRUX, json.dumps(generations), *words)
    for rule in ("official", "strict"):
        assert results["items"]["sample_1"][rule] == [False] * 4 + [True]


def test_human_eval_goes_on_from_the_prompt_and_forgers_pass_only_officially(
    tmp_path,
) -> None:
    writer = (
        "import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b't\\n')\n"
        "    except OSError:\n        pass\nos._exit(0)\n"
    )
    forger = "class Any:\n    __eq__ = lambda *_: True\nadd = lambda a, b: Any()\n"
    lines = [
        {"task_id": "HumanEval/0", "completion": "    return a + b\n"},
        {"task_id": "HumanEval/0", "completion": "    return a - b\n"},
        {"task_id": "HumanEval/0", "solution": forger},
        {"task_id": "HumanEval/0", "solution": writer},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    results = _score(tmp_path, "humaneval", [HUMAN], text, "--k", "1,2,5")
    # pass@2 with c = 3 of n = 4: 1 - C(1, 2) / C(4, 2) = 1; with c = 1: 1 - 3/6.
    assert results["items"]["HumanEval/0"]["official"] == [True, False, True, True]
    assert results["items"]["HumanEval/0"]["strict"] == [True, False, False, False]
    assert _value(results, "official", "pass@2") == pytest.approx(1.0)
    assert _value(results, "strict", "pass@2") == pytest.approx(1 / 2)
    assert "pass@5" not in results["scores"]["official"]


ADD = "def add(a, b):\n    return a + b\n"
EARLY_ENDS = (  # openai/human-eval: BaseException, or no result, is a failure
    "exit()\n",
    "import sys\nsys.exit()\n",
    "raise SystemExit\n",
    "import os\nos._exit(0)\n",
    "import sys\ndef add(a, b):\n    sys.exit(0)\n",
    "import os, atexit\natexit.register(os._exit, 0)\ndef add(a, b):\n    return 1\n",
)
# What they run is no main program, so this is never reached, and `exit` is no function.
GUARDED = (
    ADD + "if __name__ == '__main__':\n    print(add(*map(int, input().split())))\n"
)
NO_EXIT = f"{ADD}try:\n    exit()\nexcept Exception:\n    pass\n"


@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_a_program_that_ends_before_its_tests_fails_and_a_guarded_main_is_not_run(
    tmp_path, name
) -> None:
    record = HUMAN
    if name == "mbpp":
        asserts = ["assert add(1, 2) == 3"]
        record = {"task_id": 11, "text": "Add.", "code": ADD, "test_list": asserts}
    item_id = "HumanEval/0" if name == "humaneval" else "Mbpp/11"
    programs = [*EARLY_ENDS, ADD, GUARDED, NO_EXIT]
    lines = [json.dumps({"task_id": item_id, "solution": s}) for s in programs]
    results = _score(tmp_path, name, [record], "\n".join(lines))
    found = results["items"][item_id]["official"]
    assert found == [False] * len(EARLY_ENDS) + [True] * 3


def test_an_answer_to_cruxeval_that_ends_the_process_is_wrong(tmp_path) -> None:
    answers = ["exit()", "__import__('sys').exit()", "__import__('os')._exit(0)", "2"]
    generations = {"sample_0": answers}
    words = ("--partial",)
    results = _score(tmp_path, "cruxeval-o", CRUX, json.dumps(generations), *words)
    assert results["items"]["sample_0"]["official"] == [False, False, False, True]
    calls = {"sample_0": ["exit() or f(1)", "f(exit())", "f(1)"]}
    results = _score(tmp_path, "cruxeval-i", CRUX, json.dumps(calls), *words)
    assert results["items"]["sample_0"]["official"] == [False, False, True]


@pytest.mark.parametrize(
    "generations",
    [[{"question_id": "abc_a", "code_list": [SUM, "print(4)"]}], [[SUM, "print(4)"]]],
    ids=["by id", "in the order of ids"],
)
def test_live_code_bench_is_read_in_both_of_its_forms(tmp_path, generations) -> None:
    results = _score(tmp_path, "livecodebench", [LIVE], json.dumps(generations))
    assert results["items"]["abc_a"]["official"] == [True, False]
    assert results["verdicts"]["official"] == {"accepted": 1, "wrong_output": 1}


def test_lists_without_ids_are_in_the_order_of_sorted_ids(tmp_path) -> None:
    path = tmp_path / "generations.json"
    path.write_text(json.dumps([["for 10"], ["for 9"], ["for a"]]))
    found = read_generations("livecodebench", path, ["a", "9", "10"])
    # As texts "10" < "9" < "a"; the file of the benchmark has another order.
    assert {i: [c.text for c in cs] for i, cs in found.items()} == {
        "a": ["for a"],
        "9": ["for 9"],
        "10": ["for 10"],
    }


CALLS = LIVE | {
    "question_id": "3001",
    "starter_code": "class Solution:\n    def index(self, a: List[int]) -> int:\n        ",
    "metadata": json.dumps({"func_name": "index"}),
    "public_test_cases": json.dumps(
        [{"input": "[3, 4]", "output": "[[1, 2], 1]", "testtype": "functional"}]
    ),
}
_METHOD = "class Solution:\n    def index(self, a: List[int]) -> int:\n        "


def _right(tmp_path, record, sources):
    """(official, strict) of each program."""
    entry = {"question_id": record["question_id"], "code_list": sources}
    results = _score(tmp_path, "livecodebench", [record], json.dumps([entry]))
    found = results["items"][record["question_id"]]
    return list(zip(found["official"], found["strict"], strict=True))


def test_functions_of_live_code_bench_find_its_imports_and_compare_by_equality(
    tmp_path,
) -> None:
    programs = {
        # `List`, a module and a recursion of 20,000 without a word of import; the
        # method's name is also that of an import, operator.index.
        "return [[1, 2], len(str(reduce(gcd, a)))]": (True, True),
        "g = lambda n: n and g(n - 1)\n        return [[1, 2], 1 + g(20_000)]": (
            True,
            True,
        ),
        "return ([1, 2], 1)": (True, False),  # a tuple, at the outermost level
        "return [(1, 2), 1]": (False, False),  # and below it
        "return [[1, 2], True]": (True, False),  # True == 1
        "return [[1, 2.0], 1]": (True, False),
        "return [[1, 3], 1]": (False, False),
        "sys.exit(0)": (False, False),
    }
    sources = [_METHOD + body for body in programs]
    sources.append("def index(a):\n    return [[1, 2], 1]\n")
    main = "if __name__ == '__main__':\n    print(input())\n"
    sources.append(f"{_METHOD}return [[1, 2], 1]\n{main}")
    found = _right(tmp_path, CALLS, sources)
    assert found == [*programs.values(), (True, True), (True, True)]


def test_programs_of_live_code_bench_may_exit_as_they_like_but_not_strictly(
    tmp_path,
) -> None:
    answer = "print(sum(map(int, input().split())))\n"
    programs = {
        "data = defaultdict(int)\n" + answer: (True, True),
        answer + "sys.exit(1)\n": (True, False),
        f"from sys import exit\n{answer}exit('bye')\n": (True, False),
        answer + "exit(3)\n": (True, False),
        answer + "raise SystemExit(2)\n": (True, False),
        f"try:\n    {answer}    quit(1)\nexcept SystemExit:\n    raise\n": (
            True,
            False,
        ),
        answer + "sys.exit()\n": (True, True),
        answer + "1 / 0\n": (False, False),
        "sys.exit(0)\n" + answer: (False, False),
        "print('" + "x" * 20: (False, False),
    }
    assert _right(tmp_path, LIVE, list(programs)) == list(programs.values())


def test_what_a_results_file_holds(tmp_path, capsys) -> None:
    lm_path = tmp_path / "lm.json"
    generations = json.dumps({"sample_0": ["2"]})
    words = ("--partial", "--export", f"lm-eval={lm_path}")
    results = _score(tmp_path, "cruxeval-o", CRUX, generations, *words)
    assert results["is_partial"] is True
    assert results["data"]["num_items"] == 2
    assert results["generations"]["num_items"] == 1
    assert len(results["data"]["sha256"]) == 64
    assert results["limits"]["cpu_secs"] == 3.0
    assert results["machine"]["backend"]
    assert "(partial)" in capsys.readouterr().out
    lm_eval = json.loads(lm_path.read_text())
    assert lm_eval["results"]["cruxeval-o"]["pass@1,official"] == 1.0
    assert lm_eval["results"]["cruxeval-o"]["pass@1_stderr,official"] == 0.0
    assert lm_eval["higher_is_better"]["cruxeval-o"]["pass@1,strict"] is True
    assert results["excluded"] == {"official": 0, "strict": 0, "infra_failed": 0}
    assert results["machine"]["cpu"] and len(results["machine"]["python_sha256"]) == 64
    assert results["model"] is None and results["sampling"] is None  # nobody told
    counts = {"original": 2, "effective": 1}
    assert lm_eval["n-samples"]["cruxeval-o"] == counts


def test_problems_that_bring_their_limits_are_not_said_to_have_others(tmp_path) -> None:
    tests = [{"stdin": "1 2", "stdout": "3"}]
    limits = {"cpu_secs": 7.0, "memory_mib": 99}
    record = {"id": "sum", "tests": tests, "limits": limits}
    text = json.dumps({"task_id": "sum", "solution": SUM})
    results = _score(tmp_path, "jsonl", [record], text)
    assert results["limits"] == "each problem's own"
    live = json.dumps([{"question_id": "abc_a", "code_list": [SUM]}])
    results = _score(tmp_path, "livecodebench", [LIVE], live)
    assert results["limits"] == {"cpu_secs": 6, "memory_mib": 1024, "output_mib": 8}


def test_what_nobody_but_the_generator_knows_is_told_beside_the_file(tmp_path) -> None:
    about = tmp_path / "about.json"
    told = {"model": {"name": "m"}, "sampling": {"n": 1, "temperature": 0.2}}
    about.write_text(json.dumps(told | {"data_version": "release_v5"}))
    generations = json.dumps({"sample_0": ["2"], "sample_1": ["1"]})
    words = ("--about", str(about))
    results = _score(tmp_path, "cruxeval-o", CRUX, generations, *words)
    assert results["model"] == {"name": "m"} and results["sampling"]["n"] == 1
    assert results["data"]["version"] == "release_v5"
    about.write_text('{"modle": {}}')
    with pytest.raises(UserError, match="any of model, sampling"):
        load_about(about)


def test_only_items_of_the_window_of_dates_count(tmp_path) -> None:
    later = LIVE | {"question_id": "abc_b", "contest_date": "2024-09-01T00:00:00"}
    entries = [
        {"question_id": "abc_a", "code_list": ["print(4)"]},
        {"question_id": "abc_b", "code_list": [SUM]},
    ]
    text = json.dumps(entries)
    whole = _score(tmp_path, "livecodebench", [LIVE, later], text)
    assert _value(whole, "official") == 0.5
    assert whole["data"]["date_window"] == ["2024-01-01", "2024-09-01"]
    since = ("--since", "2024-08-01")
    part = _score(tmp_path, "livecodebench", [LIVE, later], text, *since)
    assert _value(part, "official") == 1.0 and list(part["items"]) == ["abc_b"]
    assert part["data"]["date_window"] == ["2024-09-01", "2024-09-01"]


@pytest.mark.parametrize(
    "generations",
    [[{"question_id": "abc_b", "code_list": [SUM]}], [[SUM]]],
    ids=["by id", "in the order of ids"],
)
def test_generations_of_a_window_alone_are_whole(tmp_path, generations) -> None:
    later = LIVE | {"question_id": "abc_b", "contest_date": "2024-09-01T00:00:00"}
    since = ("--since", "2024-08-01")
    text = json.dumps(generations)
    found = _score(tmp_path, "livecodebench", [LIVE, later], text, *since)
    assert _value(found, "official") == 1.0 and list(found["items"]) == ["abc_b"]
    assert not found["is_partial"]


def test_a_window_of_dates_without_generations_is_refused(tmp_path, capsys) -> None:
    later = LIVE | {"question_id": "abc_b", "contest_date": "2024-09-01T00:00:00"}
    text = json.dumps([{"question_id": "abc_a", "code_list": [SUM]}])
    data, generations = tmp_path / "data.jsonl", tmp_path / "gen.json"
    data.write_text(f"{json.dumps(LIVE)}\n{json.dumps(later)}\n")
    generations.write_text(text)
    command = ["score", "livecodebench", "--data", str(data), "--partial"]
    command += ["--generations", str(generations), "--out", str(tmp_path / "out")]
    assert main([*command, "--since", "2024-08-01"]) == 2
    assert "for some of the 1 items of the window" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "gen.json"], "must be no inputs; got gen.json"),
        (["--out", "sub/../data.jsonl"], "must be no inputs"),
        (["--out", "sub"], "must name files; sub is a folder"),
        (["--out", "gen.json/results.json"], "gen.json is no such folder"),
        (["--out", "r.json", "--export", "lm-eval=gen.json"], "must be no inputs"),
    ],
)
def test_where_results_cannot_go_is_said_before_anything_is_judged(
    tmp_path, words, message, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    text = json.dumps([{"question_id": "abc_a", "code_list": [SUM]}])
    pathlib.Path("gen.json").write_text(text)
    pathlib.Path("data.jsonl").write_text(json.dumps(LIVE) + "\n")
    pathlib.Path("sub").mkdir()
    files = ["--data", "data.jsonl", "--generations", "gen.json"]
    assert main(["score", "livecodebench", *files, *words]) == 2
    assert message in capsys.readouterr().err
    assert pathlib.Path("gen.json").read_text() == text


@pytest.mark.parametrize("ks", ["0", "abc", "1,,2", ""])
def test_a_k_that_is_no_number_from_one_is_refused(ks, capsys) -> None:
    command = ["score", "mbpp", "--data", "x", "--generations", "x", "--out", "x"]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--k", ks])
    assert stopped.value.code == 2
    assert "must be numbers from 1, as in 1,5,10" in capsys.readouterr().err


@pytest.mark.parametrize(
    "since,until,message",
    [
        ("2025-01-01", "", "run from 2024-01-01"),
        ("yesterday", "", "written as 2024-10-01"),
    ],
)
def test_a_window_without_items_or_of_no_dates_is_refused(
    tmp_path, since, until, message
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(LIVE) + "\n")
    with pytest.raises(UserError, match=message):
        items_between(load_items("livecodebench", path), since, until)


MBPP_PLUS = {
    "task_id": "Mbpp/3",
    "prompt": "Halve it.",
    "entry_point": "half",
    "canonical_solution": "def half(x):\n    return x / 2\n",
    "base_input": [[2]],
    "plus_input": [[1], [0.5], [-3]],
    "assertion": "\nassert half(2) == 1\n",
    "atol": 0,
}


def _mbpp_solutions(bodies) -> str:
    """A line of generations for each expression that `half` may return."""
    solutions = (f"def half(x):\n    return {body}" for body in bodies)
    return "\n".join(
        json.dumps({"task_id": "Mbpp/3", "solution": s}) for s in solutions
    )


def test_mbpp_plus_holds_a_program_against_the_reference(tmp_path) -> None:
    bodies = {
        "x / 2": True,
        "x * 0.5 + 1e-9": True,  # floats within 1e-6
        "x * 0.5 + 1e-5": False,
        "x // 2": False,  # the base input holds, a further one does not
    }
    text = _mbpp_solutions(bodies)
    results = _score(tmp_path, "mbpp-plus", [MBPP_PLUS], text)
    assert results["items"]["Mbpp/3"]["official"] == list(bodies.values())
    assert results["limits"] == {"cpu_secs": 120, "memory_mib": 4096, "output_mib": 8}
    # MBPP itself, and its rule in the results, is about the asserts alone.
    plain = _score(tmp_path, "mbpp", [MBPP_PLUS], text)
    assert plain["items"]["Mbpp/3"]["official"] == [True, False, False, True]


def test_a_reference_that_fails_is_an_error_that_names_the_task(tmp_path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(MBPP_PLUS | {"plus_input": [[1], ["text"]]}))
    items = load_items("mbpp-plus", path)
    generations = {"Mbpp/3": (Completion(text="def half(x):\n    return x / 2"),)}
    with (
        SandboxPool(1) as pool,
        pytest.raises(UserError, match="of Mbpp/3 must return"),
    ):
        list(grade_all(pool, items, generations))


HUMAN_PLUS = {
    "task_id": "HumanEval/1",
    "prompt": "def half(x):\n",
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "base_input": [[2], [4]],
    "plus_input": [[3], [5]],
    "plus_expected_repr": ["1.5", "2.5"],
    "atol": 0,
}
ONLY_BASE = HUMAN_PLUS | {
    "task_id": "HumanEval/2",
    "plus_input": [],
    "plus_expected_repr": [],
}
ROOT = HUMAN_PLUS | {
    "task_id": "HumanEval/32",
    "prompt": "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n\n"
    "def find_zero(xs):\n",
    "entry_point": "find_zero",
    "canonical_solution": "    return 2.0\n",
    "base_input": [[[-4, 0, 1]]],
    "plus_input": [],
    "plus_expected_repr": [],
    "atol": 1e-4,
}


def test_human_eval_plus_runs_base_and_plus_inputs_against_the_reference(
    tmp_path,
) -> None:
    both = {
        "x / 2": (True, True),
        "x * 0.5 + 1e-9": (True, True),  # floats within 1e-6
        "x * 0.5 + 1e-5": (False, False),
        # Right for the plus inputs, 3 and 5, or for the base inputs, 2 and 4.
        "x / 2 if x % 2 else 0": (False, True),
        "x // 2": (False, False),
    }
    base = {"x // 2": True, "0": False}  # strictly left out: no result is known
    roots = {"2.0": True, "-2.0": True, "1.0": False}  # of x * x - 4
    lines = [
        json.dumps({"task_id": record["task_id"], "completion": f"    return {body}\n"})
        for record, bodies in ((HUMAN_PLUS, both), (ONLY_BASE, base), (ROOT, roots))
        for body in bodies
    ]
    data = [HUMAN_PLUS, ONLY_BASE, ROOT]
    results = _score(tmp_path, "humaneval-plus", data, "\n".join(lines), "--partial")
    found = results["items"]
    rows = zip(found["HumanEval/1"]["official"], found["HumanEval/1"]["strict"])
    assert list(rows) == list(both.values())
    assert found["HumanEval/2"] == {
        "official": list(base.values()),
        "strict": [None, None],
    }
    assert found["HumanEval/32"]["official"] == list(roots.values())
    assert "base and plus inputs" in results["rules"]["official"]


def test_human_eval_plus_takes_no_list_for_a_tuple_and_no_near_nested_result(
    tmp_path,
) -> None:
    # evalplus: `==`, or near where all of the result is a flat row of floats.
    answers = {
        "(x / 2, x / 4)": {
            "(x / 2, x / 4)": True,
            "(x / 2, x / 4 + 1e-9)": True,
            "(x / 2, x / 4 + 1e-5)": False,
            "[x / 2, x / 4]": False,
            "(x / 2,)": False,
        },
        "(x, 107)": {"(x, 107)": True, "[x, 107]": False, "(x + 0.0, 107)": True},
        "[x, 107]": {"[x, 107]": True, "(x, 107)": False},
        "[x / 2, [1]]": {"[x / 2, [1]]": True, "[x / 2 + 1e-9, [1]]": False},
        "x": {"x": True, "x + 1e-9": False},
        "float('inf')": {"float('inf')": True, "1e300": False},
    }
    data = [
        ONLY_BASE
        | {"task_id": f"HumanEval/{i}", "canonical_solution": f" return {ref}"}
        for i, ref in enumerate(answers)
    ]
    lines = [
        json.dumps({"task_id": record["task_id"], "completion": f" return {body}\n"})
        for record, bodies in zip(data, answers.values())
        for body in bodies
    ]
    results = _score(tmp_path, "humaneval-plus", data, "\n".join(lines), "--partial")
    for record, bodies in zip(data, answers.values()):
        found = results["items"][record["task_id"]]["official"]
        assert found == list(bodies.values()), record["canonical_solution"]


def test_mbpp_plus_calls_with_the_types_of_the_task_and_compares_them(
    tmp_path,
) -> None:
    # Task 106 is about a list and a tuple, which stand as two lists in the file.
    reference = "def add_lists(xs, t):\n    return t + tuple(xs)\n"
    record = MBPP_PLUS | {
        "task_id": "Mbpp/106",
        "entry_point": "add_lists",
        "canonical_solution": reference,
        "base_input": [[[5, 6], [9, 10]]],
        "plus_input": [[[], [0.5]]],
        "assertion": "assert add_lists([5, 6], (9, 10)) == (9, 10, 5, 6)",
    }
    listed = reference.replace("t + tuple(xs)", "list(t) + xs")
    sources = [reference, listed, "exit()\n", f"inf = nan = 10\n{reference}"]
    lines = [json.dumps({"task_id": "Mbpp/106", "solution": s}) for s in sources]
    results = _score(tmp_path, "mbpp-plus", [record], "\n".join(lines))
    assert results["items"]["Mbpp/106"]["official"] == [True, False, False, True]


@pytest.mark.slow
def test_an_input_that_takes_too_long_ends_a_program_of_mbpp_plus(tmp_path) -> None:
    # The reference takes no time: 4 s for the input, which ends in the fifth second.
    text = _mbpp_solutions(["x / 2 if x else [0 for _ in iter(int, 1)]"])
    record = MBPP_PLUS | {"plus_input": [[0]]}
    results = _score(tmp_path, "mbpp-plus", [record], text)
    assert results["verdicts"]["official"] == {"time_limit": 1}


def test_records_of_human_eval_and_of_its_plus_version_are_told_apart(tmp_path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(HUMAN_PLUS) + "\n")
    with pytest.raises(UserError, match=r"HumanEval\+, which has a rule of its own"):
        load_items("humaneval", path)
    path.write_text(json.dumps(HUMAN) + "\n")
    with pytest.raises(UserError, match="no base_input and plus_input"):
        load_items("humaneval-plus", path)


def test_an_mbpp_record_without_asserts_or_without_further_inputs_is_refused(
    tmp_path,
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(MBPP_PLUS).replace("plus_", "p_"))
    with pytest.raises(UserError, match=r"no plus_input, as MBPP\+ has"):
        load_items("mbpp-plus", path)
    record = {k: v for k, v in MBPP_PLUS.items() if k != "assertion"}
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(UserError, match="neither test_list nor assertion"):
        load_items("mbpp-plus", path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cruxeval", b'{"sample_0": ["2"]}', "1 of 2 items have no generation"),
        ("cruxeval", b'{"sample_0": ["2"], "x": ["1"]}', "no item 'x'"),
        (
            "cruxeval",
            b'{"sample_0": ["2"], "sample_1": ["1", "2"]}',
            "'sample_1' has 2",
        ),
        ("cruxeval", b'{"sample_0": "2"}', "the generations are"),
        ("cruxeval", b"[]", "it holds a list"),
        ("cruxeval", b'{"sample_0": [\n"\xff"]}', ":2: the file must be UTF-8"),
        ("cruxeval", b"{}", "it holds none"),
        (
            "cruxeval",
            b'{"sample_0": ["2"],\n"sample_1": ["\\ud800"]}',
            ":2: a generation must be text that UTF-8",
        ),
        (
            "samples",
            b'{"task_id": "sample_0", "completion": "\\udfff"}\n',
            ":1: a generation must be text that UTF-8",
        ),
        ("livecodebench", b'{"sample_0": ["2"]}', "it holds a dict"),
        ("livecodebench", b'{"task_id": "a"}\n{"task_id": "b"}', "It looks like"),
        (
            "cruxeval",
            b'{"task_id": "a", "completion": ""}\n{"task_id": "a"}\n',
            "It looks like JSON lines",
        ),
        ("samples", b'{"task_id": "sample_0"}\n', ":1: must be as in JSON lines"),
        ("samples", b'{"sample_0": ["2"]}\n', "name that one"),
        ("samples", b"not json\n", "is no JSON"),
        ("livecodebench", b'[["x"]]', "it has 1"),
        ("livecodebench", b'[{"question_id": "q"}]', "entry 0"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_place(
    tmp_path, name, content, message
) -> None:
    path = tmp_path / "generations"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as refused:
        read_generations(name, path, ["sample_0", "sample_1"])
    assert str(path) in str(refused.value)


def test_a_huge_completion_is_refused_with_its_length(tmp_path) -> None:
    path = tmp_path / "generations"
    path.write_text(json.dumps({"sample_0": ["x" * (2**20 + 1)]}))
    with pytest.raises(UserError, match="1,048,577"):
        read_generations("cruxeval", path, ["sample_0"])


@pytest.mark.parametrize("form", sorted(RENDERERS))
def test_written_generations_are_read_back_the_same(tmp_path, form) -> None:
    generations = {
        "a": (Completion(text="x = 'é\\n'\n"), Completion(text="")),
        "b": (Completion(text="</script>"), Completion(text="\u2028")),
    }
    path = tmp_path / "generations"
    path.write_text(RENDERERS[form](generations))
    assert read_generations(form, path, ["a", "b"]) == generations


def test_results_in_the_forms_of_human_eval_and_evalplus(tmp_path) -> None:
    text = json.dumps({"task_id": "HumanEval/0", "completion": "    return a + b\n"})
    results = _score(tmp_path, "humaneval", [HUMAN], f"{text}\n")
    generations = {
        "HumanEval/0": (Completion(text="    return a + b\n", is_whole_program=False),)
    }
    items = load_items("humaneval", tmp_path / "data.jsonl")
    for form in ("human-eval", "evalplus"):
        export_results(form, tmp_path / form, results, generations, items)
    line = json.loads((tmp_path / "human-eval").read_text())
    assert line["passed"] is True and line["task_id"] == "HumanEval/0"
    assert line["completion"] == "    return a + b\n"
    plus = json.loads((tmp_path / "evalplus").read_text())
    (entry,) = plus["eval"]["HumanEval/0"]
    assert (entry["base_status"], entry["plus_status"]) == ("pass", None)
    assert entry["solution"] == "def add(a, b):\n    return a + b\n"  # with its prompt
    assert plus["pass_at_k"] == {"base": {"pass@1": 1.0}}


@pytest.mark.parametrize(
    ("name", "record"), [("humaneval-plus", HUMAN_PLUS), ("mbpp-plus", MBPP_PLUS)]
)
def test_the_plus_side_of_evalplus_is_base_and_plus_inputs_together(
    tmp_path, name, record
) -> None:
    # `x // 2` is right for the base inputs, which are even, and not for the others.
    bodies = ("x / 2", "x // 2", "0")
    sources = [f"def half(x):\n    return {body}\n" for body in bodies]
    lines = [json.dumps({"task_id": record["task_id"], "solution": s}) for s in sources]
    results = _score(tmp_path, name, [record], "\n".join(lines))
    generations = {record["task_id"]: tuple(Completion(text=s) for s in sources)}
    items = load_items(name, tmp_path / "data.jsonl")
    export_results("evalplus", tmp_path / "out", results, generations, items)
    written = json.loads((tmp_path / "out").read_text())
    entries = written["eval"][record["task_id"]]
    assert [entry["plus_status"] for entry in entries] == ["pass", "fail", "fail"]
    assert {entry["base_status"] for entry in entries} == {None}
    assert written["pass_at_k"] == {"plus": {"pass@1": pytest.approx(1 / 3)}}
    assert "base_status is unknown" in written["note"]


def test_a_completion_of_mbpp_is_exported_without_its_prompt_of_prose(tmp_path) -> None:
    program = "def half(x):\n    return x / 2\n"
    text = json.dumps({"task_id": "Mbpp/3", "completion": program})
    record = MBPP_PLUS | {"prompt": "Write a function to halve a number."}
    results = _score(tmp_path, "mbpp-plus", [record], f"{text}\n")
    assert _value(results, "official") == 1.0
    generations = {"Mbpp/3": (Completion(text=program, is_whole_program=False),)}
    items = load_items("mbpp-plus", tmp_path / "data.jsonl")
    export_results("evalplus", tmp_path / "out", results, generations, items)
    (entry,) = json.loads((tmp_path / "out").read_text())["eval"]["Mbpp/3"]
    assert entry["solution"] == program


def test_no_program_ends_the_scoring_of_a_benchmark_without_references() -> None:
    problem = Problem(
        id="p",
        statement="",
        tests=(),
        checker="exact",
        source="",
        composition="p",
        call_tests=(
            CallCase(
                function="f",
                arguments=(),
                expected_result=1,
                visibility=Visibility.PRIVATE,
            ),
        ),
    )

    def rule(completion):
        return judged(problem, completion.text)

    item = BenchmarkItem(id="p", record={}, official=rule, strict=rule)
    values = (REFERENCE_FAILED, 1)
    sources = [Completion(text=f"def f():\n    return {value!r}") for value in values]
    with SandboxPool(1) as pool:
        grades = list(grade_all(pool, [item], {"p": tuple(sources)}))
    assert [grade.official.passed for grade in grades] == [False, True]
    assert grades[0].official.verdict == "wrong_output"


@pytest.mark.skipif(not MBPP_PLUS_FILE.exists(), reason="MBPP+ is not on this machine")
def test_references_of_the_real_mbpp_plus_pass_its_rule() -> None:
    # Of tuples, sets and complex numbers, and of all kinds of special comparisons.
    ids = [f"Mbpp/{n}" for n in (2, 63, 115, 124, 278, 558, 581, 722, 737, 793)]
    items = [i for i in load_items("mbpp-plus", MBPP_PLUS_FILE) if i.id in ids]
    generations = {
        item.id: (Completion(text=item.record["canonical_solution"]),) for item in items
    }
    with SandboxPool(1) as pool:
        grades = list(grade_all(pool, items, generations))
    assert [g.item_id for g in grades if g.official.passed] == ids
