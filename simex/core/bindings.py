"""Reads experiment files: gin's language, parsed by gin, into a list of bindings.

Only gin's parser and its registry are used, never its global configuration: two
experiments can be loaded side by side, and an error knows its file and line.
"""

import dataclasses
import io
import pathlib
import tokenize
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from gin import config_parser

import simex
from simex.core.errors import UserError

Statement: TypeAlias = (
    config_parser.BindingStatement
    | config_parser.BlockDeclaration
    | config_parser.ImportStatement
    | config_parser.IncludeStatement
)

EXPERIMENTS = pathlib.Path(simex.__file__).parents[1] / "experiments"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """``@scope/name`` (handed over) or ``@scope/name()`` (called, result handed over)."""

    scopes: tuple[str, ...]
    name: str
    is_called: bool

    def __repr__(self) -> str:
        call = "()" if self.is_called else ""
        return f"@{'/'.join([*self.scopes, self.name])}{call}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Macro:
    """``%name``: stands for the value that the file gives to ``name``."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Binding:
    """One line ``scope/configurable.parameter = value``.

    Example: ``nlex/train_sft.num_steps = 100`` has scope "nlex", configurable
    "train_sft", parameter "num_steps". A macro's line ``seed = 0`` has an empty
    configurable and parameter "seed".
    """

    scope: str
    configurable: str
    parameter: str
    value: object
    where: str  # "quickstart.gin:12", or "--set nlex/train_sft.num_steps=100"

    @property
    def is_macro(self) -> bool:
        return not self.configurable

    @property
    def key(self) -> str:
        """The left side of the line as it was written."""
        name = self.parameter
        if self.configurable:
            name = f"{self.configurable}.{name}"
        return f"{self.scope}/{name}" if self.scope else name


def read_bindings(
    path: pathlib.Path, overrides: Sequence[str] = ()
) -> tuple[Binding, ...]:
    """All bindings of a file, its includes and `overrides`; a later one wins.

    Args:
      path: an experiment file.
      overrides: "name=value" each, as given to `--set`.

    Raises:
      UserError: a file is missing or includes itself, or a line cannot be read.
    """
    found = list(_read_file(find_experiment(path), including=()))
    for override in overrides:
        found.append(_read_override(override))
    return tuple(found)


def find_experiment(
    path: pathlib.Path, beside: pathlib.Path | None = None
) -> pathlib.Path:
    """Looks for `path` as given (or beside the including file), then in experiments/."""
    first = path if beside is None else beside.parent / path
    candidates = [first, EXPERIMENTS / path]
    for candidate in candidates:
        if candidate.is_file():
            return _as_shown(candidate)
    looked = " and ".join(str(c) for c in candidates)
    known = ", ".join(sorted(p.name for p in EXPERIMENTS.glob("*.gin"))) or "none"
    raise UserError(
        f"There is no experiment file {str(path)!r}; looked for {looked}. "
        f"Files in experiments/: {known}."
    )


def _as_shown(path: pathlib.Path) -> pathlib.Path:
    """`path` as seen from the current folder, where it lies inside that."""
    here = pathlib.Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _read_file(
    path: pathlib.Path, *, including: tuple[pathlib.Path, ...]
) -> Iterator[Binding]:
    if path.resolve() in including:
        raise UserError(f"{path} includes itself; take one of the includes away.")
    inside = (*including, path.resolve())
    for statement in _statements(path.read_text(encoding="utf-8"), origin=str(path)):
        where = f"{path}:{statement.location.line_num}"
        if isinstance(statement, config_parser.IncludeStatement):
            try:
                included = find_experiment(
                    pathlib.Path(statement.filename), beside=path
                )
            except UserError as error:
                raise UserError(f"{where}: {error}") from None
            yield from _read_file(included, including=inside)
        elif isinstance(statement, config_parser.ImportStatement):
            raise UserError(
                f"{where}: experiment files cannot import Python; got "
                f"{statement.format()!r}. What they may name is listed in "
                "simex/jobs/wiring.py."
            )
        elif isinstance(statement, config_parser.BindingStatement):
            yield _binding(statement, where)


def _read_override(text: str) -> Binding:
    where = f"--set {text!r}"
    _, equals, _ = text.partition("=")
    try:
        binding = _read_line(text, where) if equals else None
    except UserError as error:
        raise UserError(
            f"{error} Write it as --set 'train_sft.num_steps=100'; text in quotes of "
            "its own: --set 'job.name=\"value\"'."
        ) from None
    if binding is None:
        raise UserError(
            f"{where} must be one NAME=VALUE, such as --set 'train_sft.num_steps=100'."
        )
    return binding


def read_values(text: str, *, word: str) -> tuple[str, list[object]]:
    """The name and the values of one word of a sweep.

    Example: ``read_values("train_rl.learning_rate=1e-6,3e-6", word="--grid")`` is
    ``("train_rl.learning_rate", [1e-06, 3e-06])``.

    Raises:
      UserError: it is not a name with at least one value in gin's language.
    """
    where = f"{word} {text!r}"
    name, _, values = text.partition("=")
    example = f"Write it as {word} 'train_rl.learning_rate=1e-6,3e-6'"
    try:
        binding = _read_line(f"{name} = [{values}]", where) if values.strip() else None
    except UserError as error:
        raise UserError(
            f"{error} {example}; texts in quotes of their own: "
            f'{word} \'train_rl.algorithm="paper","dapo"\'.'
        ) from None
    if binding is None or not isinstance(binding.value, list) or not binding.value:
        raise UserError(f"{where} must be one NAME=VALUE,VALUE... {example}.")
    return binding.key, binding.value


def _read_line(text: str, where: str) -> Binding | None:
    """The binding that `text` is; None if it is not exactly one."""
    statements = list(_statements(text, origin=where))
    if len(statements) == 1:
        statement = statements[0]
        if isinstance(statement, config_parser.BindingStatement):
            return _binding(statement, where)
    return None


def _binding(statement: config_parser.BindingStatement, where: str) -> Binding:
    # gin's parser puts the name of a macro where that of a configurable stands.
    has_parameter = bool(statement.arg_name)
    return Binding(
        scope=statement.scope,
        configurable=statement.selector if has_parameter else "",
        parameter=statement.arg_name or statement.selector,
        value=statement.value,
        where=where,
    )


def _statements(text: str, *, origin: str) -> Iterator[Statement]:
    last_line = 0
    try:
        for statement in config_parser.ConfigParser(io.StringIO(text), _Delegate()):
            last_line = statement.location.line_num
            yield statement
    except SyntaxError as error:
        raise UserError(f"{_at(origin, error.lineno)}: {_complaint(error)}") from None
    except tokenize.TokenError:
        # Where the tokenizer notices depends on the version of Python.
        after = f" after line {last_line}" if last_line else ""
        raise UserError(f"{origin}: a bracket or quote{after} is not closed.") from None


def _at(origin: str, line: int | None) -> str:
    return origin if origin.startswith("--") or not line else f"{origin}:{line}"


def _complaint(error: SyntaxError) -> str:
    text = (error.text or "").strip()
    if "Failed to parse token" in error.msg:
        token = error.msg.rsplit("token ", 1)[1]
        return f"{token} is not a value in {text!r}: text needs quotes."
    return f"cannot read {text!r}: {error.msg.rstrip('.')}."


class _Delegate(config_parser.ParserDelegate):
    """Keeps references and macros as written; `resolve` looks them up."""

    def configurable_reference(self, scoped_name: str, evaluate: bool) -> Reference:
        *scopes, name = scoped_name.split("/")
        return Reference(scopes=tuple(scopes), name=name, is_called=evaluate)

    def macro(self, name: str) -> Macro:
        return Macro(name=name)
