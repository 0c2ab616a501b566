"""Asks to a driver that may die: every ask is answered exactly once.

If the driver dies, a new one is started and whatever it left unanswered is sent again,
unless it may be what kills drivers; then the answer is an InfraError.
"""

import collections
import dataclasses
import itertools
import logging
import pickle
import threading
import time
from concurrent.futures import Future
from typing import Any

from simex.core.errors import InfraError, UserError
from simex.sandbox.driver_process import DriverProcess
from simex.sandbox.messages import Answers, Ask, DriverConfig, Request
from simex.sandbox.tally import Tally, Totals, add_totals

# How much the driver holds for each worker, in runs. The rest waits here, where the
# death of a driver costs it nothing.
IN_FLIGHT_PER_WORKER = 16
# An ask that was at work at that many deaths of drivers is given up.
_MAX_DEATHS = 4
_MAX_UNANSWERED = 10_000  # then `ask` waits
_MAX_STARTS, _START_AGAIN_SECS = 5, 0.2
logger = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True)
class _Work:
    """An ask that has no answer yet."""

    ask: Ask
    future: Future[Any]
    size: int  # in runs
    asked_at: float  # time.monotonic()
    is_started: bool = False  # it was given to a driver
    num_deaths: int = 0  # of drivers that may have been at work on it


