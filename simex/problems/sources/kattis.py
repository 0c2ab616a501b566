"""Kattis problem packages: a folder a problem, as contests and judges exchange them.

``problem.yaml`` (name, license, validation or validator_flags, limits, keywords),
``problem_statement/problem*.tex`` or ``statement/*``, ``data/sample`` and
``data/secret`` with ``.in`` and ``.ans`` files in any folder below, and
``submissions/<verdict>/*.py``. Format: problemtools, "Problem Package Format".
"""

import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from simex.core.errors import UserError
from simex.problems.problem import Limits, Problem, TestCase, Visibility
from simex.problems.program import Claim, Program, SourceItem
from simex.problems.rows import BadRecord, BrokenRow, Row
from simex.problems.sources.latex import text_of_latex

DEFAULT_CPU_SECS = 5.0
MAX_TEST_FILE_BYTES = 1 << 24
_CLAIMS = {
    "accepted": Claim.RIGHT,
    "wrong_answer": Claim.WRONG,
    "time_limit_exceeded": Claim.WRONG,
    "run_time_error": Claim.WRONG,
}
_LINE = re.compile(r"^([A-Za-z_]+):[ \t]*(.*)$", re.MULTILINE)
_TOLERANCE = re.compile(r"float(?:_absolute|_relative)?_tolerance[ =]+([0-9.eE+-]+)")


def read_packages(root: pathlib.Path) -> Iterator[Row | BrokenRow]:
    """A row for each folder below `root` that holds a problem.yaml, in order.

    The record is {"folder": path, "root": root}; `parse_package` reads the rest.

    Raises:
        UserError: there is no package.
    """
    found = sorted(path.parent for path in root.rglob("problem.yaml"))
    if not found:
        raise UserError(
            f"{root} must hold Kattis problem packages, folders with a problem.yaml; "
            "it holds none. Name the folder above them."
        )
    for folder in found:
        record = {"folder": str(folder), "root": str(root)}
        yield Row(place=str(folder), record=record)


def parse_package(record: Mapping[str, Any]) -> SourceItem:
    """Raises BadRecord where the package is broken or cannot be judged by a text."""
    folder, root = pathlib.Path(record["folder"]), pathlib.Path(record["root"])
    facts = _read_facts(folder / "problem.yaml")
    name = folder.relative_to(root).as_posix()
    validation = f"{facts.get('validation', 'default')} {facts.get('type', '')}"
    if "interactive" in validation or "multi-pass" in validation:
        raise BadRecord("is interactive")
    flags = str(facts.get("validator_flags") or "")
    tolerance = _TOLERANCE.search(flags)
    license = str(facts.get("license") or "unknown")
    origin = " ".join(str(facts[k]) for k in ("author", "source") if facts.get(k))
    problem = Problem(
        id=f"kattis/{folder.name if name == '.' else name}",
        statement=_read_statement(folder),
        tests=(
            *_read_tests(folder / "data" / "sample", Visibility.PUBLIC),
            *_read_tests(folder / "data" / "secret", Visibility.PRIVATE),
        ),
        # Words are compared, letter case aside, unless the flags say otherwise.
        checker=(
            "lines"
            if "space_change_sensitive" in flags or tolerance
            else "codecontests"
        ),
        float_tol=float(tolerance.group(1)) if tolerance else None,
        has_many_answers="custom" in validation or _has_validator(folder),
        source="kattis",
        composition=f"kattis/{folder.name}",
        limits=_limits(folder, facts),
        license=license,
        title=_title(facts, folder),
        tags=tuple(str(facts.get("keywords") or "").split()),
        origin=origin,
    )
    return SourceItem(
        problem=problem,
        programs=tuple(_read_programs(folder / "submissions", license, origin)),
    )


def _read_facts(path: pathlib.Path) -> Mapping[str, Any]:
    """problem.yaml; of one that is no YAML, as many are, its lines of "key: value"."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise BadRecord("problem.yaml is not UTF-8") from None
    try:
        facts = yaml.safe_load(text)
    except yaml.YAMLError:
        return {key: value.strip("'\" ") for key, value in _LINE.findall(text)}
    if not isinstance(facts, Mapping):
        raise BadRecord("problem.yaml holds no keys")
    return facts


def _title(facts: Mapping[str, Any], folder: pathlib.Path) -> str:
    name = facts.get("name")
    if isinstance(name, Mapping):  # one for each language
        name = name.get("en") or next(iter(name.values()), None)
    return str(name or folder.name)


def _has_validator(folder: pathlib.Path) -> bool:
    return any((folder / "output_validators").glob("*"))


def _read_statement(folder: pathlib.Path) -> str:
    """The English statement, or else the first of all."""
    files = [
        path
        for where in ("problem_statement", "statement")
        for path in sorted((folder / where).glob("problem*"))
        if path.suffix in (".tex", ".md") and not path.is_symlink()
    ]
    files.sort(key=lambda p: (".en." not in p.name, "." in p.stem, p.name))
    if not files:
        raise BadRecord("has no statement in problem_statement")
    text = _read_text(files[0])
    return text_of_latex(text) if files[0].suffix == ".tex" else text


def _read_tests(folder: pathlib.Path, visibility: Visibility) -> Iterator[TestCase]:
    for path in sorted(folder.rglob("*.in")):
        answer = path.with_suffix(".ans")
        if path.is_symlink() or answer.is_symlink():
            continue  # the same test in another group
        if not answer.exists():
            raise BadRecord(f"{path.name} has no .ans file")
        yield TestCase(
            stdin=_read_text(path),
            expected_stdout=_read_text(answer),
            visibility=visibility,
        )


def _read_text(path: pathlib.Path) -> str:
    if path.stat().st_size > MAX_TEST_FILE_BYTES:
        raise BadRecord(f"{path.name} is larger than {MAX_TEST_FILE_BYTES} bytes")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise BadRecord(f"{path.name} is not UTF-8") from None


def _read_programs(
    folder: pathlib.Path, license: str, origin: str
) -> Iterator[Program]:
    for verdict, claim in _CLAIMS.items():
        for path in sorted((folder / verdict).glob("*.py")):
            if not path.is_symlink():
                yield Program(
                    source=_read_text(path),
                    claim=claim,
                    license=license,
                    origin=f"{origin} {path.name}".strip(),
                )


def _limits(folder: pathlib.Path, facts: Mapping[str, Any]) -> Limits:
    limits = facts.get("limits")
    limits = limits if isinstance(limits, Mapping) else {}
    written = folder / ".timelimit"
    secs = limits.get("time_limit") or (
        written.read_text("utf-8").strip() if written.exists() else DEFAULT_CPU_SECS
    )
    try:
        return Limits(
            cpu_secs=float(secs),
            memory_mib=int(limits.get("memory") or Limits().memory_mib),
            output_mib=float(limits.get("output") or Limits().output_mib),
        )
    except (TypeError, ValueError) as error:
        raise BadRecord(f"limits are no numbers above 0: {error}") from None
