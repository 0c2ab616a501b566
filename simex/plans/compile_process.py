"""The process that compiles: requests in by stdin, one line of JSON a program out.

Apart from the process that asks, because a compiler may crash or be killed for memory,
and because jax learns the number of its CPU devices once. Stdout is kept for answers:
what libraries print there goes to stderr.
"""

import json
import os
import pickle
import sys
from typing import Any, NamedTuple

from simex.plans.stage import Stage
from simex.plans.topology import Topology


class Request(NamedTuple):
    """One program to compile."""

    stage: Stage
    program: str
    topology: Topology
    compiles: bool = True  # else only what its arguments take is asked for


def main() -> None:
    """Answers every request of stdin, in order."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from simex.plans.measure import measure

    requests: list[Any] = pickle.load(sys.stdin.buffer)
    for request in requests:
        report = measure(Request(*request))
        answers.write(json.dumps(report.to_json()) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
