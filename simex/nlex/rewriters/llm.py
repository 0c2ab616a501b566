"""A language model tells the trace, by the rules of the paper's prompt and one of ours.

The paper (arXiv 2604.03253) asks for the values of every step. Here loops that are too
long to be told so may be summed up: no answer has room for ten thousand steps, and one
that is cut is lost. The paper keeps an explanation if the output that it ends with is
the true one; whoever calls this can ask `check_grounding` about all the rest.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator

from simex.nlex.completion import Completer, CompletionFailure
from simex.nlex.evaluate import Unknowable, evaluate
from simex.nlex.explanation import Explanation
from simex.nlex.raw_lines import make_raw_lines
from simex.traces.trace import Trace

STYLE = "llm"
_RULES = """\
Explain step by step what the Python program below does on the given input.

Rules:
- Name the concrete values at every step: what each variable becomes, how each condition
  turns out, how often each loop runs.
- The program may be wrong. Tell what happens, and correct nothing.
- You are given the record of the run, so that you make no mistakes. Never mention it:
  write as one who works the steps out from the program alone.
- A loop too long to be told step by step may be summarised, with the values before and
  after.
- End with one line that holds the whole output as a Python string literal:
  Output: 'first line\\nsecond line'
"""
_OUTPUT = re.compile(r"^\W{0,4}Output\W{0,4}:\**[ \t]*(.+?)[ \t`]*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewriteFailure:
    """Why there is no explanation of a trace."""

    reason: str


@dataclasses.dataclass
class Counts:
    """What came of the traces so far."""

    num_explanations: int = 0
    num_failures: int = 0

    def __str__(self) -> str:
        return f"{self.num_explanations} explanations, {self.num_failures} failures"


class LlmRewriter:
    """Rewrites many traces at a time; results come in the order of the traces."""

    def __init__(self, completer: Completer):
        """`completer` may be an endpoint, a cache before it, or a checkpoint."""
        self._completer = completer
        self.counts = Counts()

    def rewrite_all(
        self, traces: Iterable[Trace]
    ) -> Iterator[Explanation | RewriteFailure]:
        """An explanation or a failure for each trace."""
        prompts = map(render_prompt, traces)
        for result in self._completer.complete_all(prompts):
            if isinstance(result, CompletionFailure):
                told: Explanation | RewriteFailure = RewriteFailure(
                    reason=f"no completion: {result.reason}"
                )
            else:
                told = parse_explanation(result.text)
            if isinstance(told, RewriteFailure):
                self.counts.num_failures += 1
            else:
                self.counts.num_explanations += 1
            yield told


def render_prompt(trace: Trace) -> str:
    """The rules, the program, its input, and the record of the run."""
    record = "\n".join(what + value for what, value in make_raw_lines(trace))
    return (
        f"{_RULES}\nProgram:\n```python\n{trace.source.rstrip()}\n```\n\n"
        f"Input:\n```\n{trace.stdin.rstrip()}\n```\n\n"
        f"Record of the run:\n```\n{record}\n```\n\n"
        f"Output of the run: {trace.stdout.rstrip()!r}\n"
    )


def parse_explanation(text: str) -> Explanation | RewriteFailure:
    """What a model wrote, split into the words and the output that they end with."""
    text = text.rpartition("</think>")[2].strip()
    if text.startswith("<think>"):
        return RewriteFailure(reason="its thinking does not end")
    found = list(_OUTPUT.finditer(text))
    if not found:
        return RewriteFailure(reason="it does not end with an output")
    words = text[: found[-1].start()].rstrip()
    if not words:
        return RewriteFailure(reason="it explains nothing")
    return Explanation(
        text=words, claimed_output=_unquote(found[-1][1].strip("` ")), style=STYLE
    )


def _unquote(literal: str) -> str:
    try:
        value = evaluate(literal, {})
    except Unknowable:
        return literal
    # "Output: 11" is meant as the text 11.
    return value.rstrip() if isinstance(value, str) else literal
