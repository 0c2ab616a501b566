"""From trace to explanation. A rewriter is one function and one line here."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from simex.nlex.explanation import Explanation
from simex.nlex.rewriters.compact import rewrite_compact
from simex.nlex.rewriters.prose import rewrite_prose
from simex.nlex.rewriters.raw_trace import rewrite_raw_trace
from simex.traces.trace import Trace

Rewriter = Callable[[Trace], Explanation]

REWRITERS: Mapping[str, Rewriter] = {
    "compact": rewrite_compact,
    "prose": rewrite_prose,
    "raw_trace": rewrite_raw_trace,
}

# As the annotation of a setting: the names of the table, and refused before the run.
if TYPE_CHECKING:
    StyleName = str
else:
    StyleName = Literal[tuple(REWRITERS)]
