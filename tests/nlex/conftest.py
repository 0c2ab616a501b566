"""Traces of small programs, run in the sandbox once for all tests of this room."""

import pytest

from simex.sandbox.pool import SandboxPool
from simex.traces.collect import collect_traces
from simex.traces.trace import Trace


@pytest.fixture(scope="session")
def trace_of():
    """A function from source and stdin to the trace."""
    with SandboxPool(1) as pool:

        def run(source: str, stdin: str = "") -> Trace:
            (trace,) = collect_traces(pool, [(source, stdin)], verify=False)
            assert isinstance(trace, Trace), trace
            return trace

        yield run
