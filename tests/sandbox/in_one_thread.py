"""The driver's judge without its process and threads."""

import queue
from collections.abc import Callable

from simex.problems.problem import TestCase, Visibility
from simex.sandbox.judging import Judging, StartRun
from simex.sandbox.tally import Tally


def case(stdin: str, expected: str) -> TestCase:
    return TestCase(
        stdin=stdin, expected_stdout=expected, visibility=Visibility.PRIVATE
    )


def judge_in_one_thread(start_run: StartRun, item, *, early_stop=False):
    """One judgement or error, and the tally."""
    events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    results, tally = [], Tally()
    Judging(
        item,
        place=1,
        early_stop=early_stop,
        start_run=start_run,
        later=events.put,
        finish=results.append,
        tally=tally,
    ).start()
    while not results:
        events.get(timeout=60)()
    return results[0], tally.totals()
