"""Finds deterministic functions in a folder of Python code, by reading only.

The default folder is the standard library of the interpreter that runs us. Nothing
that is read here is imported or run; `simex.jobs.harvest_functions` runs the candidate
calls in the sandbox and keeps those that return the same short value every time.
"""

import ast
import collections
import dataclasses
import os
import pathlib
import sysconfig
from collections.abc import Iterator

from simex.core.errors import UserError
from simex.problems.sources.functions.calls import (
    CandidateCall,
    doctest_calls,
    generated_calls,
)
from simex.problems.sources.functions.case import FunctionCase
from simex.problems.sources.functions.definitions import (
    Definition,
    find_definitions,
    is_generator,
    is_trivial,
    returns_nothing,
)
from simex.problems.sources.functions.module_code import ModuleCode, parse_module
from simex.problems.sources.functions.parameters import guess_parameters
from simex.problems.sources.functions.purity import PURE_BUILTINS
from simex.problems.sources.functions.slices import Slicer

SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "ensurepip", "idle_test", "pydoc_data", "site-packages"}
    | {"test", "tests", "turtledemo"}
)
STDLIB_LICENSE = "PSF-2.0"
MAX_FILE_BYTES = 1_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class HarvestLimits:
    """How large a program may be, and how many calls of it are tried."""

    max_chars: int = 1500
    max_lines: int = 40
    num_calls: int = 24

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if value < 1:
                raise UserError(
                    f"HarvestLimits.{name} must be at least 1; got {value}. Set it "
                    "higher, or leave it out for the default."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Harvest:
    """What a folder holds: cases by function, shortest program first.

    `dropped` counts the functions that were left out, by reason.
    """

    functions: tuple[tuple[FunctionCase, ...], ...]
    dropped: dict[str, int]


def candidate_cases(
    root: pathlib.Path | None = None,
    *,
    limits: HarvestLimits = HarvestLimits(),
    license: str = "unknown",
) -> Iterator[FunctionCase]:
    """All candidate cases below a folder, in an order that depends on the files only.

    Args:
        root: A folder of Python code; the standard library if None.
        limits: Bounds on programs and calls.
        license: Of the code below `root`; the standard library knows its own.

    Raises:
        UserError: `root` is not a folder.
    """
    for cases in harvest(root, limits=limits, license=license).functions:
        yield from cases


def harvest(
    root: pathlib.Path | None = None,
    *,
    limits: HarvestLimits = HarvestLimits(),
    license: str = "unknown",
) -> Harvest:
    """As `candidate_cases`, by function and with the reasons of what was left out."""
    if root is None:
        root, license = pathlib.Path(sysconfig.get_path("stdlib")), STDLIB_LICENSE
    if not root.is_dir():
        raise UserError(
            f"The folder of Python code must exist; {root} is not a folder. Name "
            "another one, or leave it out for the standard library."
        )
    dropped: collections.Counter[str] = collections.Counter()
    functions: list[tuple[FunctionCase, ...]] = []
    bodies: set[str] = set()
    for path in _files(root):
        module = parse_module(path, root)
        if module is None:
            dropped["in a file that does not parse"] += 1
            continue
        for node, outcome in _cases_of_module(module, limits, license):
            if isinstance(outcome, str):
                dropped[outcome] += 1
            elif (body := _body_key(node)) in bodies:
                dropped["same body as another"] += 1
            else:
                bodies.add(body)
                functions.append(outcome)
    functions.sort(key=lambda cases: (len(cases[0].source), cases[0].id))
    return Harvest(functions=tuple(functions), dropped=dict(sorted(dropped.items())))


def _files(root: pathlib.Path) -> list[pathlib.Path]:
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in SKIPPED_FOLDERS]
        paths = [pathlib.Path(folder, name) for name in names if name.endswith(".py")]
        found += [
            p for p in paths if p.is_file() and p.stat().st_size <= MAX_FILE_BYTES
        ]
    return sorted(found)


def _cases_of_module(
    module: ModuleCode, limits: HarvestLimits, license: str
) -> Iterator[tuple[ast.FunctionDef, tuple[FunctionCase, ...] | str]]:
    """Each function of a module with its cases, or with the reason of having none."""
    slicer = Slicer(module)
    docs = doctest_calls(module)
    for found in find_definitions(module):
        if is_trivial(found.node):
            yield found.node, "is too simple"
            continue
        sliced = slicer.cut(found.top_name, max_chars=limits.max_chars)
        if sliced.source is None:
            yield found.node, sliced.reason
            continue
        calls = _candidate_calls(module, found, docs, num_calls=limits.num_calls)
        cases = [
            FunctionCase(
                id=f"{module.name}:{found.entry}#{rank}",
                group=module.path,
                entry=found.entry,
                source=sliced.source,
                call=call.call,
                license=license,
                module=module.name,
                origin=call.origin,
            )
            for rank, call in enumerate(calls)
        ]
        fitting = tuple(case for case in cases if _fits(case, limits))
        reason = "is too long" if cases else "needs a special object"
        yield found.node, fitting or reason


def _fits(case: FunctionCase, limits: HarvestLimits) -> bool:
    return case.num_chars <= limits.max_chars and case.num_lines <= limits.max_lines


def _candidate_calls(
    module: ModuleCode, found: Definition, docs: dict[str, list[str]], *, num_calls: int
) -> list[CandidateCall]:
    known = [c for c in docs.get(found.entry, ()) if _is_pure_call(c, module)]
    parameters = guess_parameters(found.node, skip_first=found.skip_first)
    made: list[str] = []
    if parameters is not None:
        made = generated_calls(
            found.entry,
            parameters,
            num_calls=num_calls,
            shows_first_argument=returns_nothing(found.node),
        )
    wrapper = "list({})" if is_generator(found.node) else "{}"
    origins = {wrapper.format(c): "generated" for c in made}
    origins = {wrapper.format(c): "doctest" for c in known[:num_calls]} | origins
    return [CandidateCall(call=call, origin=o) for call, o in origins.items()]


def _is_pure_call(call: str, module: ModuleCode) -> bool:
    names = {n.id for n in ast.walk(ast.parse(call)) if isinstance(n, ast.Name)}
    return all(n in PURE_BUILTINS or n in module.providers for n in names)


def _body_key(function: ast.FunctionDef) -> str:
    arguments = ast.dump(function.args)
    return arguments + "".join(ast.dump(statement) for statement in function.body)
