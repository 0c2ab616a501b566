"""Contestants that take turns, each in a process of its own.

A machine is never as fast now as a minute ago. So all contestants are made ready first,
and then each does one round after the other: what slows one slows all. Each has its own
process, since the best settings of jax for simex are not those for its peers.
"""

import multiprocessing
import os
import statistics
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

Round = Callable[[int], dict[str, float]]  # number of the round -> figures
Maker = Callable[[], Round]  # imports, loads, compiles


def take_turns(
    makers: Mapping[str, Maker],
    *,
    rounds: int,
    environ: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, list[dict[str, float]]]:
    """The figures of every round of every contestant; one warm-up round is left out.

    Args:
        makers: by name; functions of a module, since the processes import them.
        rounds: that count.
        environ: of the process of each contestant, over the present one.
    """
    context = multiprocessing.get_context("spawn")
    processes, ends = {}, {}
    for name, maker in makers.items():
        here, there = context.Pipe()
        added = dict((environ or {}).get(name, {}))
        process = context.Process(target=_serve, args=(there, maker, added))
        process.start()
        there.close()
        processes[name], ends[name] = process, here
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in makers}
    for number in range(-1, rounds):
        for name, end in ends.items():
            end.send(number)
            answer = end.recv()  # EOFError where the contestant died
            if number >= 0:
                figures[name].append(answer)
    for name, end in ends.items():
        end.close()
        processes[name].join()
    return figures


def medians(figures: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over rounds."""
    return {key: statistics.median(f[key] for f in figures) for key in figures[0]}


def _serve(end: Connection, maker: Maker, environ: dict[str, str]) -> None:
    os.environ.update(environ)
    play: Any = None
    while True:
        try:
            number = end.recv()
        except EOFError:
            return
        play = maker() if play is None else play
        end.send(play(number))
