"""The driver: a process that holds tests, expected outputs, checkers and retries.

`python -P -m simex.sandbox.driver CONFIG_JSON`. The trainer starts it with subprocess
and talks to it over a socket pair; the driver starts the workers. It ends, and all its
workers with it, when the trainer hangs up or is no more.

Threads: main reads, one judges and starts runs, one sends, one serves each worker.
"""

import functools
import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future

from simex.core.errors import InfraError, UserError
from simex.sandbox.backends import BACKENDS, NO_JAIL_WARNING, Unsafe, choose_backend
from simex.sandbox.backends.layers import SWITCHES
from simex.sandbox.crew import Crew
from simex.sandbox.interpreter import find_interpreter
from simex.sandbox.judging import Judging, RunMemory
from simex.sandbox.messages import (
    Answer,
    Answers,
    Ask,
    Channel,
    DriverConfig,
    Health,
    HealthRequest,
    Hello,
    JudgeRequest,
    Result,
    make_portable,
)
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.tally import Tally

_LOOK_FOR_PARENT_SECS = 2.0


def count_usable_cores() -> int:
    """Cores that this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Driver:
    """Answers every ask once, as soon as its answer is known."""

    def __init__(
        self, channel: Channel, crew: Crew, *, memory: RunMemory, tally: Tally
    ):
        self._channel, self._crew = channel, crew
        self._memory, self._tally = memory, tally
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def serve(self) -> None:
        """Until the trainer hangs up."""
        for loop in (self._judge_forever, self._send_forever):
            threading.Thread(target=loop, daemon=True).start()
        parent = os.getppid()
        while os.getppid() == parent:
            try:
                asks: list[Ask] = self._channel.receive(_LOOK_FOR_PARENT_SECS)
            except TimeoutError:
                continue
            except EOFError:
                return
            for ask in asks:
                self._events.put(functools.partial(self._begin, ask))

    def _judge_forever(self) -> None:
        while True:
            self._events.get()()

    def _send_forever(self) -> None:
        while True:
            ready = [self._answers.get()]
            while not self._answers.empty():
                ready.append(self._answers.get())
            message = Answers(answers=tuple(ready), totals=self._tally.totals())
            try:
                self._channel.send(message)
            except OSError:
                return  # nobody listens; the reader sees it too

    def _begin(self, ask: Ask) -> None:
        finish = functools.partial(self._answer, ask.id)
        match request := ask.parse():
            case RunRequest():
                try:
                    run = self._crew.submit(request, (ask.id, 0))
                except InfraError as error:
                    finish(error)
                else:
                    run.add_done_callback(lambda done: finish(_result_of(done)))
            case JudgeRequest():
                self._begin_judging(ask.id, request, finish)
            case HealthRequest():
                pids = tuple(self._crew.worker_pids())
                finish(Health(driver_pid=os.getpid(), worker_pids=pids))

    def _begin_judging(
        self, place: int, request: JudgeRequest, finish: Callable[[Result], None]
    ) -> None:
        try:
            Judging(
                request.item,
                place=place,
                early_stop=request.early_stop,
                start_run=self._memory.run,
                later=self._events.put,
                finish=finish,
                tally=self._tally,
            ).start()
        except (UserError, InfraError) as error:
            finish(error)

    def _answer(self, ask_id: int, result: Result) -> None:
        if isinstance(result, BaseException):
            result = make_portable(result)
        self._answers.put(Answer(id=ask_id, result=result))


def _result_of(done: Future[RunOutcome]) -> Result:
    return done.exception() or done.result()


def _make_driver(config: DriverConfig, channel: Channel) -> tuple[Driver, Crew]:
    switched_off = frozenset(config.switched_off)
    if not switched_off <= SWITCHES:
        raise UserError(f"Known layers: {sorted(SWITCHES)}; got {set(switched_off)}.")
    if config.is_known_to_work:
        backend = BACKENDS[config.backend]
    else:
        backend = choose_backend(config.backend, allow_unsafe=config.allow_unsafe)
    num_workers = config.num_workers or count_usable_cores()
    version = find_interpreter().version
    tally = Tally()
    crew = Crew(num_workers, backend, tally=tally, switched_off=switched_off)
    memory = RunMemory(
        crew.submit,
        max_entries=config.max_remembered,
        interpreter_version=version,
        tally=tally,
    )
    hello = Hello(
        backend=backend.name,
        interpreter_version=version,
        num_workers=num_workers,
        warning=NO_JAIL_WARNING if backend.name == Unsafe.name else "",
    )
    channel.send(hello)
    return Driver(channel, crew, memory=memory, tally=tally), crew


def main() -> None:
    config = DriverConfig(**json.loads(sys.argv[1]))
    channel = Channel(socket.socket(fileno=config.socket_fd))
    try:
        driver, crew = _make_driver(config, channel)
    except (UserError, InfraError) as error:
        channel.send(Hello(error=error))
        return
    driver.serve()
    crew.close()


if __name__ == "__main__":
    main()
