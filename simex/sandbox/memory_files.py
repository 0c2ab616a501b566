"""Programs, stdin and outputs as memory files.

That needs no threads to pump pipes, no pipe can fill up and deadlock, partial output
survives a kill, and the kernel itself bounds the output.
"""

import fcntl
import os
from typing import Self

from simex.core.errors import InfraError
from simex.sandbox import protocol
from simex.sandbox.outcome import RunRequest

STDERR_TAIL_BYTES = 2048


class MemoryFiles:
    """The descriptors of one run, in the order of `protocol`."""

    def __init__(self, request: RunRequest, order: protocol.Request):
        self.descriptors: list[int] = []
        self._request, self._order = request, order

    def __enter__(self) -> Self:
        try:
            self._add_sealed("program", self._request.source)
            self._add_sealed("stdin", self._request.stdin)
            self._add_empty("stdout")
            self._add_empty("stderr")
            if self._request.call is not None:
                self._add_sealed("call", self._request.call)
                self._add_empty("result")
            if self._request.is_traced:
                os.ftruncate(self._add_empty("trace"), protocol.trace_room(self._order))
        except OSError as error:
            self.__exit__()
            raise InfraError(f"No memory files: {error}.") from None
        return self

    def __exit__(self, *exception: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)

    def _add_empty(self, name: str) -> int:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self.descriptors.append(os.memfd_create(name, flags))
        return self.descriptors[-1]

    def _add_sealed(self, name: str, content: str | bytes) -> None:
        descriptor = self._add_empty(name)
        # A lone surrogate is not text that any file holds; keep its bytes as they are.
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogatepass")
        data = memoryview(content)
        offset = 0
        while offset < len(data):
            offset += os.pwrite(descriptor, data[offset:], offset)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)

    def stdout(self) -> tuple[bytes, bool]:
        """What was printed, and whether it reached the cap."""
        return self._read_capped(self.descriptors[2])

    def stderr_tail(self) -> tuple[str, bool]:
        descriptor = self.descriptors[3]
        size = min(os.fstat(descriptor).st_size, self._order.file_bytes)
        start = max(0, size - STDERR_TAIL_BYTES)
        tail = os.pread(descriptor, STDERR_TAIL_BYTES, start)
        return tail.decode("utf-8", "replace"), size >= self._order.file_bytes

    def result(self) -> tuple[bytes | None, bool]:
        """What the called function returned, and whether that reached the cap."""
        if self._request.call is None:
            return None, False
        return self._read_capped(self.descriptors[5])

    def trace(self) -> bytes | None:
        if not self._request.is_traced:
            return None
        descriptor, header = self.descriptors[-1], protocol.TRACE_HEADER
        (length,) = header.unpack(os.pread(descriptor, header.size, 0))
        return os.pread(
            descriptor, min(length, self._order.max_trace_bytes), header.size
        )

    def _read_capped(self, descriptor: int) -> tuple[bytes, bool]:
        # The size first: a program can make its output a sparse file of any length.
        size = min(os.fstat(descriptor).st_size, self._order.file_bytes)
        return os.pread(descriptor, size, 0), size >= self._order.file_bytes
