"""A jail without namespaces, for containers that forbid them (plain docker).

Each child becomes a user of its own (if we are root), may read the interpreter's
library only (Landlock) and has neither network nor other processes (seccomp).
"""

import os
import platform

from simex.sandbox import interpreter, landlock, seccomp
from simex.sandbox.backends import layers
from simex.sandbox.worker import Worker, ZygoteCommand, start_zygote


class Bare:
    """Stands on Landlock and seccomp; refuses to work without either."""

    name = "bare"
    is_for_auto = True

    def why_unavailable(self) -> str | None:
        """A reason that can be seen without trying, or None."""
        if platform.system() != "Linux":
            return "it needs Linux"
        if platform.machine() not in seccomp.AUDIT_ARCH:
            return f"no seccomp filter for {platform.machine()}"
        if landlock.find_abi() == 0:
            return "the kernel has no Landlock (5.13 and later, if switched on)"
        return None

    def count_cores(self) -> int:
        return layers.count_usable_cores()

    def start(self, slot: int, switched_off: frozenset[str] = frozenset()) -> Worker:
        """Raises InfraError where a wall cannot be built."""
        python = interpreter.find_interpreter()
        is_root = os.geteuid() == 0
        environment = interpreter.make_environment(switched_off)
        stdlib = python.stdlib
        if is_root and not interpreter.is_readable_by_others(stdlib):
            staged = interpreter.stage_library(python)
            stdlib = staged / stdlib.relative_to(python.prefix)
            environment["PYTHONHOME"] = str(staged)
        config = layers.make_layers(
            uid=layers.uid_for(slot) if is_root else None,
            # Otherwise the count is shared with all that the user runs.
            limits_threads=is_root,
            readable=[str(stdlib), *interpreter.SYSTEM_LIBRARIES, "/etc/ld.so.cache"],
            switched_off=switched_off,
        )
        return start_zygote(
            ZygoteCommand(
                backend=self.name,
                prefix=[],
                executable=str(python.executable),
                script=str(interpreter.PACKAGE_ROOT / interpreter.ZYGOTE),
                package_root=str(interpreter.PACKAGE_ROOT),
                layers=config,
                environment=environment,
                is_pid_1=False,
            )
        )
