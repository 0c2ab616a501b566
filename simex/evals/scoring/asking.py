"""How the items of a benchmark are asked: ids to sample from, and what was answered.

"task" asks as simex trains: a solver gets the statement and public tests, a predictor
of calls begins its completion with its explanation. "text" is for a model that was
trained by others: it goes on from plain text, and what it writes is cut where an answer
must end. Neither sees a hidden test.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simex.core.names import unknown_name
from simex.evals import cruxeval_prompts
from simex.evals.scoring.benchmarks import get_benchmark
from simex.evals.scoring.cruxeval_rules import crux_item
from simex.evals.scoring.generations import Completion
from simex.nlex.layout import ANSWER, END_ANSWER, END_PYTHON, PYTHON
from simex.problems.problem import Problem
from simex.problems.sources.table import get_source
from simex.tasks import solve
from simex.tokens.chat import render_prompt
from simex.tokens.tokenizer import Tokenizer

Record = Mapping[str, Any]
FENCE = "```"
# Where a program that goes on from text has ended: what begins a test, or a new file.
_PROGRAM_ENDS = ("\nassert ", "\nif __name__", "\nprint(", FENCE, '\n"""', "\n'''")
_BODY_ENDS = (*_PROGRAM_ENDS, "\ndef ", "\nclass ", "\n#", "\n@")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asking:
    """One way to ask. What cannot be read as an answer is an empty completion."""

    ask: Callable[[Tokenizer, Record], list[int]]
    read: Callable[[str, Record, bool], Completion]  # text, record, was it cut off?


def find_asking(benchmark: str, style: str) -> Asking:
    """Raises UserError for a style that the benchmark does not have."""
    source = get_benchmark(benchmark).source
    askings = _askings(benchmark, source)
    if style not in askings:
        raise unknown_name(f"style of {benchmark}", style, askings)
    return askings[style]


def _askings(benchmark: str, source: str) -> Mapping[str, Asking]:
    if benchmark == "cruxeval-i":
        return {"text": Asking(ask=_ask_for_input, read=_read_input)}
    if source == "cruxeval":
        return {
            "text": _ask_cruxeval("shots"),
            "direct": _ask_cruxeval("direct"),
            "task": _ask_cruxeval("explain"),
        }

    def parse(record: Record) -> Problem:
        return get_source(source).parse(record).problem

    def ask_to_solve(tokenizer: Tokenizer, record: Record) -> list[int]:
        problem = parse(record)
        statement = problem.statement
        if source == "mbpp":
            statement += f"{_first_assert(record)}\n"
        elif problem.starter and problem.starter not in statement:
            statement += f"\n{problem.starter}\n"
        prompt = solve.render_prompt(statement, problem.public_tests)
        return render_prompt(tokenizer, prompt)

    def ask_in_text(tokenizer: Tokenizer, record: Record) -> list[int]:
        return tokenizer.encode(
            _TEXTS.get(source, _contest_text)(record, parse(record))
        )

    is_body = source == "humaneval"
    ends: Sequence[str] = {"humaneval": _BODY_ENDS, "mbpp": _PROGRAM_ENDS}.get(
        source, (FENCE,)
    )

    def read_text(text: str, record: Record, is_cut_off: bool) -> Completion:
        del is_cut_off
        text = cut(text, ends)
        if source not in _TEXTS:
            text = _with_starter(text, _starter(record))
        return Completion(text=text, is_whole_program=not is_body)

    return {
        "task": Asking(ask=ask_to_solve, read=_read_solution),
        "text": Asking(ask=ask_in_text, read=read_text),
    }


def cut(text: str, ends: Sequence[str]) -> str:
    """The text before the first of `ends` that stands in it."""
    places = [place for end in ends if (place := text.find(end)) >= 0]
    return text[: min(places)] if places else text


def _read_solution(text: str, record: Record, is_cut_off: bool) -> Completion:
    del record
    answer = solve.parse_completion(text, is_truncated=is_cut_off)
    return Completion(text=answer.value or "")


def _ask_cruxeval(name: str) -> Asking:
    ask, parse = cruxeval_prompts.STYLES[name]
    return Asking(
        ask=lambda tokenizer, record: ask(tokenizer, crux_item(record)),
        read=lambda text, record, is_cut_off: Completion(
            text=parse(text, crux_item(record)) or ""
        ),
    )


def _ask_for_input(tokenizer: Tokenizer, record: Record) -> list[int]:
    item = crux_item(record)
    shots = "".join(
        f"{PYTHON}{code}{END_PYTHON}\n{ANSWER}assert {value} == {call}{END_ANSWER}\n\n"
        for code, call, value in cruxeval_prompts.SHOTS
    )
    head = "Complete each assertion with a call that returns the value.\n\n"
    question = f"{PYTHON}{item.code}{END_PYTHON}\n{ANSWER}assert {item.output} =="
    return tokenizer.encode(head + shots + question)


def _read_input(text: str, record: Record, is_cut_off: bool) -> Completion:
    del record, is_cut_off
    return Completion(text=text.partition(END_ANSWER)[0].strip().partition("\n")[0])


def _humaneval_text(record: Record, problem: Problem) -> str:
    del record
    return problem.starter


def _mbpp_text(record: Record, problem: Problem) -> str:
    return f'"""\n{problem.statement.strip()}\n{_first_assert(record)}\n"""\n'


def _first_assert(record: Record) -> str:
    """It names the function, and how it is called."""
    asserts = record.get("test_list") or str(record.get("assertion")).split("\n")
    return next(line for line in asserts if "assert" in line).strip()


def _contest_text(record: Record, problem: Problem) -> str:
    examples = "".join(
        f"\nInput:\n{test.stdin.rstrip()}\nOutput:\n{test.expected_stdout.rstrip()}\n"
        for test in problem.public_tests
    )
    ask = "This Python program reads standard input and solves the problem."
    if _starter(record):
        ask = "This Python code solves the problem."
    return (
        f"{problem.statement.rstrip()}\n{examples}\n{ask}\n\n{FENCE}python\n"
        f"{_starter(record)}"
    )


def _starter(record: Record) -> str:
    """Whole lines: from inside an indent a model would go on by another one.

    Of the record itself, because to parse one unpacks all its tests.
    """
    starter = str(record.get("starter_code") or record.get("starter") or "").rstrip()
    return f"{starter}\n" if starter else ""


def _with_starter(text: str, starter: str) -> str:
    """The program that `text` makes of the starter which its prompt ended with.

    A model may also begin anew; then what it wrote is the whole program.
    """
    heads = re.findall(r"^(?:class|def) \w+", starter, re.MULTILINE)
    is_anew = any(re.search(rf"^{head}\b", text, re.MULTILINE) for head in heads)
    return text if is_anew else starter + text


_TEXTS: Mapping[str, Callable[[Record, Problem], str]] = {
    "humaneval": _humaneval_text,
    "mbpp": _mbpp_text,
}
