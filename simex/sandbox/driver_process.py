"""One driver as the trainer sees it: a process and the channel to it."""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys

from simex.core.errors import InfraError
from simex.sandbox.interpreter import PACKAGE_ROOT
from simex.sandbox.messages import Answers, Ask, Channel, DriverConfig, Hello

_START_SECS = 180.0
_CLOSE_SECS = 20.0


class DriverProcess:
    """Starts a driver. Raises what the driver raised, or InfraError if it is mute."""

    def __init__(self, config: DriverConfig):
        ours, theirs = socket.socketpair()
        config = dataclasses.replace(config, socket_fd=theirs.fileno())
        path = os.pathsep.join(
            filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")])
        )
        command = [sys.executable, "-P", "-m", "simex.sandbox.driver"]
        # No preexec_fn: the trainer holds threads of JAX, and this way subprocess runs
        # no Python between fork and exec.
        with theirs:
            self._process = subprocess.Popen(
                [*command, json.dumps(dataclasses.asdict(config))],
                env=os.environ | {"PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the trainer
            )
        self.pid = self._process.pid
        self._channel = Channel(ours)
        self.hello = self._greet()

    def _greet(self) -> Hello:
        try:
            hello: Hello = self._channel.receive(_START_SECS)
        except (EOFError, TimeoutError):
            self.kill()
            self.close()
            raise InfraError("The sandbox's driver did not start.") from None
        if hello.error is not None:
            self.close()
            raise hello.error
        return hello

    def send(self, asks: list[Ask]) -> None:
        """Raises OSError if the driver is no more."""
        self._channel.send(asks)

    def receive(self) -> Answers:
        """Blocks. Raises EOFError if the driver is no more."""
        return self._channel.receive()

    def kill(self) -> None:
        """The kernel then ends the driver's workers."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def hang_up(self) -> None:
        """The driver ends its workers, then itself."""
        self._channel.hang_up()

    def close(self) -> None:
        """Hang up and wait for the end."""
        self._channel.hang_up()
        try:
            self._process.wait(_CLOSE_SECS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._channel.close()
