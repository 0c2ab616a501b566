"""Examples to look at: program, trace with its changes marked, checked explanation.

All that programs and models wrote is untrusted: control characters are written out, the
page is escaped and forbids scripts and requests.

A dataset holds prompts and targets only. The program is read back from the prompt and
run again in the sandbox, so that what is shown is checked anew and not believed.
"""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

from markupsafe import Markup

from simex.core.errors import UserError
from simex.data.builder import load_split
from simex.data.records import Example
from simex.nlex import layout
from simex.nlex.grounding import Grounding, check_text
from simex.nlex.truth import Truth
from simex.report.page import make_environment, page_style
from simex.report.printable import printable
from simex.sandbox.pool import SandboxPool
from simex.traces.collect import TraceFailure, collect_traces
from simex.traces.trace import Event, EventKind, Trace

MAX_ROWS = 200  # of a trace
_CALL = re.compile(r"\nassert (?P<call>.*) == \?\?$", re.DOTALL)
_COMPACT = re.compile(r"^(?:\S+=|call |.* (?:yes|no)\b)", re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shown:
    """One example with all that is known about it."""

    example: Example
    source: str
    stdin: str
    thought: str
    answer: str
    trace: Trace | None
    grounding: Grounding | None
    problem: str = ""  # why there is no trace


def render_dataset(
    path: pathlib.Path, *, split: str, first: int, count: int, is_html: bool
) -> str:
    """Items `first` to `first + count` of a split, for a terminal or as a page.

    Raises:
      UserError: no such split, or fewer items.
    """
    examples = load_split(path, split)
    if first >= len(examples):
        raise UserError(
            f"--first must be below {len(examples)}, the size of {split}; got {first}."
        )
    chosen = examples[first : first + count]
    shown = _check_all(chosen)
    title = f"{path} {split} {first} to {first + len(chosen) - 1} of {len(examples)}"
    if is_html:
        return _render_page(title, shown)
    return printable("\n\n".join([title, *map(_render_text, shown)]))


def _check_all(examples: Sequence[Example]) -> list[Shown]:
    parsed = [_parse(example) for example in examples]
    runs = [(p.source, p.stdin) for p in parsed if p.source]
    if not runs:
        return parsed
    with SandboxPool(num_workers=1) as pool:
        traces = iter(list(collect_traces(pool, runs, verify=False)))
    return [_check(p, next(traces)) if p.source else p for p in parsed]


def _check(shown: Shown, trace: Trace | TraceFailure) -> Shown:
    if isinstance(trace, TraceFailure):
        return dataclasses.replace(shown, problem=trace.reason)
    grounding = check_text(shown.thought, Truth(trace), style=find_style(shown.thought))
    return dataclasses.replace(shown, trace=trace, grounding=grounding)


def find_style(thought: str) -> str:
    """The style that `thought` is written in, as it looks."""
    if "<code> " in thought:
        return "raw_trace"
    lines = [line for line in thought.splitlines() if line.strip()]
    told = sum(bool(_COMPACT.match(line)) for line in lines)
    is_prose = any(line.rstrip().endswith(".") and " " in line for line in lines)
    return "compact" if 2 * told >= len(lines) and not is_prose else "prose"


def _parse(example: Example) -> Shown:
    """The program, its input and the parts of the answer, as the layout has them."""
    source, stdin, rest = "", "", example.prompt
    if rest.startswith(layout.PYTHON) and layout.END_PYTHON in rest:
        source, _, rest = rest[len(layout.PYTHON) :].rpartition(layout.END_PYTHON)
        stdin = rest.partition(layout.INPUT)[2]
        if call := _CALL.search(source):
            source = f"{source[: call.start()]}\nprint(repr({call['call']}))"
        source += "\n"
    thought, answer = "", example.target
    for start, end in (
        (layout.THINK, layout.END_THINK),
        (layout.THOUGHT, layout.END_THOUGHT),
    ):
        if answer.startswith(start) and end in answer:
            thought, _, answer = answer[len(start) :].partition(end)
    problem = "" if source else "the prompt holds no program that runs by itself"
    return Shown(
        example=example,
        source=source,
        stdin=stdin,
        thought=thought,
        answer=answer,
        trace=None,
        grounding=None,
        problem=problem,
    )


def _render_text(shown: Shown) -> str:
    parts = [f"=== {shown.example.id} ({shown.example.task})"]
    if shown.source:
        parts += ["--- program", _number_lines(shown.source)]
    else:
        parts += ["--- prompt", shown.example.prompt]
    if shown.stdin:
        parts += ["--- input", shown.stdin]
    if shown.trace is not None:
        parts += ["--- trace", *map(" | ".join, _rows_of(shown.trace))]
    if shown.problem:
        parts.append(f"--- no trace: {shown.problem}")
    if shown.thought:
        parts += ["--- explanation (false statements in >>> <<<)", _mark_text(shown)]
    if shown.grounding is not None and shown.thought:
        parts.append(_summary(shown.grounding))
        parts += [
            f"  at {j.statement.start}: {j.reason}"
            for j in shown.grounding.false_statements
        ]
    return "\n".join([*parts, "--- answer", shown.answer])


def _summary(grounding: Grounding) -> str:
    num_false = len(grounding.false_statements)
    return (
        f"{grounding.num_statements} statements, {num_false} false; "
        f"{100 * grounding.completeness:.0f} % of the facts told"
    )


def _number_lines(source: str) -> str:
    lines = source.rstrip("\n").split("\n")
    return "\n".join(f"{number:3} {line}" for number, line in enumerate(lines, 1))


def _rows_of(trace: Trace) -> list[tuple[str, str, str]]:
    """Line, code or what happens, and what it changed (old value, arrow, new)."""
    source = trace.source.split("\n")
    values: dict[tuple[int, str], str] = {}
    rows: list[tuple[str, str, str]] = []
    last_row: dict[int, int] = {}  # of each depth: the line whose effects come next
    for event in trace.events[:MAX_ROWS]:
        if event.kind is EventKind.CALL:  # of another frame, whose variables are new
            values = {k: v for k, v in values.items() if k[0] != event.depth}
        changes = []
        for name, value in event.changed.items():
            before = values.get((event.depth, name))
            old = f"{before} → " if before is not None else ""
            changes.append(f"{name}: {old}{value}")
            values[event.depth, name] = value
        told = "; ".join(changes)
        cause = None if event.kind is EventKind.CALL else last_row.get(event.depth)
        if cause is not None and told:
            line, what, before_it = rows[cause]
            rows[cause] = (line, what, "; ".join(filter(None, (before_it, told))))
            told = ""
        rows.append((f"{event.line:3}", _what(event, source), told))
        last_row[event.depth] = len(rows) - 1
    if len(trace.events) > MAX_ROWS:
        rows.append(("", f"… {len(trace.events) - MAX_ROWS} more events", ""))
    return rows


def _what(event: Event, source: Sequence[str]) -> str:
    indent = "  " * event.depth
    match event.kind:
        case EventKind.LINE:
            code = source[event.line - 1] if event.line <= len(source) else ""
            return f"{indent}{code.strip()}"
        case EventKind.CALL:
            return f"{indent}call {event.function}"
        case EventKind.RETURN:
            return f"{indent}return {event.value or 'None'}"
        case EventKind.EXCEPTION:
            return f"{indent}raise {event.value or ''}"
        case EventKind.STDOUT:
            return f"{indent}print {event.value or ''!r}"


def _spans(shown: Shown) -> list[tuple[str, str, str]]:
    """The explanation in pieces: text, "true", "false" or "", and the reason."""
    pieces: list[tuple[str, str, str]] = []
    position = 0
    for judged in shown.grounding.judged if shown.grounding else ():
        statement = judged.statement
        if statement.start < position:
            continue
        pieces.append((shown.thought[position : statement.start], "", ""))
        kind = "true" if judged.is_true else "false"
        text = shown.thought[statement.start : statement.end]
        pieces.append((text, kind, judged.reason))
        position = statement.end
    return [*pieces, (shown.thought[position:], "", "")]


def _mark_text(shown: Shown) -> str:
    return "".join(
        f">>>{text}<<<" if kind == "false" else text for text, kind, _ in _spans(shown)
    )


def _render_page(title: str, shown: Sequence[Shown]) -> str:
    template = make_environment("dataset.html.j2").get_template("dataset.html.j2")
    return template.render(
        title=title,
        shown=shown,
        style=Markup(page_style("dataset.css")),
        spans=_spans,
        summary=_summary,
        rows=_rows_of,
    )
