"""How benchmarks are asked, and what is read of an answer; no hidden test is shown."""

import json
import types

import numpy as np
import pytest

from simex.core.errors import UserError
from simex.evals.scoring.asking import cut, find_asking
from simex.evals.scoring.benchmarks import BENCHMARKS, load_items
from simex.jobs.evaluate_benchmark import _Answerer, _read_answers
from simex.sampling.samples import Stop
from simex.tasks import solve
from tests.evals.test_scoring import CRUX, HUMAN, HUMAN_PLUS, LIVE, MBPP_PLUS

CODECONTESTS = {
    "name": "sum",
    "description": "Print the sum.",
    "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
    "private_tests": {"input": ["40 50\n"], "output": ["90\n"]},
    "generated_tests": {"input": [], "output": []},
    "solutions": {"language": [], "solution": []},
    "incorrect_solutions": {"language": [], "solution": []},
}
HIDDEN = json.dumps([{"input": "40 50\n", "output": "90\n", "testtype": "stdin"}])
RECORDS = {
    "cruxeval-o": CRUX[0],
    "cruxeval-i": CRUX[0],
    "humaneval": HUMAN,
    "humaneval-plus": HUMAN_PLUS,
    "mbpp": MBPP_PLUS,
    "mbpp-plus": MBPP_PLUS,
    "livecodebench": LIVE | {"private_test_cases": HIDDEN},
    "codecontests": CODECONTESTS,
    "jsonl": {
        "id": "sum",
        "statement": "Print the sum.",
        "tests": [
            {"stdin": "1 2\n", "stdout": "3\n", "visibility": "public"},
            {"stdin": "40 50\n", "stdout": "90\n"},
        ],
    },
}


class Letters:
    """A tokenizer of characters, which leaves prompts readable."""

    user_ids, assistant_ids, end_id = [1], [2], 3

    def encode(self, text):
        return [ord(character) + 10 for character in text]

    def decode(self, ids):
        return "".join(chr(i - 10) for i in ids if i >= 10)


def ask(benchmark, style):
    asking = find_asking(benchmark, style)
    return Letters().decode(asking.ask(Letters(), RECORDS[benchmark]))


@pytest.mark.parametrize("benchmark", sorted(BENCHMARKS))
@pytest.mark.parametrize("style", ["task", "text"])
def test_every_benchmark_is_asked_without_its_hidden_tests(benchmark, style):
    if (benchmark, style) == ("cruxeval-i", "task"):
        with pytest.raises(UserError, match="style of cruxeval-i"):
            find_asking(benchmark, style)
        return
    prompt = ask(benchmark, style)
    assert "40 50" not in prompt and "90" not in prompt
    wanted = {"cruxeval-o": "f(1)", "cruxeval-i": "assert 2 ==", "humaneval": "def add"}
    wanted["humaneval-plus"] = "def half"
    named = "half(2)" if "mbpp" in benchmark else "1 2\n"
    assert wanted.get(benchmark, named) in prompt


def test_the_output_of_cruxeval_is_never_in_its_prompt():
    record = CRUX[0] | {"output": "987"}
    for style in ("task", "text", "direct"):
        ids = find_asking("cruxeval-o", style).ask(Letters(), record)
        assert "987" not in Letters().decode(ids)
    ids = find_asking("cruxeval-i", "text").ask(Letters(), record | {"input": "654"})
    assert "654" not in Letters().decode(ids)


def read(benchmark, style, text, is_cut_off=False):
    asking = find_asking(benchmark, style)
    return asking.read(text, RECORDS[benchmark], is_cut_off)


def test_a_body_ends_where_another_definition_begins():
    body = "    return a + b\n\ndef other():\n    pass\n"
    completion = read("humaneval", "text", body)
    assert completion.text == "    return a + b\n" and not completion.is_whole_program


def test_a_program_may_define_several_functions_and_ends_before_its_tests():
    text = "def g(x):\n    return x\ndef half(x):\n    return g(x) / 2\nassert half(2) == 1"
    completion = read("mbpp", "text", text)
    assert completion.text == text.partition("\nassert")[0]
    assert completion.is_whole_program
    assert read("codecontests", "text", "print(1)\n```\nbla").text == "print(1)\n"


def test_a_body_in_text_follows_the_starter_that_the_prompt_ended_with():
    starter = "class Solution:\n    def index(self, a: List[int]) -> int:\n        "
    record = LIVE | {"starter_code": starter}
    asking = find_asking("livecodebench", "text")
    prompt = Letters().decode(asking.ask(Letters(), record))
    # Whole lines: the model writes the indent of the body, too.
    lines = "class Solution:\n    def index(self, a: List[int]) -> int:\n"
    assert prompt.endswith(f"```python\n{lines}")
    body = "        return 3\n"
    completion = asking.read(f"{body}```\nDone.", record, False)
    assert completion.text == lines + body and completion.is_whole_program
    compile(completion.text.replace("List[int]", "list"), "program", "exec")
    anew = f"class Solution:\n    def index(self, a):\n{body}"
    assert asking.read(anew, record, False).text == anew
    assert asking.read("print(3)\n", LIVE, False).text == "print(3)\n"


def test_a_solution_that_was_cut_off_is_no_answer():
    target = solve.render_target("", "print(3)\n")
    assert read("livecodebench", "task", target).text == "print(3)\n"
    assert read("livecodebench", "task", target, is_cut_off=True).text == ""
    assert read("livecodebench", "task", "no code").text == ""


def test_answers_to_cruxeval_are_values_and_calls():
    assert read("cruxeval-o", "text", " 2[/ANSWER] more").text == "2"
    assert read("cruxeval-i", "text", " f(1)[/ANSWER]").text == "f(1)"
    assert cut("abc", ("x",)) == "abc" and cut("abxcx", ("x", "b")) == "a"


class Sampler:
    """A seam: says each request's seed path, and has room for short prompts only."""

    max_prompt_len, max_total_len, stop_ids = 400, 440, (3,)

    def sample(self, params, requests, method):
        for request in requests:
            text = repr(request.seed_path)
            ids = np.array([*Letters().encode(text), 3], np.int32)
            yield types.SimpleNamespace(ids=ids, stop=Stop.STOP_ID)


def test_answers_name_their_samples_by_item_and_number_and_know_no_room(tmp_path):
    path = tmp_path / "data.jsonl"
    long = CRUX[1] | {"code": CRUX[1]["code"] + "#" * 500}
    path.write_text("".join(json.dumps(r) + "\n" for r in (CRUX[0], long, CRUX[0])))
    items = load_items("cruxeval-o", path)
    policy = types.SimpleNamespace(
        sampler=Sampler(),
        params=None,
        tokenizer=Letters(),
        method=None,
        max_new_tokens=20,
    )
    asking = find_asking("cruxeval-o", "direct")
    answerer = _Answerer(policy=policy, asking=asking, samples=2, seed=7)
    lines = list(answerer.answer(10, items))
    assert [line["text"] for line in lines] == [
        "(7, 10, 0)",
        "(7, 10, 1)",
        "",
        "",
        "(7, 12, 0)",
        "(7, 12, 1)",
    ]
    assert [line["end"] for line in lines[1:3]] == ["stop_id", "no_room"]
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines[:4]))
    found = _read_answers(answers, items[:2], asking)
    assert [c.text for c in found["sample_0"]] == ["(7, 10, 0)", "(7, 10, 1)"]
    assert [c.text for c in found["sample_1"]] == ["", ""]
    assert answerer.hash_prompts(items) != answerer.hash_prompts(items[:1])
