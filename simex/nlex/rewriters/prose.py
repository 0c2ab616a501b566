"""The style for models that read prose: whole sentences that name each line."""

from simex.nlex.explanation import Explanation
from simex.nlex.facts import Fact, FactKind, collect_facts
from simex.traces.trace import Trace


def rewrite_prose(trace: Trace) -> Explanation:
    """Tells `trace` in sentences, a paragraph line for each statement or iteration."""
    lines: list[list[str]] = []
    for fact in collect_facts(trace):
        if fact.is_new_line or not lines:
            lines.append([])
        lines[-1].append(_render_fact(fact))
    text = "\n".join(" ".join(line) for line in lines)
    return Explanation(text=text, claimed_output=trace.stdout.rstrip(), style="prose")


def _render_fact(fact: Fact) -> str:
    match fact.kind:
        case FactKind.SET:
            worked_out = f"{fact.working}, which is " if fact.working else ""
            return f"On line {fact.line}, {fact.name} becomes {worked_out}{fact.value}."
        case FactKind.APPEND:
            return f"On line {fact.line}, {fact.value} is appended to {fact.name}."
        case FactKind.BRANCH:
            outcome = "holds" if fact.value == "yes" else "does not hold"
            condition = f" {fact.working}" if fact.working else ""
            return f"The condition{condition} on line {fact.line} {outcome}."
        case FactKind.CALL:
            return f"The function {fact.name} is called."
        case FactKind.RETURN:
            return f"{fact.name} returns {fact.value}."
        case FactKind.RAISE:
            return f"{fact.value} is raised on line {fact.line}."
