"""Checks a setting against its annotation, and describes it for stamps and people."""

import collections.abc
import dataclasses
import enum
import functools
import inspect
import types
import typing
from collections.abc import Mapping

from beartype import BeartypeConf
from beartype.door import is_bearable

from simex.core.errors import UserError

# An int is accepted where a float is asked for.
_CONF = BeartypeConf(is_pep484_tower=True)
_LISTS = (
    collections.abc.Sequence,
    collections.abc.Collection,
    collections.abc.Iterable,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deferred:
    """A function with the settings that a file gave it, called later: ``@scope/name``."""

    name: str  # "nlex/train_sft"
    function: typing.Callable[..., object]
    arguments: Mapping[str, object]

    def __call__(self, *args: object, **kwargs: object) -> object:
        return functools.partial(self.function, **self.arguments)(*args, **kwargs)


def fit_value(value: object, hint: object, *, key: str, where: str) -> object:
    """`value` as `hint` wants it: a list may become a tuple, a word an enum member.

    Raises:
      UserError: it does not fit.
    """
    if hint is inspect.Parameter.empty:
        return value
    for candidate in _candidates(value, hint):
        if _fits(candidate, hint):
            return candidate
    raise UserError(
        f"{where}: {key} must be {_hint_text(hint)}; "
        f"got {value!r} ({type(value).__name__})."
    )


def _fits(value: object, hint: object) -> bool:
    """Whether `value` and every member of it is what `hint` says.

    beartype alone looks at one member, drawn at random. A truth value is no number, and
    a text is no list of its characters, though Python has both.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, choice) for choice in inner)
    if isinstance(value, bool) and hint in (int, float):
        return False
    if isinstance(value, str) and origin in _LISTS:
        return False
    if not is_bearable(value, hint, conf=_CONF):  # type: ignore[arg-type]
        return False
    if isinstance(value, Mapping) and len(inner) == 2:
        pairs = [(k, inner[0]) for k in value] + [(v, inner[1]) for v in value.values()]
        return all(_fits(member, member_hint) for member, member_hint in pairs)
    if isinstance(value, list | tuple) and inner:
        is_fixed = origin is tuple and inner[-1] is not Ellipsis
        hints = inner if is_fixed else [inner[0]] * len(value)
        return all(_fits(member, h) for member, h in zip(value, hints, strict=True))
    return True


def _candidates(value: object, hint: object) -> typing.Iterator[object]:
    if hint is float and type(value) is int:
        yield float(value)
    yield value
    if isinstance(value, list):  # gin files have lists; frozen dataclasses hold tuples
        yield tuple(value)
    for kind in (hint, *typing.get_args(hint)):
        if _is_enum(kind) and isinstance(value, str):
            yield next((m for m in kind if m.value == value), value)


def _is_enum(hint: object) -> typing.TypeGuard[type[enum.Enum]]:
    return isinstance(hint, enum.EnumMeta)


def _hint_text(hint: object) -> str:
    if _is_enum(hint):
        return "one of " + ", ".join(repr(m.value) for m in hint)
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(a) for a in typing.get_args(hint))
    if isinstance(hint, type) and not typing.get_args(hint):
        return hint.__name__
    return str(hint).replace("typing.", "").replace("collections.abc.", "")


def describe(value: object) -> dict[str, str]:
    """A value as flat text, the same in every process: ``{"": "3"}``.

    A dataclass gives a line for its name and one for each field, defaults included:
    ``{"": "ModelConfig", "width": "256"}``; so does what stands inside it, with dots.
    """
    if isinstance(value, Deferred):
        inner: Mapping[str, object] = with_defaults(value.function, value.arguments)
        return _described(f"@{value.name}", inner)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return _described(type(value).__qualname__, fields)
    if isinstance(value, list | tuple) and not _is_plain(value):
        return _described("sequence", {str(i): v for i, v in enumerate(value)})
    if isinstance(value, Mapping) and not _is_plain(value):
        return _described("mapping", {str(k): v for k, v in value.items()})
    if callable(value):
        return {"": getattr(value, "__qualname__", type(value).__qualname__)}
    # Objects without a text of their own would print their address.
    is_odd = type(value).__repr__ is object.__repr__
    return {"": type(value).__qualname__ if is_odd else repr(value)}


def with_defaults(
    function: typing.Callable[..., object], arguments: Mapping[str, object]
) -> dict[str, object]:
    """`arguments` and the defaults of every other parameter, in the signature's order."""
    found: dict[str, object] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in arguments:
            found[name] = arguments[name]
        elif parameter.default is not inspect.Parameter.empty:
            found[name] = parameter.default
    return found


def _described(name: str, inner: Mapping[str, object]) -> dict[str, str]:
    lines = {"": name}
    for key, value in inner.items():
        for path, text in describe(value).items():
            lines[f"{key}.{path}" if path else key] = text
    return lines


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(v) for v in value)
    if isinstance(value, Mapping):
        return all(_is_plain(v) for v in value.values())
    return value is None or isinstance(value, str | int | float | enum.Enum)
