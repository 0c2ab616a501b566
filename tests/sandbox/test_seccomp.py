"""The filters of both machines, run by a small BPF machine of our own.

So the aarch64 filter is tested on x86-64 too. Codes are those of linux/filter.h.
"""

import struct

import pytest

from simex.sandbox import seccomp, syscalls

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x50001, 0x50026
OWN_PID = seccomp._OWN_PID
MACHINES = ("x86_64", "aarch64")


def decide(machine: str, number: int, arguments=(), arch: int | None = None) -> int:
    arch = seccomp.AUDIT_ARCH[machine] if arch is None else arch
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, arch, 0, *padded)
    program, position, accumulator = seccomp.make_instructions(machine), 0, 0
    while True:
        code, if_true, if_false, k = program[position]
        position += 1
        match code:
            case 0x20:  # load a word
                (accumulator,) = struct.unpack_from("=I", data, k)
            case 0x54:  # and
                accumulator &= k
            case 0x05:  # jump
                position += k
            case 0x15 | 0x35 | 0x45:  # jump if equal, if not less, if a bit is set
                is_true = {
                    0x15: accumulator == k,
                    0x35: accumulator >= k,
                    0x45: bool(accumulator & k),
                }[code]
                position += if_true if is_true else if_false
            case 0x06:
                return k
            case _:
                raise AssertionError(f"unknown code {code:#x}")


@pytest.mark.parametrize("machine", MACHINES)
def test_every_listed_call_gets_what_its_list_says(machine):
    numbers = syscalls.NUMBERS[machine]
    wanted = {
        **dict.fromkeys(syscalls.ALLOWED, ALLOW),
        **dict.fromkeys(syscalls.REFUSED, EPERM),
        **dict.fromkeys(syscalls.FATAL, KILL),
    }
    for name, decision in wanted.items():
        if name in numbers:
            assert decide(machine, numbers[name]) == decision, name


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_in_no_list_does_not_exist(machine):
    known = set(syscalls.NUMBERS[machine].values())
    for number in [*range(600), 10_000]:
        if number not in known:
            assert decide(machine, number) == ENOSYS, number


@pytest.mark.parametrize("machine", MACHINES)
def test_other_calling_conventions_are_fatal(machine):
    assert decide(machine, 0x40000000 + 41) == KILL  # x32
    assert decide(machine, 1, arch=0x40000003) == KILL  # i386


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name, arguments, decision",
    [
        ("clone", (0x003D0F00,), ALLOW),  # the flags of pthread_create
        ("clone", (17,), EPERM),  # SIGCHLD alone: fork
        ("clone", (0x003D0F00 | 0x10000000,), EPERM),  # with CLONE_NEWUSER
        ("clone3", (), ENOSYS),
        ("kill", (OWN_PID, 6), ALLOW),
        ("kill", (1, 9), EPERM),
        ("kill", (0, 9), EPERM),
        ("kill", (0xFFFFFFFF, 9), EPERM),
        ("tgkill", (OWN_PID, 7, 6), ALLOW),
        ("tgkill", (1, 1, 9), EPERM),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (1, 7), EPERM),
        ("prctl", (15,), ALLOW),  # PR_SET_NAME
        ("prctl", (1,), EPERM),  # PR_SET_PDEATHSIG
        ("fcntl", (1, 4), ALLOW),  # F_SETFL
        ("fcntl", (1, 8), EPERM),  # F_SETOWN
        ("ioctl", (1, 0x5401), ALLOW),  # TCGETS: isatty
        ("ioctl", (1, 0x5412), 0x50019),  # TIOCSTI: ENOTTY
        ("socketpair", (1, 1 | 0o2000000), ALLOW),  # AF_UNIX, SOCK_STREAM|CLOEXEC
        ("socketpair", (1, 2), EPERM),  # SOCK_DGRAM
        ("socketpair", (2, 1), EPERM),  # AF_INET
    ],
)
def test_some_calls_depend_on_their_arguments(machine, name, arguments, decision):
    assert decide(machine, syscalls.NUMBERS[machine][name], arguments) == decision


@pytest.mark.parametrize("machine", MACHINES)
def test_no_call_stands_in_two_lists_and_no_name_lacks_a_number(machine):
    lists = syscalls.ALLOWED + syscalls.REFUSED + syscalls.FATAL
    assert len(lists) == len(set(lists))
    both = set(syscalls.NUMBERS["x86_64"]) | set(syscalls.NUMBERS["aarch64"])
    assert set(lists) <= both
