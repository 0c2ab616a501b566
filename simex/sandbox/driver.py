"""The driver: a process that holds tests, expected outputs, checkers and retries.

`python -P -m simex.sandbox.driver CONFIG_JSON`. The trainer starts it with subprocess
and talks to it over a socket pair; the driver starts the workers. It ends, and all its
workers with it, when the trainer hangs up or is no more.

Threads: main reads, one judges, one serves each worker; whoever has an answer sends it.
"""

import functools
import json
import os
import queue
import socket
import sys
import threading
import time
import traceback
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
    Hello,
    JudgeRequest,
    Result,
    make_portable,
)
from simex.sandbox.outcome import RunOutcome, RunRequest
from simex.sandbox.tally import Tally

_LOOK_FOR_PARENT_SECS = 2.0


class Driver:
    """Answers every ask once, as soon as its answer is known."""

    def __init__(
        self, channel: Channel, crew: Crew, *, memory: RunMemory, tally: Tally
    ):
        self._channel, self._crew = channel, crew
        self._memory, self._tally = memory, tally
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._sending = threading.Lock()

    def serve(self) -> None:
        """Until the trainer hangs up."""
        for loop in (self._judge_forever, self._hang_up_without_parent):
            threading.Thread(target=loop, daemon=True).start()
        while True:
            try:
                asks: list[Ask] = self._channel.receive()
            except EOFError:
                return
            for ask in asks:
                self._begin(ask)

    def _judge_forever(self) -> None:
        try:
            while True:
                self._events.get()()
        except BaseException:  # noqa: BLE001 (whatever it is, this driver is done)
            # Without this thread nothing would ever be answered: a new driver must come.
            traceback.print_exc()
            os._exit(1)

    def _hang_up_without_parent(self) -> None:
        """A fork of the trainer may hold its end of the channel open."""
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(_LOOK_FOR_PARENT_SECS)
        self._channel.hang_up()

    def _begin(self, ask: Ask) -> None:
        """For the reader, which must never wait: it only queues work."""
        finish = functools.partial(self._answer, ask.id)
        try:
            request = ask.parse()
        except Exception as fault:  # noqa: BLE001 (the import of a checker's module)
            error = _make_unknown_function_error(fault)
            self._events.put(lambda: finish(error))
            return
        if isinstance(request, RunRequest):
            run = self._crew.submit(request, (ask.id, 0))
            run.add_done_callback(lambda done: finish(_result_of(done)))
        elif isinstance(request, JudgeRequest):
            self._events.put(
                functools.partial(self._begin_judging, ask.id, request, finish)
            )
        else:
            self._events.put(lambda: finish(self._look_at_health()))

    def _look_at_health(self) -> Health:
        pids = tuple(self._crew.worker_pids())
        return Health(driver_pid=os.getpid(), worker_pids=pids)

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
        except Exception as error:  # noqa: BLE001 (whoever waits gets it)
            finish(error)

    def _answer(self, ask_id: int, result: Result) -> None:
        if isinstance(result, BaseException):
            result = make_portable(result)
        self._answers.put(Answer(id=ask_id, result=result))
        # Whoever is at it takes along what others have left in the meantime.
        while not self._answers.empty() and self._sending.acquire(blocking=False):
            try:
                self._send_answers()
            finally:
                self._sending.release()

    def _send_answers(self) -> None:
        ready = []
        while not self._answers.empty():
            ready.append(self._answers.get())
        message = Answers(answers=tuple(ready), totals=self._tally.totals())
        try:
            self._channel.send(message)
        except OSError:
            pass  # nobody listens; the reader sees it too


def _make_unknown_function_error(error: Exception) -> UserError:
    return UserError(
        "A checker that is a function must lie in a module that can be imported; the "
        f"sandbox's driver cannot ({error})."
    )


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
    num_workers = config.num_workers or backend.count_cores()
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
