"""One call of one real function, as a program that stands alone."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class FunctionCase:
    """A function, everything that it needs, and one call of it.

    Example: ``FunctionCase(id="colors:double#0", group="colors.py", entry="double",
    source="def double(x):\\n    return 2 * x", call="double(21)", license="MIT",
    module="colors", origin="doctest")``.
    """

    id: str
    group: str  # the unit of a split: path of the module file below the root
    entry: str  # the name that `call` is about, "Class.method" for a method
    source: str  # Python text without docstrings, which hold the answers
    call: str  # one expression
    license: str
    module: str  # dotted name
    origin: str  # doctest | generated | fuzzed: where the arguments come from

    @property
    def num_chars(self) -> int:
        """Characters of the rendered program."""
        return len(render_program(self))

    @property
    def num_lines(self) -> int:
        """Lines of the rendered program."""
        return render_program(self).count("\n")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectedCase:
    """A case that was kept, and what its program really printed."""

    case: FunctionCase
    stdout: str


def render_program(case: FunctionCase) -> str:
    """The program of a case: it reads nothing and prints the repr of the call."""
    return f"{case.source}\nprint(repr({case.call}))\n"
