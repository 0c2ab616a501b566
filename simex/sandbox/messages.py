"""What the trainer and its driver say to each other.

Both are our own processes on a private socket pair, so records travel as pickles; what
an untrusted program printed lies inside them as plain bytes. A message is a list of
records: whatever has gathered while the last one was on its way.
"""

import contextlib
import dataclasses
import os
import pickle
import socket
from multiprocessing.connection import Connection
from typing import Any

from simex.core.errors import InfraError
from simex.sandbox.judging import JudgeItem
from simex.sandbox.outcome import Judgement, RunOutcome, RunRequest
from simex.sandbox.tally import Totals


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriverConfig:
    """How a driver is to work; travels as JSON on its command line."""

    socket_fd: int
    backend: str
    allow_unsafe: bool
    num_workers: int | None  # None: as many as the backend finds cores
    max_remembered: int
    switched_off: list[str]
    is_known_to_work: bool = False  # a driver before this one has tried the backend


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hello:
    """The driver's first record: what it works with, or why it cannot."""

    backend: str = ""
    interpreter_version: str = ""
    num_workers: int = 0
    warning: str = ""  # for whoever opened the pool
    error: BaseException | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgeRequest:
    """One program to be judged."""

    item: JudgeItem
    early_stop: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class HealthRequest:
    """What goes on in the driver right now?"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Health:
    """The driver's processes, for health checks."""

    driver_pid: int
    worker_pids: tuple[int, ...]  # the outermost process of each


Request = RunRequest | JudgeRequest | HealthRequest
Result = RunOutcome | Judgement | Health | BaseException


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ask:
    """One request, already pickled, so that it can be sent again as it is."""

    id: int
    payload: bytes

    def parse(self) -> Request:
        return pickle.loads(self.payload)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The one answer to an ask."""

    id: int
    result: Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """All answers that were ready, and what the driver has done since its start."""

    answers: tuple[Answer, ...]
    totals: Totals


class Channel:
    """Length-prefixed records over one end of a socket pair.

    One thread may send while another receives.
    """

    def __init__(self, end: socket.socket):
        self._socket = end
        self._connection = Connection(os.dup(end.fileno()))

    def send(self, record: Any) -> None:
        """Raises OSError where nobody listens any more."""
        self._connection.send_bytes(pickle.dumps(record))

    def receive(self, timeout_secs: float | None = None) -> Any:
        """The next record. Raises EOFError at the end and TimeoutError."""
        try:
            if timeout_secs is not None and not self._connection.poll(timeout_secs):
                raise TimeoutError
            message = self._connection.recv_bytes()
        except TimeoutError:
            raise
        except OSError:
            raise EOFError from None
        return pickle.loads(message)

    def hang_up(self) -> None:
        """End both directions; whoever waits for a record, here or there, sees it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """For when nobody uses it any more."""
        self._connection.close()
        self._socket.close()


def make_portable(error: BaseException) -> BaseException:
    """The error itself, if it survives the journey, or an InfraError that names it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 (a class of somebody else)
        return InfraError(f"{type(error).__name__}: {error}")
    return error
