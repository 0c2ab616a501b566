"""Examples to look at: program, trace with its changes marked, checked explanation.

A dataset holds prompts and targets only. The program is read back from the prompt and
run again in the sandbox, so that what is shown is checked anew and not believed.
"""

import dataclasses
import html
import pathlib
import re
from collections.abc import Sequence

from simex.core.errors import UserError
from simex.data.builder import load_split
from simex.data.records import Example
from simex.nlex import layout
from simex.nlex.grounding import Grounding, check_text
from simex.nlex.truth import Truth
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
    return "\n\n".join([title, *map(_render_text, shown)])


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


_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;
color:#222;background:#fff}
pre,td{font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap}
pre{background:#f6f6f4;padding:.7em;border-radius:4px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1em}
table{border-collapse:collapse;width:100%}td{border-bottom:1px solid #e4e4e0;
padding:.1em .6em;vertical-align:top}.changed{background:#fff3c4}
.true{background:#d9f2dd}.false{background:#ffd4d0;text-decoration:underline wavy #b00}
h2{margin-top:2em;border-top:2px solid #ccc;padding-top:.6em;font-size:1.1em}
@media(max-width:60em){.pair{display:block}}
"""


def _render_page(title: str, shown: Sequence[Shown]) -> str:
    sections = "\n".join(map(_render_section, shown))
    head = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{head}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{head}</h1>\n{sections}\n</body></html>\n"
    )


def _render_section(shown: Shown) -> str:
    example = shown.example
    left = [
        _block("program" if shown.source else "prompt", shown.source or example.prompt)
    ]
    if shown.stdin:
        left.append(_block("input", shown.stdin))
    right = []
    if shown.thought:
        marked = "".join(
            f'<span class="{kind}" title="{html.escape(reason)}">{html.escape(text)}</span>'
            if kind
            else html.escape(text)
            for text, kind, reason in _spans(shown)
        )
        right.append(f"<h3>explanation</h3><pre>{marked}</pre>")
    if shown.grounding is not None and shown.thought:
        right.append(f"<p>{html.escape(_summary(shown.grounding))}</p>")
        right += [
            f"<p>at {j.statement.start}: {html.escape(j.reason)}</p>"
            for j in shown.grounding.false_statements
        ]
    right.append(_block("answer", shown.answer))
    below = f"<p>no trace: {html.escape(shown.problem)}</p>" if shown.problem else ""
    if shown.trace is not None:
        below = (
            f"<h3>trace</h3><table>{''.join(map(_row, _rows_of(shown.trace)))}</table>"
        )
    return (
        f"<h2>{html.escape(example.id)} · {html.escape(example.task)}</h2>"
        f'<div class="pair"><div>{"".join(left)}</div><div>{"".join(right)}</div></div>'
        f"{below}"
    )


def _row(cells: tuple[str, str, str]) -> str:
    line, code, changes = map(html.escape, cells)
    mark = ' class="changed"' if changes else ""
    return f"<tr><td>{line}</td><td>{code}</td><td{mark}>{changes}</td></tr>"


def _block(name: str, text: str) -> str:
    return f"<h3>{name}</h3><pre>{html.escape(text)}</pre>"
