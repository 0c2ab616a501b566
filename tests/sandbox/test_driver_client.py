"""A client whose driver dies, babbles, or is interrupted while it is sent to."""

import pickle
import queue
import threading
import time

import pytest

from simex.core.errors import InfraError
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


class Interrupted(Dying):
    """Ctrl-C comes while an ask is being sent."""

    def send(self, asks):
        if self.hung_up.is_set():
            raise BrokenPipeError
        raise KeyboardInterrupt

    def receive(self):
        self.hung_up.wait(timeout=10)
        raise EOFError


class Babbling(Working):
    """Says what nobody can read, or what nobody asked for."""

    def __init__(self, message):
        super().__init__()
        self._message = message

    def receive(self):
        if self._asks.get() is None:
            raise EOFError
        if isinstance(self._message, Exception):
            raise self._message
        return self._message


def make_client(monkeypatch, *drivers):
    waiting = iter(drivers)
    monkeypatch.setattr(driver_client, "DriverProcess", lambda config: next(waiting))
    return DriverClient(
        DriverConfig(
            socket_fd=-1,
            backend="bare",
            allow_unsafe=True,
            num_workers=1,
            max_remembered=1,
            switched_off=[],
        )
    )


def test_a_dead_driver_is_not_closed_under_a_sender(monkeypatch):
    first = Dying()
    client = make_client(monkeypatch, first, Working())
    future = client.ask(RunRequest(source=""), size=1)
    assert future.result(timeout=10) == "done"
    client.close()
    assert first.was_closed_under_a_sender is False


def test_an_interrupted_ask_costs_a_driver_and_no_answer(monkeypatch):
    client = make_client(monkeypatch, Interrupted(), Working())
    with pytest.raises(KeyboardInterrupt):
        client.ask(RunRequest(source=""), size=1)
    assert client.ask(RunRequest(source=""), size=1).result(timeout=10) == "done"
    close(client)


@pytest.mark.parametrize(
    "message",
    [
        pickle.UnpicklingError("half a message"),
        Answers(answers=(Answer(id=77, result="done"),), totals={}),
    ],
)
def test_a_driver_that_cannot_be_understood_is_replaced(message, monkeypatch):
    client = make_client(monkeypatch, Babbling(message), Working())
    assert client.ask(RunRequest(source=""), size=1).result(timeout=10) == "done"
    close(client)


def test_where_every_driver_babbles_the_answer_is_a_fault_of_ours(monkeypatch):
    drivers = [Babbling(ValueError("no")) for _ in range(20)]
    client = make_client(monkeypatch, *drivers)
    future = client.ask(RunRequest(source=""), size=1)
    with pytest.raises(InfraError, match="died under it again and again"):
        future.result(timeout=10)
    close(client)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_where_no_driver_can_be_made_any_more(monkeypatch):
    client = make_client(monkeypatch, Babbling(ValueError("no")))  # then StopIteration
    future = client.ask(RunRequest(source=""), size=1)
    with pytest.raises(InfraError, match="lost its driver for good"):
        future.result(timeout=10)
    close(client)


def close(client):
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(timeout=10)
    assert not closing.is_alive()
