"""What a program tries, and what it must not get. Each jail in turn."""

import os
import socket

import pytest

from simex.sandbox.outcome import RunStatus


def says(run, source: str) -> str:
    outcome = run(source)
    assert outcome.status is RunStatus.OK, outcome
    return outcome.stdout.decode().strip()


def attempt(action: str, imports: str = "os") -> str:
    """A program that prints `got it` if `action` works."""
    return (
        f"import {imports}\ntry:\n    {action}\nexcept OSError:\n"
        "    print('refused')\nelse:\n    print('got it')"
    )


@pytest.mark.parametrize(
    "action",
    [
        "os.fork()",
        "os.execv('/bin/sh', ['sh', '-c', 'echo 1'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.kill(os.getppid(), 9)",
        "os.kill(os.getppid(), 19)",
        "os.killpg(0, 9)",
        "os.kill(-1, 9)",
        "os.memfd_create('hidden')",
        "os.setuid(0)",
        "os.nice(-5)",
        "os.open('/dev/mem', os.O_RDWR)",
        "os.open('/proc/self/mem', os.O_RDONLY)",
        "os.open(f'/proc/{os.getppid()}/environ', os.O_RDONLY)",
        "os.open('/etc/passwd', os.O_RDONLY)",
        "os.open('/root', os.O_RDONLY)",
        "os.listdir('/home')",
        "os.open('/tmp/x', os.O_CREAT | os.O_WRONLY)",
        "os.open('x', os.O_CREAT | os.O_WRONLY)",
        "os.open('/dev/shm/x', os.O_CREAT | os.O_WRONLY)",
        "os.mkdir('/tmp/d')",
        "os.mkfifo('/tmp/fifo')",
        "os.chmod('/tmp', 0o777)",
        "os.rename('/tmp', '/tmp2')",
    ],
)
def test_no_processes_no_signals_no_files(run, action):
    assert says(run, attempt(action)) == "refused"


@pytest.mark.parametrize(
    "action",
    [
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "socket.getaddrinfo('example.com', 80)",
    ],
)
def test_no_network(run, action):
    assert says(run, attempt(action, "socket")) == "refused"


def test_a_listener_on_the_hosts_loopback_hears_nothing(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        action = f"socket.create_connection(('127.0.0.1', {port}), 1)"
        assert says(run, attempt(action, "socket")) == "refused"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("call", ["ptrace(16, 1, 0, 0)", "unshare(0x10000000)"])
def test_calls_that_nobody_makes_by_accident_are_blocked(run, call):
    source = f"import ctypes\nctypes.CDLL(None).{call}\nprint('survived')"
    assert run(source).status is RunStatus.BLOCKED


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 is of x86-64")
def test_x32_numbers_do_not_slip_through(run):
    source = "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 41, 2, 1, 0)"
    assert run(source).status is RunStatus.BLOCKED


def test_a_canary_outside_stays_unread_and_untouched(run, tmp_path):
    canary = tmp_path / "canary"
    canary.write_text("alive")
    os.chmod(canary, 0o666)
    os.chmod(tmp_path, 0o777)
    for action in (
        f"open({str(canary)!r}).read()",
        f"open({str(canary)!r}, 'w').write('dead')",
        f"os.unlink({str(canary)!r})",
        f"os.chmod({str(canary)!r}, 0)",
        f"os.truncate({str(canary)!r}, 0)",
    ):
        assert says(run, attempt(action)) == "refused"
    assert canary.read_text() == "alive"
    assert canary.stat().st_mode & 0o777 == 0o666


def test_the_environment_and_the_modules_tell_nothing_of_us(run, monkeypatch):
    monkeypatch.setenv("SIMEX_TEST_TOKEN", "secret")
    source = (
        "import os, sys\n"
        "print(sorted(os.environ))\n"
        "print([m for m in sys.modules if 'simex' in m or 'judge' in m])"
    )
    names, modules = says(run, source).splitlines()
    assert names == "['HOME', 'LC_ALL', 'PATH', 'PYTHONHASHSEED', 'TZ']"
    assert modules == "[]"


@pytest.mark.parametrize("is_traced", [False, True])
def test_no_descriptor_of_ours_reaches_the_program(run, is_traced):
    source = (
        "import os\nfound = []\nfor fd in range(3, 1024):\n"
        "    try:\n        os.fstat(fd)\n        found.append(fd)\n"
        "    except OSError: pass\nprint(found)"
    )
    outcome = run(source, is_traced=is_traced)
    assert outcome.stdout == b"[]\n"


def test_nothing_of_one_run_is_there_in_the_next(run):
    run("import json, sys\njson.dumps = None\nsys.path.insert(0, '/evil')")
    run("import builtins\nbuiltins.print = None")
    assert says(
        run, "import json, sys\nprint(json.dumps([1]), '/evil' in sys.path)"
    ) == ("[1] False")


def test_the_program_and_its_input_cannot_be_changed(run):
    assert says(run, attempt("os.write(0, b'x')")) == "refused"


def test_threads_are_allowed_and_bounded(run):
    ordinary = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as e: print(sum(e.map(abs, range(-9, 0))))"
    )
    assert says(run, ordinary) == "45"
    bomb = (
        "import threading, time\nfor _ in range(5000):\n"
        "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start()"
    )
    assert not run(bomb).status.is_ok


def test_asyncio_works(run):
    source = "import asyncio\nasync def f(): return 7\nprint(asyncio.run(f()))"
    assert says(run, source) == "7"


def test_the_exit_path_cannot_be_patched_into_a_pass(run):
    source = (
        "import os, sys, threading, atexit\n"
        "leave = os._exit\n"
        "f = sys._getframe()\n"
        "while f:\n"
        "    for k, v in list(f.f_globals.items()):\n"
        "        if callable(v) and not k.startswith('__'):\n"
        "            f.f_globals[k] = lambda *a, **k: leave(0)\n"
        "    f = f.f_back\n"
        "print('wrong', flush=True)\nraise ValueError\n"
    )
    outcome = run(source)
    # At best the program ends itself with 0, as `os._exit(0)` would: stdout decides.
    assert outcome.stdout == b"wrong\n"
