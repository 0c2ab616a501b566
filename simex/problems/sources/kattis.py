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
_GROUP_FLAGS = re.compile(
    r"^output_validator_flags:[ \t]*[\"']?[^\s\"'#]", re.MULTILINE
)
_TOLERANCES = {
    "float_tolerance": ("absolute", "relative"),
    "float_absolute_tolerance": ("absolute",),
    "float_relative_tolerance": ("relative",),
}


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
    """Raises BadRecord where the package is broken or cannot be judged by a text.

    That is so where its flags ask of the default validator what no checker here does.
    """
    folder, root = pathlib.Path(record["folder"]), pathlib.Path(record["root"])
    facts = _read_facts(folder / "problem.yaml")
    name = folder.relative_to(root).as_posix()
    validation = f"{facts.get('validation', 'default')} {facts.get('type', '')}"
    if "interactive" in validation or "multi-pass" in validation:
        raise BadRecord("is interactive")
    has_own_validator = "custom" in validation or _has_validator(folder)
    # The flags of a package's own validator say nothing about the default one.
    checker, tolerance = "kattis", None
    if not has_own_validator:
        _refuse_flags_of_groups(folder / "data")
        checker, tolerance = _rule_of(facts.get("validator_flags") or "")
    license = str(facts.get("license") or "unknown")
    origin = " ".join(str(facts[k]) for k in ("author", "source") if facts.get(k))
    problem = Problem(
        id=f"kattis/{folder.name if name == '.' else name}",
        statement=_read_statement(folder),
        tests=(
            *_read_tests(folder / "data" / "sample", Visibility.PUBLIC),
            *_read_tests(folder / "data" / "secret", Visibility.PRIVATE),
        ),
        checker=checker,
        float_tol=tolerance,
        has_many_answers=has_own_validator,
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


def _refuse_flags_of_groups(folder: pathlib.Path) -> None:
    for path in sorted(folder.rglob("testdata.yaml")):
        if path.is_file() and _GROUP_FLAGS.search(_read_text(path)):
            raise BadRecord("a group of tests has validator flags of its own")


def _rule_of(flags: Any) -> tuple[str, float | None]:
    """The checker and the tolerance that the flags of the default validator mean.

    By default words are compared, letter case aside, and numbers are words. Raises
    BadRecord for flags that no checker here has the rule of.
    """
    text = " ".join(map(str, flags)) if isinstance(flags, list) else str(flags)
    words = iter(text.replace("=", " ").split())
    switches: set[str] = set()
    tolerances: dict[str, float] = {}
    for word in words:
        if word in _TOLERANCES:
            value = _parse_tolerance(next(words, ""))
            tolerances |= dict.fromkeys(_TOLERANCES[word], value)
        elif word in ("case_sensitive", "space_change_sensitive"):
            switches.add(word)
        else:
            raise BadRecord(f"its validator flag {word!r} is none of the default one's")
    absolute, relative = tolerances.get("absolute"), tolerances.get("relative")
    if absolute != relative:
        raise BadRecord("its absolute and relative tolerances differ")
    is_case_sensitive = "case_sensitive" in switches
    if "space_change_sensitive" in switches:
        if absolute is not None or not is_case_sensitive:
            raise BadRecord("it compares blanks, but not all else, exactly")
        return "exact", None
    return ("kattis_case" if is_case_sensitive else "kattis"), absolute


def _parse_tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadRecord(f"its tolerance is no number: {text!r}") from None
    if not 0 < value < 1:
        raise BadRecord(f"its tolerance must lie between 0 and 1; it is {value:g}")
    return value


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
