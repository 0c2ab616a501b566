"""The style for small models: every value, few tokens, one line an iteration."""

from simex.nlex.explanation import Explanation
from simex.nlex.facts import Fact, FactKind, collect_facts
from simex.traces.trace import Trace


def rewrite_compact(trace: Trace) -> Explanation:
    """Tells `trace` as `name=value`, `name+=element`, `yes` and `no`.

    What was worked out stands before its result, with values for variables. For
    ``t = 0`` and ``for x in [4, 7]: if x < 5: t += x`` it says::

        t=0
        x=4 4 < 5 yes 0 + 4 t=4
        x=7 7 < 5 no
    """
    lines: list[list[str]] = []
    for fact in collect_facts(trace):
        if fact.is_new_line or not lines:
            lines.append([])
        lines[-1].append(_render_fact(fact))
    text = "\n".join(" ".join(line) for line in lines)
    return Explanation(text=text, claimed_output=trace.stdout.rstrip(), style="compact")


def _render_fact(fact: Fact) -> str:
    statement = _render_statement(fact)
    return f"{fact.working} {statement}" if fact.working else statement


def _render_statement(fact: Fact) -> str:
    match fact.kind:
        case FactKind.SET:
            return f"{fact.name}={fact.value}"
        case FactKind.APPEND:
            return f"{fact.name}+={fact.value}"
        case FactKind.BRANCH:
            return fact.value
        case FactKind.CALL:
            return f"call {fact.name}"
        case FactKind.RETURN:
            return f"return {fact.value}"
        case FactKind.RAISE:
            return f"raise {fact.value}"
