"""Landlock: what files a program may read, and that it may write none.

Runs inside the box: standard library only. The rule set is made once in the fork
server; a child only enters it. References: landlock(7), linux/landlock.h.
"""

import ctypes
import os
import stat
import struct

_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_CREATE_RULESET_VERSION = 1

_FS_WRITE_FILE, _FS_READ_FILE, _FS_READ_DIR = 1 << 1, 1 << 2, 1 << 3
_FS_ABI_1 = (1 << 13) - 1
_FS_REFER, _FS_TRUNCATE, _FS_IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # ABI 2, 3, 5
_NET_BIND_AND_CONNECT_TCP = 0b11  # ABI 4
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # ABI 6

_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: object) -> int:
    result = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock call {number}: {os.strerror(code)}")
    return result


def find_abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    try:
        return _syscall(
            _SYS_CREATE_RULESET,
            None,
            ctypes.c_size_t(0),
            ctypes.c_uint(_CREATE_RULESET_VERSION),
        )
    except OSError:
        return 0


def _ruleset_attributes(abi: int) -> bytes:
    handled = _FS_ABI_1
    handled |= _FS_REFER if abi >= 2 else 0
    handled |= _FS_TRUNCATE if abi >= 3 else 0
    handled |= _FS_IOCTL_DEV if abi >= 5 else 0
    fields = [handled]
    if abi >= 4:
        fields.append(_NET_BIND_AND_CONNECT_TCP)
    if abi >= 6:
        fields.append(_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS)
    return struct.pack(f"={len(fields)}Q", *fields)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= ~_FS_READ_DIR
        rule = struct.pack("=Qi", access, descriptor)
        _syscall(
            _SYS_ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_RULE_PATH_BENEATH),
            rule,
            ctypes.c_uint(0),
        )
    finally:
        os.close(descriptor)


def make_ruleset(readable: list[str], writable_devices: list[str]) -> int:
    """A descriptor of a rule set. Paths that do not exist are left out.

    `readable` paths may be read and listed with all that lies beneath them;
    `writable_devices` may be read and written. Raises OSError.
    """
    attributes = _ruleset_attributes(find_abi())
    ruleset = _syscall(
        _SYS_CREATE_RULESET,
        attributes,
        ctypes.c_size_t(len(attributes)),
        ctypes.c_uint(0),
    )
    for path in readable:
        _allow(ruleset, path, _FS_READ_FILE | _FS_READ_DIR)
    for path in writable_devices:
        _allow(ruleset, path, _FS_READ_FILE | _FS_WRITE_FILE)
    return ruleset


def enter(ruleset: int) -> None:
    """Restrict this thread, for good. Needs no_new_privs; raises OSError."""
    _syscall(_SYS_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
