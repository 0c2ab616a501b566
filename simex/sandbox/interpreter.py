"""Which interpreter runs programs, and what it needs to see of the machine."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import shutil
import stat
import sys
import sysconfig
import tempfile

PACKAGE_ROOT = pathlib.Path(__file__).resolve().parents[2]
# What runs inside the box, and nothing else of simex.
BOX_FILES = (
    "simex/__init__.py",
    "simex/sandbox/__init__.py",
    "simex/sandbox/call.py",
    "simex/sandbox/confine.py",
    "simex/sandbox/landlock.py",
    "simex/sandbox/process_clock.py",
    "simex/sandbox/program.py",
    "simex/sandbox/protocol.py",
    "simex/sandbox/seccomp.py",
    "simex/sandbox/syscalls.py",
    "simex/sandbox/wire.py",
    "simex/sandbox/zygote.py",
    "simex/traces/__init__.py",
    "simex/traces/codes.py",
    "simex/traces/monitoring.py",
    "simex/traces/recorder.py",
    "simex/traces/settrace.py",
    "simex/traces/tracer.py",
    "simex/traces/values.py",
    "simex/traces/variables.py",
    "simex/traces/watch.py",
)
ZYGOTE = "simex/sandbox/zygote.py"
FLAGS = ("-s", "-P", "-S", "-B")
SYSTEM_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/random")
WRITABLE_DEVICES = ["/dev/null", "/dev/zero", "/dev/full"]
ENVIRONMENT = {
    "HOME": "/tmp",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "PYTHONIOENCODING": "utf-8:strict",
    "TZ": "UTC",
}
OTHER_HASH_SEED = "12345"
_NUM_FILES = "num_files"
_LEFT_OUT = ("site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interpreter:
    """The interpreter below our virtual environment, without installed packages."""

    executable: pathlib.Path
    prefix: pathlib.Path
    stdlib: pathlib.Path
    version: str  # "3.11.7"

    @property
    def is_in_prefix(self) -> bool:
        return self.executable.is_relative_to(self.prefix)


def find_interpreter() -> Interpreter:
    """Ours, as it would be outside a virtual environment."""
    executable = getattr(sys, "_base_executable", sys.executable)
    return Interpreter(
        executable=pathlib.Path(os.path.realpath(executable)),
        prefix=pathlib.Path(os.path.realpath(sys.base_prefix)),
        stdlib=pathlib.Path(os.path.realpath(sysconfig.get_path("stdlib"))),
        version=sys.version.split()[0],
    )


def make_environment(switched_off: frozenset[str] = frozenset()) -> dict[str, str]:
    """The environment of a fork server.

    Without the layer "hash_seed" texts are hashed by another seed than usual. Whoever
    runs a program both ways sees whether it prints something in the order of a set.
    """
    if "hash_seed" in switched_off:
        return ENVIRONMENT | {"PYTHONHASHSEED": OTHER_HASH_SEED}
    return dict(ENVIRONMENT)


def is_readable_by_others(path: pathlib.Path) -> bool:
    """Whether any user may enter `path` and every folder above it."""
    wanted = stat.S_IROTH | stat.S_IXOTH
    if path.stat().st_mode & wanted != wanted:
        return False
    return all(p.stat().st_mode & stat.S_IXOTH for p in path.parents)


@functools.cache
def stage_library(interpreter: Interpreter) -> pathlib.Path:
    """A copy of the standard library that every user can read; returns its prefix.

    Needed where programs run as another user and the interpreter lies in a private
    home. The copy is kept for the next time, in a folder that only we can write to.
    """
    origin = hashlib.sha256(os.fsencode(interpreter.stdlib)).hexdigest()[:8]
    name = f"simex-python-{interpreter.version}-{origin}-{os.geteuid()}"
    target = pathlib.Path(tempfile.gettempdir()) / name
    if _is_own_folder(target) and not _is_complete(target):
        shutil.rmtree(target)
    if not _is_own_folder(target):
        work = pathlib.Path(tempfile.mkdtemp(prefix=name + "-"))
        os.chmod(work, 0o755)
        shutil.copytree(
            interpreter.stdlib,
            work / interpreter.stdlib.relative_to(interpreter.prefix),
            ignore=shutil.ignore_patterns(*_LEFT_OUT, "config-*"),
        )
        (work / _NUM_FILES).write_text(str(_count_files(work)))
        try:
            os.rename(work, target)
        except OSError:  # somebody else was first, or the name is taken
            target = target if _is_own_folder(target) else work
    return target


def _count_files(folder: pathlib.Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _is_complete(folder: pathlib.Path) -> bool:
    """Whether nobody has tidied files away since the copy was made."""
    try:
        num_files = int((folder / _NUM_FILES).read_text())
    except (OSError, ValueError):
        return False
    return _count_files(folder) == num_files + 1  # this very file


def _is_own_folder(path: pathlib.Path) -> bool:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    is_safe = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o022
    return is_safe and status.st_uid == os.geteuid()
