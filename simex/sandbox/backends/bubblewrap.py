"""The strongest jail: bubblewrap once per worker, with the fork server as its PID 1.

The jail has its own process, network, IPC and host-name spaces and a file tree that
holds the interpreter, the system's shared libraries and nothing else, all read-only.
As root, children become a user of their own; elsewhere a user namespace is used.
"""

import os
import pathlib
import platform
import shutil

from simex.sandbox import interpreter, seccomp
from simex.sandbox.backends import layers
from simex.sandbox.worker import Worker, ZygoteCommand, start_zygote

_PYTHON = "/py"


def _mounts(python: interpreter.Interpreter) -> list[str]:
    # Folders that a mount makes on its way are closed to all but root.
    arguments = ["--dir", "/usr", "--dir", "/etc", "--dir", "/dev"]
    for path in interpreter.SYSTEM_LIBRARIES:
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path).lstrip("/"), path]
        else:
            arguments += ["--ro-bind-try", path, path]
    arguments += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for path in interpreter.DEVICES:
        arguments += ["--dev-bind", path, path]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        arguments += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    arguments += ["--symlink", "/proc/self/fd", "/dev/fd"]
    for name in interpreter.BOX_FILES:
        arguments += ["--ro-bind", str(interpreter.PACKAGE_ROOT / name), f"/box/{name}"]
    return arguments + _mount_python(python)


def _mount_python(python: interpreter.Interpreter) -> list[str]:
    if python.prefix == pathlib.Path("/usr"):
        return ["--ro-bind", str(python.executable), str(python.executable)]
    arguments = ["--ro-bind", str(python.prefix), _PYTHON]
    packages = python.stdlib / "site-packages"
    if packages.is_dir():
        inside = pathlib.Path(_PYTHON) / packages.relative_to(python.prefix)
        arguments += ["--tmpfs", str(inside), "--remount-ro", str(inside)]
    return arguments


def _inside(path: pathlib.Path, python: interpreter.Interpreter) -> str:
    if python.prefix == pathlib.Path("/usr"):
        return str(path)
    return str(pathlib.Path(_PYTHON) / path.relative_to(python.prefix))


class Bubblewrap:
    """`uses_user_namespace` is how it works without root."""

    is_for_auto = True

    def __init__(self, *, name: str, uses_user_namespace: bool):
        self.name = name
        self._uses_user_namespace = uses_user_namespace

    def why_unavailable(self) -> str | None:
        """A reason that can be seen without trying, or None."""
        if platform.system() != "Linux":
            return "it needs Linux"
        if platform.machine() not in seccomp.AUDIT_ARCH:
            return f"no seccomp filter for {platform.machine()}"
        if shutil.which("bwrap") is None:
            return "bwrap is not installed (Debian, Ubuntu: apt-get install bubblewrap)"
        if not self._uses_user_namespace and os.geteuid() != 0:
            return "it needs root"
        if not interpreter.find_interpreter().is_in_prefix:
            return "the interpreter's executable lies outside its own prefix"
        return None

    def count_cores(self) -> int:
        return layers.count_usable_cores()

    def start(self, slot: int, switched_off: frozenset[str] = frozenset()) -> Worker:
        """Raises InfraError where the jail cannot be built."""
        python = interpreter.find_interpreter()
        uid = layers.uid_for(slot)
        # Inside a user namespace there is one user only, so nobody to become.
        config = layers.make_layers(
            uid=None if self._uses_user_namespace else uid,
            limits_threads=True,
            readable=[_PYTHON, *interpreter.SYSTEM_LIBRARIES, "/etc/ld.so.cache"]
            + ["/tmp"],
            switched_off=switched_off,
        )
        environment = interpreter.make_environment(switched_off)
        environment |= {"LD_LIBRARY_PATH": f"{_PYTHON}/lib"}
        return start_zygote(
            ZygoteCommand(
                backend=self.name,
                prefix=_make_jail(
                    python,
                    uid,
                    uses_user_namespace=self._uses_user_namespace,
                    switched_off=switched_off,
                ),
                executable=_inside(python.executable, python),
                script=f"/box/{interpreter.ZYGOTE}",
                package_root="/box",
                layers=config,
                environment=environment,
                is_pid_1=True,
            )
        )


def _make_jail(
    python: interpreter.Interpreter,
    uid: int,
    *,
    uses_user_namespace: bool,
    switched_off: frozenset[str],
) -> list[str]:
    command = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    if "network" not in switched_off:
        command.append("--unshare-net")
    command += ["--unshare-cgroup-try", "--hostname", "box"]
    command += ["--die-with-parent", "--new-session", "--as-pid-1"]
    command += ["--cap-drop", "ALL"]
    if uses_user_namespace:
        command += ["--unshare-user", "--uid", str(uid), "--gid", str(uid)]
    else:
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
            command += ["--cap-add", capability]
    command += _mounts(python)
    command += ["--proc", "/proc", "--dir", "/tmp", "--remount-ro", "/"]
    return [*command, "--chdir", "/tmp", "--"]


def make_jail_command() -> list[str]:
    """The jail with the interpreter in it, for whoever wants to compare (root)."""
    python = interpreter.find_interpreter()
    jail = _make_jail(
        python,
        layers.uid_for(0),
        uses_user_namespace=os.geteuid() != 0,
        switched_off=frozenset(),
    )
    return [*jail, _inside(python.executable, python)]
