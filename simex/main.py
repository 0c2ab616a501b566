"""The command line: `simex WORD ...`; each word is a module of `simex.commands`.

Exit codes: 0 done; 1 a fault of simex, with its traceback; 2 something that was asked
for cannot be done; 130 stopped by Ctrl-C; 143 stopped by SIGTERM. After 130 and 143 the
same command continues.
"""

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, ModuleType

import simex
from simex.core.errors import UserError
from simex.core.files import disk_full_error
from simex.core.interrupts import Terminated, signals_never_lost

# A module has HELP, add_arguments(parser) and command(arguments) -> exit code.
COMMANDS = {
    "run": "simex.commands.run",
    "plan": "simex.commands.plan",
    "doctor": "simex.commands.doctor",
    "sweep": "simex.commands.sweep",
    "view": "simex.commands.view",
    "judge": "simex.commands.judge",
    "trace": "simex.commands.trace",
    "score": "simex.commands.score",
    "import-hf": "simex.commands.import_hf",
    "export-hf": "simex.commands.export_hf",
}

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


def main(words: Sequence[str] | None = None) -> int:
    """Carries out one command line (`sys.argv` by default); the exit code."""
    arguments = _make_parser().parse_args(words)
    module = importlib.import_module(COMMANDS[arguments.word])
    before = signal.signal(signal.SIGTERM, _make_terminator())
    try:
        with signals_never_lost():
            return int(module.command(arguments))
    except UserError as error:
        return _stop(f"simex: {error}", EXIT_USER_ERROR)
    except Terminated:
        return _stop("stopped; the same command continues", EXIT_TERMINATED)
    except KeyboardInterrupt:
        return _stop("\nstopped; the same command continues", EXIT_INTERRUPTED)
    except (OSError, RuntimeError, ValueError) as error:
        # A full disk may come wrapped by the library that was writing.
        full = next(filter(None, map(_full_disk, _causes(error))), None)
        if full is None:
            raise
        return _stop(f"simex: {full}", EXIT_USER_ERROR)
    finally:
        signal.signal(signal.SIGTERM, before)


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simex", description=simex.__doc__)
    parser.add_argument(
        "--version", action="version", version=f"simex {simex.__version__}"
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
    for word, module_name in COMMANDS.items():
        module: ModuleType = importlib.import_module(module_name)
        module.add_arguments(
            words.add_parser(word, help=module.HELP, description=module.__doc__)
        )
    return parser


def _make_terminator() -> Callable[[int, FrameType | None], None]:
    owner = os.getpid()

    def terminate(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked worker: end as if this were not here
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Terminated

    return terminate


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _full_disk(error: BaseException) -> UserError | None:
    if isinstance(error, OSError):
        return disk_full_error(error)
    # tensorstore and XLA tell it in words only.
    is_full = os.strerror(errno.ENOSPC) in str(error)
    return disk_full_error(OSError(errno.ENOSPC, "")) if is_full else None


def _stop(message: str, code: int) -> int:
    print(message, file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
