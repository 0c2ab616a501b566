"""A seccomp filter that keeps a program inside one process.

Runs inside the box: standard library only. The filter is classic BPF, written out as
a binary search over system call numbers: the kernel runs it once for every number when
it is installed, so a linear list would cost every run a few tenths of a millisecond.
It allows threads but neither fork nor exec, hence killing one process ends a run.

References: Documentation/userspace-api/seccomp_filter.rst, seccomp(2).
"""

import ctypes
import struct

from simex.sandbox import syscalls

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_RET_KILL_PROCESS = 0x80000000
_RET_ALLOW = 0x7FFF0000
_RET_ERRNO = 0x00050000
_EPERM, _ENOSYS, _ENOTTY = 1, 38, 25

_LOAD_WORD, _JUMP, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RET = 0x20, 0x05, 0x15, 0x35, 0x45, 6
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARGS = 0, 4, 16
_X32_BIT = 0x40000000

_CLONE_THREAD = 0x00010000
_CLONE_ANY_NAMESPACE = 0x7E020080
_PR_SET_NAME, _PR_GET_NAME = 15, 16
# F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY: they send signals to others.
_FCNTL_REFUSED = (8, 10, 15, 1024, 1026)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE_MASK = 1, 1, 0xF
_AND = 0x54  # accumulator &= k

# Stands in the filter where the process id belongs; `SeccompFilter` puts it there.
_OWN_PID = 0x5349584D

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k


def _statement(code: int, k: int) -> Instruction:
    return (code, 0, 0, k)


_ALLOW = [_statement(_RET, _RET_ALLOW)]
_KILL = [_statement(_RET, _RET_KILL_PROCESS)]


def _refuse(errno: int) -> list[Instruction]:
    return [_statement(_RET, _RET_ERRNO | errno)]


def _load_argument(index: int) -> Instruction:
    # The low half: every argument looked at here is an int to the kernel.
    return _statement(_LOAD_WORD, _OFFSET_ARGS + 8 * index)


def _argument_is(
    index: int, values: tuple[int, ...], yes: list[Instruction], no: list[Instruction]
) -> list[Instruction]:
    """`yes` if the argument is among `values`, else `no` (one instruction each)."""
    code = [_load_argument(index)]
    for position, value in enumerate(values):
        code.append((_JUMP_EQ, len(values) - position, 0, value))
    return code + no + yes


def _own_process_only(index: int) -> list[Instruction]:
    return _argument_is(index, (_OWN_PID,), _ALLOW, _refuse(_EPERM))


def _own_process_or_zero(index: int) -> list[Instruction]:
    return _argument_is(index, (0, _OWN_PID), _ALLOW, _refuse(_EPERM))


def _threads_only() -> list[Instruction]:
    return [
        _load_argument(0),
        (_JUMP_SET, 2, 0, _CLONE_ANY_NAMESPACE),
        (_JUMP_SET, 0, 1, _CLONE_THREAD),
        *_ALLOW,
        *_refuse(_EPERM),
    ]


def _unix_stream_pair_only() -> list[Instruction]:
    # asyncio needs a socket pair. A datagram pair could send to any address.
    return [
        _load_argument(0),
        (_JUMP_EQ, 0, 4, _AF_UNIX),
        _load_argument(1),
        _statement(_AND, _SOCK_TYPE_MASK),
        (_JUMP_EQ, 0, 1, _SOCK_STREAM),
        *_ALLOW,
        *_refuse(_EPERM),
    ]


def _special_rules() -> dict[str, list[Instruction]]:
    return {
        "clone": _threads_only(),
        "clone3": _refuse(_ENOSYS),  # its flags are behind a pointer; glibc falls back
        "kill": _own_process_only(0),
        "tgkill": _own_process_only(0),
        "rt_sigqueueinfo": _own_process_only(0),
        "rt_tgsigqueueinfo": _own_process_only(0),
        "prlimit64": _own_process_or_zero(0),
        "sched_setaffinity": _own_process_or_zero(0),
        "setrlimit": _ALLOW,
        "prctl": _argument_is(0, (_PR_SET_NAME, _PR_GET_NAME), _ALLOW, _refuse(_EPERM)),
        "fcntl": _argument_is(1, _FCNTL_REFUSED, _refuse(_EPERM), _ALLOW),
        "ioctl": _argument_is(1, _IOCTL_ALLOWED, _ALLOW, _refuse(_ENOTTY)),
        "socketpair": _unix_stream_pair_only(),
    }


def _rules_by_number(machine: str) -> dict[int, list[Instruction]]:
    numbers = syscalls.NUMBERS[machine]
    by_name: dict[str, list[Instruction]] = {}
    by_name |= dict.fromkeys(syscalls.ALLOWED, _ALLOW)
    by_name |= dict.fromkeys(syscalls.REFUSED, _refuse(_EPERM))
    by_name |= dict.fromkeys(syscalls.FATAL, _KILL)
    by_name |= _special_rules()
    return {numbers[n]: rule for n, rule in by_name.items() if n in numbers}


def _ranges(rules: dict[int, list[Instruction]]) -> list[tuple[int, list[Instruction]]]:
    """(first number, rule) of each maximal run of numbers that share a rule."""
    ranges: list[tuple[int, list[Instruction]]] = []
    unknown = _refuse(_ENOSYS)
    for number in range(max(rules) + 2):
        rule = rules.get(number, unknown)
        if not ranges or ranges[-1][1] != rule:
            ranges.append((number, rule))
    return ranges


def _search(ranges: list[tuple[int, list[Instruction]]]) -> list[Instruction]:
    if len(ranges) == 1:
        return ranges[0][1]
    middle = len(ranges) // 2
    low, high = _search(ranges[:middle]), _search(ranges[middle:])
    first_high = ranges[middle][0]
    if len(low) < 256:  # conditional jumps are 8 bits wide
        return [(_JUMP_GE, len(low), 0, first_high), *low, *high]
    return [
        (_JUMP_GE, 0, 1, first_high),
        _statement(_JUMP, len(low)),
        *low,
        *high,
    ]


def make_instructions(machine: str) -> list[Instruction]:
    """The filter for `machine` ("x86_64" or "aarch64"), `_OWN_PID` not filled in."""
    return [
        _statement(_LOAD_WORD, _OFFSET_ARCH),
        (_JUMP_EQ, 1, 0, AUDIT_ARCH[machine]),
        *_KILL,
        _statement(_LOAD_WORD, _OFFSET_NUMBER),
        (_JUMP_GE, 0, 1, _X32_BIT),
        *_KILL,
        *_search(_ranges(_rules_by_number(machine))),
    ]


class _SockFprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class SeccompFilter:
    """A filter made once in the fork server and installed in each child."""

    def __init__(self, machine: str):
        instructions = make_instructions(machine)
        self._pid_offsets = [
            8 * index + 4
            for index, instruction in enumerate(instructions)
            if instruction[0] == _JUMP_EQ and instruction[3] == _OWN_PID
        ]
        code = b"".join(struct.pack("=HBBI", *i) for i in instructions)
        self._buffer = ctypes.create_string_buffer(code, len(code))
        self._program = _SockFprog(len(instructions), ctypes.addressof(self._buffer))
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        self._program_address = ctypes.addressof(self._program)

    def install(self, pid: int) -> None:
        """Filter this thread, for good. Needs no_new_privs; raises OSError."""
        for offset in self._pid_offsets:
            struct.pack_into("=I", self._buffer, offset, pid)
        pr_set_seccomp, mode_filter = 22, 2
        if self._prctl(pr_set_seccomp, mode_filter, self._program_address, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "the seccomp filter was refused")
