"""No rewriting at all: the trace as it is, for studies of what prose is worth."""

from simex.nlex.explanation import Explanation
from simex.nlex.raw_lines import make_raw_lines
from simex.traces.trace import Trace


def rewrite_raw_trace(trace: Trace) -> Explanation:
    """The lines of the trace, values where they change."""
    text = "\n".join(what + value for what, value in make_raw_lines(trace))
    return Explanation(
        text=text, claimed_output=trace.stdout.rstrip(), style="raw_trace"
    )
