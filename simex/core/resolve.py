"""Turns bindings into the arguments of jobs, and finds the bindings nobody reads.

The meaning is gin's, with one difference. ``@nlex/train_sft`` runs train_sft in the
scope nlex: it reads ``train_sft.x``, over it ``nlex/train_sft.x``; a reference without
a scope inside it stays in nlex, one with a scope leaves it. The difference: a macro is
replaced by its value, so that ``%model`` and ``@ModelConfig()`` mean the same thing
(gin would evaluate the macro's value in a scope called "model").
"""

import ast
import dataclasses
import inspect
from collections.abc import Callable

from simex.core.bindings import Binding, Macro, Reference
from simex.core.configurables import GIVEN, Configurable, find_configurable
from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.core.setting_values import Deferred, fit_value

Scopes = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One parameter as a run uses it."""

    key: str  # "nlex/train_sft.num_steps"
    text: str | None  # in gin's language; None for a default that gin cannot write
    default: str | None  # None: it has none
    where: str | None  # the line that gave it; None: no line did


class Resolver:
    """Evaluates references; remembers each binding read and each setting used."""

    def __init__(self, bindings: tuple[Binding, ...]):
        self.settings: dict[str, Setting] = {}  # by key, in the order of use
        self._macros: dict[str, Binding] = {}
        self._values: dict[tuple[str, str, str], Binding] = {}
        self._read: set[int] = set()  # id() of a binding
        self._under_way: list[str] = []
        for binding in bindings:
            self._add(binding)

    def deferred(self, reference: Reference, scopes: Scopes, *, where: str) -> Deferred:
        """The function that ``@scope/name`` names, with its arguments.

        Args:
          reference: what was written.
          scopes: where it was written; a reference with scopes of its own leaves them.
          where: the line, for errors.

        Raises:
          UserError: a name is unknown, or a value does not fit its annotation.
        """
        configurable = find_configurable(reference.name, where=where)
        inner = reference.scopes or scopes
        name = "/".join([*inner, configurable.name])
        if name in self._under_way:
            chain = " -> ".join([*self._under_way, name])
            raise UserError(f"{where}: {name} is made from itself ({chain}).")
        self._under_way.append(name)
        arguments = self._arguments(configurable, inner)
        self._under_way.pop()
        return Deferred(name=name, function=configurable.function, arguments=arguments)

    def unread(self) -> list[Binding]:
        """Bindings that nothing reachable so far has read, in the order of the files."""
        everything = [*self._values.values(), *self._macros.values()]
        return [b for b in everything if id(b) not in self._read]

    @property
    def read_macros(self) -> list[str]:
        """The macros for which something so far has asked."""
        return [name for name, b in self._macros.items() if id(b) in self._read]

    def _add(self, binding: Binding) -> None:
        if binding.is_macro:
            self._macros[binding.key] = binding
            return
        configurable = find_configurable(binding.configurable, where=binding.where)
        if binding.parameter in GIVEN:
            raise UserError(
                f"{binding.where}: {binding.key} cannot be set; the command line "
                "gives it (--workdir)."
            )
        known = configurable.parameters
        if binding.parameter not in known:
            kind = f"parameter of {configurable.name}"
            raise unknown_name(kind, binding.parameter, known, where=binding.where)
        self._values[binding.scope, configurable.name, binding.parameter] = binding

    def _arguments(
        self, configurable: Configurable, scopes: Scopes
    ) -> dict[str, object]:
        hints = configurable.hints
        arguments = {}
        for name, parameter in configurable.parameters.items():
            binding = self._innermost(scopes, configurable.name, name)
            default = _gin_text(parameter.default)
            key = "/".join([*scopes, f"{configurable.name}.{name}"])
            if binding is None:
                self._remember(key, text=default, default=default, where=None)
                continue
            where = self._where(binding)
            written = self._expand(binding.value, where=where)
            self._remember(key, text=repr(written), default=default, where=where)
            arguments[name] = fit_value(
                self._evaluate(written, scopes, where=where),
                hints.get(name, inspect.Parameter.empty),
                key=binding.key,
                where=where,
            )
        return arguments

    def _innermost(self, scopes: Scopes, name: str, parameter: str) -> Binding | None:
        """The binding of the innermost scope; the outer ones count as read."""
        innermost = None
        for depth in range(len(scopes) + 1):
            scope = "/".join(scopes[:depth])
            binding = self._values.get((scope, name, parameter))
            if binding is not None:
                self._read.add(id(binding))
                innermost = binding
        return innermost

    def _remember(
        self, key: str, *, text: str | None, default: str | None, where: str | None
    ) -> None:
        self.settings[key] = Setting(key=key, text=text, default=default, where=where)

    def _where(self, binding: Binding) -> str:
        """The line of a binding; with it the line of the macro that it names."""
        if isinstance(binding.value, Macro):
            macro = self._macros.get(binding.value.name)
            if macro is not None:
                return f"{binding.where}, %{macro.key} from {macro.where}"
        return binding.where

    def _expand(
        self, value: object, *, where: str, inside: tuple[str, ...] = ()
    ) -> object:
        """`value` with every macro replaced by what it stands for."""
        if not isinstance(value, Macro):
            return _rebuilt(
                value, lambda v: self._expand(v, where=where, inside=inside)
            )
        binding = self._macros.get(value.name)
        if binding is None:
            raise unknown_name("macro", value.name, self._macros, where=where)
        if value.name in inside:
            raise UserError(f"{binding.where}: the macro {value!r} stands for itself.")
        self._read.add(id(binding))
        return self._expand(
            binding.value, where=binding.where, inside=(*inside, value.name)
        )

    def _evaluate(self, value: object, scopes: Scopes, *, where: str) -> object:
        if not isinstance(value, Reference):
            return _rebuilt(value, lambda v: self._evaluate(v, scopes, where=where))
        deferred = self.deferred(value, scopes, where=where)
        return _call(deferred, where=where) if value.is_called else deferred


def missing_arguments(deferred: Deferred) -> list[str]:
    """Parameters without a default to which no line gives a value."""
    parameters = Configurable(name=deferred.name, function=deferred.function).parameters
    return [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
        and name not in deferred.arguments
    ]


def refuse_missing_arguments(deferred: Deferred, *, where: str) -> None:
    """Raises UserError if a parameter without a default has no value."""
    missing = missing_arguments(deferred)
    if missing:
        raise UserError(
            f"{where}: {deferred.name} needs a value for {', '.join(missing)}; "
            f"add a line '{deferred.name}.{missing[0]} = ...'."
        )


def _call(deferred: Deferred, *, where: str) -> object:
    refuse_missing_arguments(deferred, where=where)
    try:
        return deferred()
    except (UserError, ValueError, TypeError) as error:
        given = ", ".join(f"{k}={v!r}" for k, v in deferred.arguments.items())
        raise UserError(
            f"{where}: {deferred.name}({given}) is not possible: {error}"
        ) from error


def _rebuilt(value: object, change: Callable[[object], object]) -> object:
    """A list, tuple or dict with `change` done to each member; else `value` itself."""
    if isinstance(value, list | tuple):
        return type(value)(change(v) for v in value)
    if isinstance(value, dict):
        return {change(k): change(v) for k, v in value.items()}
    return value


def _gin_text(value: object) -> str | None:
    """`value` as a literal of a gin file; None if there is none, as for inf."""
    text = repr(value)
    try:
        return text if ast.literal_eval(text) == value else None
    except (ValueError, SyntaxError):
        return None
