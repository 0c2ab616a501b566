"""A client whose driver dies while something is being sent to it."""

import queue
import threading
import time

from simex.sandbox import driver_client
from simex.sandbox.driver_client import DriverClient
from simex.sandbox.messages import Answer, Answers, DriverConfig, Hello
from simex.sandbox.outcome import RunRequest

HELLO = Hello(backend="bare", num_workers=1)


class Dying:
    """Is seen to be dead while a send to it goes on, as into a full socket."""

    hello = HELLO

    def __init__(self):
        self.is_sending, self.hung_up = threading.Event(), threading.Event()
        self.was_closed_under_a_sender = None

    def send(self, asks):
        self.is_sending.set()
        self.hung_up.wait()
        time.sleep(0.2)  # until the sender is told
        self.is_sending.clear()
        raise BrokenPipeError

    def receive(self):
        self.is_sending.wait()
        raise EOFError

    def hang_up(self):
        self.hung_up.set()

    def close(self):
        self.was_closed_under_a_sender = self.is_sending.is_set()
        self.hung_up.set()


class Working:
    """Answers every ask."""

    hello = HELLO

    def __init__(self):
        self._asks = queue.SimpleQueue()

    def send(self, asks):
        self._asks.put(asks)

    def receive(self):
        if (asks := self._asks.get()) is None:
            raise EOFError
        answers = tuple(Answer(id=ask.id, result="done") for ask in asks)
        return Answers(answers=answers, totals={})

    def hang_up(self):
        self._asks.put(None)

    def close(self):
        pass


def test_a_dead_driver_is_not_closed_under_a_sender(monkeypatch):
    first = Dying()
    drivers = iter([first, Working()])
    monkeypatch.setattr(driver_client, "DriverProcess", lambda config: next(drivers))
    config = DriverConfig(
        socket_fd=-1,
        backend="bare",
        allow_unsafe=True,
        num_workers=1,
        max_remembered=1,
        switched_off=[],
    )
    client = DriverClient(config)
    future = client.ask(RunRequest(source=""), size=1)
    assert future.result(timeout=10) == "done"
    client.close()
    assert first.was_closed_under_a_sender is False
