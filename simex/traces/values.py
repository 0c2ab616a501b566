"""Values as short Python text, without ever running code of the program.

Runs inside the box: standard library only. Only values whose type is exactly a builtin
one are spelled out; an object of the program becomes `<Name field=value, …>`, read past
any `__getattribute__`, and everything else `<Name>`. Nobody's `__repr__`, `__eq__`,
`__hash__` or `__iter__` is called: types are told apart by `id`, because a metaclass
may define `__eq__` and `__hash__` too. Builtins are bound here at import, because a
program may replace them. (The idea of exact types is hunter's `safe_repr`.)

What is too long ends in "…": `[0, 1, … 98 more]`, `'abc'…`, `<int of 9000 bits>`.
"""

import collections
import types
from collections.abc import Callable
from typing import Any

MAX_ITEMS = 64
MAX_DEPTH = 5
MAX_STRING_LENGTH = 240
MAX_TEXT_LENGTH = 1000
_MAX_INT_BITS = 1024
_SMALL_INT = 1 << 60
_MAX_NODES = 400  # work bound for one value

_type, _id, _len, _repr, _map, _set = type, id, len, repr, map, set
_sorted, _max, _sum, _min = sorted, max, sum, min
_bit_length, _dict_items, _list = int.bit_length, dict.items, list
_issubclass, _int, _str = issubclass, int, str
_name_of_type = type.__dict__["__name__"].__get__
_mro_of_type = type.__dict__["__mro__"].__get__
_namespace_of_type = type.__dict__["__dict__"].__get__
_GetSet = types.GetSetDescriptorType

_INTS = {id(int), id(bool)}
_FLOATS = {id(float), id(type(None)), id(bool)}
_STRINGS = {id(str)}

# Names that hold these are part of the program's text, not of its state.
SKIPPED_TYPES = {
    id(t)
    for t in (
        types.FunctionType,
        types.BuiltinFunctionType,
        types.MethodType,
        types.MethodWrapperType,
        types.MethodDescriptorType,
        types.WrapperDescriptorType,
        types.ClassMethodDescriptorType,
        types.ModuleType,
        type,
    )
}
# Same object, same text: these need not be rendered again.
FROZEN_TYPES = {id(t) for t in (int, float, bool, str, bytes, complex, type(None))}


def is_state(value: object) -> bool:
    """Whether a name holding `value` belongs into a trace."""
    kind = _type(value)
    return _id(kind) not in SKIPPED_TYPES and not _issubclass(kind, _type)


def render_value(value: Any) -> str:
    """At most about MAX_TEXT_LENGTH characters, in bounded time."""
    if _type(value) is _int and -_SMALL_INT < value < _SMALL_INT:  # by far the most
        return _repr(value)
    text = _render(value, 0, [_MAX_NODES])
    return text if _len(text) <= MAX_TEXT_LENGTH else text[:MAX_TEXT_LENGTH] + "…"


def render_inner(value: Any) -> str:
    """The text of an element of a container at the top."""
    if _type(value) is _int and -_SMALL_INT < value < _SMALL_INT:
        return _repr(value)
    return _render(value, 1, [_MAX_NODES])


def type_name(value: object) -> str:
    """The name of the value's class, read past its metaclass."""
    return _name_of_type(_type(value))


def _render(value: Any, depth: int, budget: list[int]) -> str:
    budget[0] -= 1
    if budget[0] < 0:
        return "…"
    renderer = _RENDERERS.get(_id(_type(value)))
    if renderer is None:
        return _render_object(value, depth, budget)
    return renderer(value, depth, budget)


def _render_int(value: Any, depth: int, budget: list[int]) -> str:
    if _bit_length(value) <= _MAX_INT_BITS:
        return _repr(value)
    return f"<int of {_bit_length(value)} bits>"


def _render_plain(value: Any, depth: int, budget: list[int]) -> str:
    return _repr(value)


def _render_string(value: Any, depth: int, budget: list[int]) -> str:
    if _len(value) <= MAX_STRING_LENGTH:
        return _repr(value)
    return _repr(value[:MAX_STRING_LENGTH]) + "…"


def _can_repr(values: Any) -> bool:
    """Whether builtin repr of this container is safe and short."""
    if _len(values) > MAX_ITEMS:
        return False
    for value in values:
        if _type(value) is not _int or not -_SMALL_INT < value < _SMALL_INT:
            break
    else:
        return True
    kinds = _set(_map(_id, _map(_type, values)))
    if kinds <= _INTS:
        return _max(_map(_bit_length, values), default=0) <= _MAX_INT_BITS
    if kinds <= _STRINGS:
        return _sum(_map(_len, values)) <= MAX_STRING_LENGTH
    return kinds <= _FLOATS


def _join(values: Any, length: int, depth: int, budget: list[int]) -> str:
    if depth >= MAX_DEPTH:
        return "…"
    parts: list[str] = []
    for value in values:
        if _len(parts) >= MAX_ITEMS or budget[0] < 0:
            break
        parts.append(_render(value, depth + 1, budget))
    if length > _len(parts):
        parts.append(f"… {length - _len(parts)} more")
    return ", ".join(parts)