class DriverClient:
    """Keeps one driver alive and two threads that talk to it.

    Raises:
      UserError: no jail works here.
    """

    def __init__(self, config: DriverConfig):
        self._driver: DriverProcess | None = DriverProcess(config)
        self.hello = self._driver.hello
        # A driver that replaces this one must not settle for a weaker jail.
        self._config = dataclasses.replace(
            config, backend=self.hello.backend, is_known_to_work=True
        )
        self._max_in_flight = IN_FLIGHT_PER_WORKER * self.hello.num_workers
        self._condition = threading.Condition()
        self._waiting: collections.deque[_Work] = collections.deque()
        self._sent: dict[int, _Work] = {}
        self._num_unanswered, self._num_in_flight = 0, 0
        self._ids = itertools.count(1)
        self._is_closed, self._is_sending = False, False
        self._tally = Tally()
        self._past_totals: Totals = {}  # of drivers that are no more
        self._driver_totals: Totals = {}
        self._threads = [
            threading.Thread(target=loop, daemon=True)
            for loop in (self._send_forever, self._receive_forever)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, request: Request, *, size: int) -> Future[Any]:
        """Queue an ask that costs about `size` runs.

        Waits while too much is unanswered. Raises UserError if it cannot be sent.
        """
        try:
            payload = pickle.dumps(request)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(
                "Work for the sandbox must be data, and a checker a name or a function "
                f"of a module; got {request!r:.300} ({error})."
            ) from None
        with self._condition:
            while self._num_unanswered >= _MAX_UNANSWERED and not self._is_closed:
                self._condition.wait()
            if self._is_closed:
                raise UserError("This sandbox pool is closed; make a new one.")
            work = _Work(
                ask=Ask(id=next(self._ids), payload=payload),
                future=Future(),
                size=size,
                asked_at=time.monotonic(),
            )
            self._num_unanswered += 1
            self._waiting.append(work)
            driver, asks = self._begin_sending()
        # From here rather than by another thread: a lone run is answered the sooner.
        self._send(driver, asks)
        return work.future

    def totals(self) -> Totals:
        """What this client and all its drivers have done."""
        with self._condition:
            drivers = add_totals(self._past_totals, self._driver_totals)
        return add_totals(drivers, self._tally.totals())

    def close(self) -> None:
        """End the driver. What is unanswered gets an InfraError."""
        with self._condition:
            self._is_closed = True
            if self._driver is not None:
                self._driver.hang_up()
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()

    def _send_forever(self) -> None:
        while True:
            with self._condition:
                while not self._is_closed and not self._can_send():
                    self._condition.wait()
                if self._is_closed:
                    return
                driver, asks = self._begin_sending()
            self._send(driver, asks)

    def _begin_sending(self) -> tuple[DriverProcess | None, list[Ask]]:
        """What to send, if nobody else is at it. Needs the lock."""
        if not self._can_send():
            return None, []
        self._is_sending = True
        return self._driver, self._take_batch()

    def _send(self, driver: DriverProcess | None, asks: list[Ask]) -> None:
        if driver is None:
            return
        try:
            if asks:
                driver.send(asks)
        except OSError:
            pass  # the receiver sees the end of the driver and mends it
        except BaseException:
            # Such as Ctrl-C. What is sent in half cannot be read: another must come.
            driver.hang_up()
            raise
        finally:
            with self._condition:
                self._is_sending = False
                self._condition.notify_all()

    def _can_send(self) -> bool:
        return not self._is_sending and self._has_work_to_send()

    def _has_work_to_send(self) -> bool:
        has_room = self._num_in_flight < self._max_in_flight
        return self._driver is not None and bool(self._waiting) and has_room

    def _take_batch(self) -> list[Ask]:
        """Mark as sent what the driver has room for. Needs the lock."""
        asks = []
        while self._has_work_to_send():
            work = self._waiting.popleft()
            if not work.is_started and not work.future.set_running_or_notify_cancel():
                self._num_unanswered -= 1
                continue
            work.is_started = True
            self._num_in_flight += work.size
            self._sent[work.ask.id] = work
            asks.append(work.ask)
        return asks

    def _receive_forever(self) -> None:
        try:
            while self._driver is not None:
                try:
                    self._take(self._driver.receive())
                except EOFError:
                    self._replace_driver()
                except Exception:
                    logger.exception("what the sandbox's driver says cannot be read")
                    self._replace_driver()
        finally:
            self._end()  # whatever ends this thread, nobody waits for it

    def _take(self, message: Answers) -> None:
        with self._condition:
            if strange := {a.id for a in message.answers} - self._sent.keys():
                raise ValueError(f"Answers to nothing that was asked: {strange}.")
            self._driver_totals = message.totals
            done = [(a, self._sent.pop(a.id)) for a in message.answers]
            self._num_in_flight -= sum(work.size for _, work in done)
            self._num_unanswered -= len(done)
            if self._waiting or self._num_unanswered + len(done) >= _MAX_UNANSWERED:
                self._condition.notify_all()
        now = time.monotonic()
        for answer, work in done:
            self._tally.add("latency_secs", now - work.asked_at)
            _settle(work, answer.result)

    def _replace_driver(self) -> None:
        """Bury the driver, and start another one unless we are closing."""
        with self._condition:
            dead, self._driver = self._driver, None
            self._past_totals = add_totals(self._past_totals, self._driver_totals)
            self._driver_totals = {}
            unanswered = sorted(self._sent.values(), key=lambda work: work.ask.id)
            self._sent, self._num_in_flight = {}, 0
            # Older asks go first in the driver, so no others can have been at work.
            for work in unanswered[: 2 * self.hello.num_workers]:
                work.num_deaths += 1
            lost = [w for w in unanswered if w.num_deaths >= _MAX_DEATHS]
            again = [w for w in unanswered if w.num_deaths < _MAX_DEATHS]
            self._waiting.extendleft(reversed(again))
        if dead is not None:
            # Never under a sender: it would go on writing to the number of the file, and
            # so to whatever gets that number next, such as the channel of a new driver.
            dead.hang_up()
            with self._condition:
                self._condition.wait_for(lambda: not self._is_sending)
            dead.close()
        self._give_up(lost, "The sandbox's driver died under it again and again.")
        for attempt in range(1, _MAX_STARTS + 1):
            if self._is_closed:
                break
            self._tally.add("driver_restarts")
            logger.warning("the sandbox's driver died; starting another")
            try:
                driver = DriverProcess(self._config)
            except (InfraError, UserError) as error:
                logger.warning("no driver at attempt %d: %s", attempt, error)
                time.sleep(_START_AGAIN_SECS * attempt)
                continue
            with self._condition:
                self._driver = driver
                if self._is_closed:
                    driver.hang_up()
                self._condition.notify_all()
            return

    def _end(self) -> None:
        """No driver any more: nothing that waits will ever be answered."""
        with self._condition:
            is_asked_for, self._is_closed = self._is_closed, True
            unanswered = [*self._sent.values(), *self._waiting]
            unanswered = [w for w in unanswered if not w.future.cancelled()]
            self._sent, self._num_in_flight = {}, 0
            self._waiting.clear()
            self._condition.notify_all()
        reason = "was closed" if is_asked_for else "has lost its driver for good"
        self._give_up(unanswered, f"The sandbox pool {reason}.")

    def _give_up(self, works: list[_Work], reason: str) -> None:
        with self._condition:
            self._num_unanswered -= len(works)
            self._condition.notify_all()
        for work in works:
            self._tally.add("infra_errors")
            if work.is_started or work.future.set_running_or_notify_cancel():
                _settle(work, InfraError(reason))


def _settle(work: _Work, result: Any) -> None:
    if isinstance(result, BaseException):
        work.future.set_exception(result)
    else:
        work.future.set_result(result)
