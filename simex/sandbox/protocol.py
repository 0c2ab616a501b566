"""What the driver and a fork server say to each other.

Runs inside the box too: standard library only. One SEQPACKET message is one request or
one reply of fixed layout. Programs, stdin and outputs never travel in messages: they
lie in memory files whose descriptors ride along with the request, in the order
program, stdin, stdout, stderr, then call and result if a function is to be called, then
trace if traced.
"""

import enum
import struct
from typing import NamedTuple

MAX_MESSAGE_BYTES = 4096
_REQUEST = struct.Struct("=QddQQII??")
_REPLY = struct.Struct("=QBBiddQQ")

# The child writes these into its status pipe, and closes it before it runs a line of
# the program, so that the program can claim none of them.
READY, COMPILED, REFUSED = b"r", b"c", b"s"

MEMORY_ERROR_EXIT_CODE = 213  # the program may use it too: it only lowers its score
TRACE_HEADER = struct.Struct("=Q")  # length of the text that follows


class Request(NamedTuple):
    """One run. `wall_secs` is a backstop for sleepers; CPU time is what is judged."""

    run_id: int
    cpu_secs: float
    wall_secs: float
    memory_bytes: int
    file_bytes: int  # how long each of the memory files may grow
    max_events: int
    max_trace_bytes: int
    is_traced: bool
    has_call: bool  # call a function of the program; see sandbox.call


class EndReason(enum.IntEnum):
    """Why a child is no more, as far as its fork server knows."""

    ENDED = 0  # by itself; look at the wait status
    CPU = 1
    WALL = 2
    MEMORY = 3
    STARVED = 4  # it never got enough of a CPU: nobody's fault but the machine's
    HOST_MEMORY = 5  # the kernel ran out of memory and chose this process


class ChildStage(enum.IntEnum):
    """How far the child came. Below READY, the program was never touched."""

    NOT_READY = 0
    READY = 1
    REFUSED = 2  # the source does not compile
    COMPILED = 3


class Reply(NamedTuple):
    """How a run ended. `detail` says what failed when the stage is NOT_READY."""

    run_id: int
    reason: EndReason
    stage: ChildStage
    wait_status: int
    cpu_secs: float
    wall_secs: float
    max_rss_bytes: int
    server_rss_bytes: int  # of the fork server, which is not to grow
    detail: str


def trace_room(request: Request) -> int:
    """Bytes of the trace's memory file: header and text."""
    return TRACE_HEADER.size + request.max_trace_bytes


def pack_request(request: Request) -> bytes:
    return _REQUEST.pack(*request)


def parse_request(message: bytes) -> Request:
    return Request(*_REQUEST.unpack(message))


def pack_reply(reply: Reply) -> bytes:
    detail = reply.detail.encode("utf-8", "replace")[:1024]
    return _REPLY.pack(*reply[:-1]) + detail


def parse_reply(message: bytes) -> Reply:
    detail = message[_REPLY.size :].decode("utf-8", "replace")
    reply = Reply._make((*_REPLY.unpack_from(message), detail))
    return reply._replace(reason=EndReason(reply.reason), stage=ChildStage(reply.stage))