def _render_list(value: Any, depth: int, budget: list[int]) -> str:
    if _can_repr(value):
        return _repr(value)
    return f"[{_join(value, _len(value), depth, budget)}]"


def _render_tuple(value: Any, depth: int, budget: list[int]) -> str:
    if _can_repr(value):
        return _repr(value)
    comma = "," if _len(value) == 1 else ""
    return f"({_join(value, _len(value), depth, budget)}{comma})"


def _render_set(value: Any, depth: int, budget: list[int]) -> str:
    """In an order that does not depend on hashes: numbers by size, the rest by text."""
    if not value:
        return f"{_name_of_type(_type(value))}()"
    if _can_repr(value) and _set(_map(_id, _map(_type, value))) <= _INTS:
        inner = ", ".join(_map(_repr, _sorted(value)))
    elif _len(value) > MAX_ITEMS or depth >= MAX_DEPTH:
        inner = f"… {_len(value)} more"
    else:
        inner = ", ".join(_sorted(_render(v, depth + 1, budget) for v in value))
    return f"{{{inner}}}" if _type(value) is set else f"frozenset({{{inner}}})"


def _render_items(items: Any, length: int, depth: int, budget: list[int]) -> str:
    if depth >= MAX_DEPTH:
        return "…"
    parts: list[str] = []
    for key, value in items:
        if _len(parts) >= MAX_ITEMS or budget[0] < 0:
            break
        key_text = _render(key, depth + 1, budget)
        parts.append(f"{key_text}: {_render(value, depth + 1, budget)}")
    if length > _len(parts):
        parts.append(f"… {length - _len(parts)} more")
    return ", ".join(parts)


def _render_dict(value: Any, depth: int, budget: list[int]) -> str:
    return f"{{{_render_items(_dict_items(value), _len(value), depth, budget)}}}"


def _render_named_dict(value: Any, depth: int, budget: list[int]) -> str:
    items = (
        _ordered_items(value)
        if _type(value) is collections.OrderedDict
        else _dict_items(value)
    )
    inner = _render_items(items, _len(value), depth, budget)
    return f"{_name_of_type(_type(value))}({{{inner}}})"


def _render_deque(value: Any, depth: int, budget: list[int]) -> str:
    return f"deque([{_join(value, _len(value), depth, budget)}])"


def _render_range(value: Any, depth: int, budget: list[int]) -> str:
    for bound in (value.start, value.stop, value.step):
        if _type(bound) is not _int or _bit_length(bound) > _MAX_INT_BITS:
            return "<range>"
    return _repr(value)


def _render_object(value: object, depth: int, budget: list[int]) -> str:
    kind = _type(value)
    name = _name_of_type(kind)
    if _issubclass(kind, _type):
        return f"<class {_name_of_type(value)}>"
    fields = fields_of(value)
    if not fields or depth >= MAX_DEPTH:
        return f"<{name}>"
    parts: list[str] = []
    for key, field in _dict_items(fields):
        if _type(key) is _str and _len(parts) < MAX_ITEMS and budget[0] >= 0:
            parts.append(f"{key}={_render(field, depth + 1, budget)}")
    return f"<{name} {', '.join(parts)}>"


def fields_of(value: object) -> dict[str, object] | None:
    """The instance's dict, if the program defined its class, read past its class."""
    kind = _type(value)
    found = _field_getters.get(_id(kind))
    if found is None:
        # The class is kept too: another one may not get its id.
        found = _field_getters[_id(kind)] = (kind, _find_field_getter(kind))
    getter = found[1]
    if getter is None:
        return None
    fields = getter.__get__(value)
    return fields if _type(fields) is dict else None


def _find_field_getter(kind: type) -> Any:
    if _namespace_of_type(kind).get("__module__") is not _main_name():
        return None
    for parent in _mro_of_type(kind):
        getter = _namespace_of_type(parent).get("__dict__")
        if getter is not None:
            # Another `__dict__` is the program's own: not to be called.
            return getter if _type(getter) is _GetSet else None
    return None


_field_getters: dict[int, tuple[type, Any]] = {}
_ordered_items = collections.OrderedDict.items
_main_marker: list[object] = [None]


def _main_name() -> object:
    return _main_marker[0]


def set_main_name(name: str) -> None:
    """Classes whose `__module__` is this very string are the program's own."""
    _main_marker[0] = name


_Renderer = Callable[[Any, int, list[int]], str]
_RENDERERS: dict[int, _Renderer] = {
    id(int): _render_int,
    id(bool): _render_plain,
    id(float): _render_plain,
    id(complex): _render_plain,
    id(type(None)): _render_plain,
    id(str): _render_string,
    id(bytes): _render_string,
    id(bytearray): _render_string,
    id(list): _render_list,
    id(tuple): _render_tuple,
    id(set): _render_set,
    id(frozenset): _render_set,
    id(dict): _render_dict,
    id(collections.defaultdict): _render_named_dict,
    id(collections.Counter): _render_named_dict,
    id(collections.OrderedDict): _render_named_dict,
    id(collections.deque): _render_deque,
    id(range): _render_range,
}
