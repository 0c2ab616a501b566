"""A spec as a Python program, in one of two styles."""

from simex.problems.sources.curriculum.spec import (
    ARRANGEMENTS,
    FILTERS,
    MAPS,
    REDUCERS,
    Spec,
)

STYLES = ("nested", "guarded")


def render_program(spec: Spec, style: str) -> str:
    """A whole program for `spec`.

    Style "nested" puts what follows a filter inside its `if`; style "guarded" skips
    with `continue` (with a `for` feed only: a `while` loop would lose its countdown).
    """
    start, update, shown = REDUCERS[spec.reducer]
    is_guarded = style == "guarded" and spec.feed != "digits"
    body = _render_body(spec, update, is_guarded=is_guarded)
    lines = [*_render_head(spec), start, *_render_loop(spec, body), f"print({shown})"]
    return "\n".join(lines) + "\n"


def _render_head(spec: Spec) -> list[str]:
    if spec.feed != "list":
        return ["n = int(input())"]
    lines = ["a = list(map(int, input().split()))"]
    if spec.arrangement != "none":
        lines.append(f"a = {ARRANGEMENTS[spec.arrangement]}")
    return lines


def _render_loop(spec: Spec, body: list[str]) -> list[str]:
    if spec.feed == "digits":
        body = ["x = n % 10", *body, "n //= 10"]
        header = "while n > 0:"
    elif spec.feed == "range":
        header = "for x in range(1, n + 1):"
    else:
        header = "for x in a:"
    return [header, *(f"    {line}" for line in body)]


def _render_body(spec: Spec, update: tuple[str, ...], is_guarded: bool) -> list[str]:
    lines: list[str] = []
    variable, indent = "x", ""
    for step in spec.steps:
        if step.is_filter:
            condition = FILTERS[step.name].format(v=variable, c=step.constant)
            if is_guarded:
                lines += [f"if not {condition}:", "    continue"]
            else:
                lines.append(f"{indent}if {condition}:")
                indent += "    "
        else:
            expression = MAPS[step.name].format(v=variable, c=step.constant)
            variable = "y" if variable == "x" else "z"
            lines.append(f"{indent}{variable} = {expression}")
    return lines + [indent + line.format(v=variable) for line in update]
