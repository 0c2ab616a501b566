"""Texts of containers that change a little at a time, worked out a little at a time.

Runs inside the box: standard library only. A watch remembers what a list, a dict or an
object's fields held, element by element, and makes new text for new elements only.
Elements are compared by identity, so no `__eq__` is ever called, and only elements that
cannot change and whose death nobody can notice are remembered: numbers, strings, None
and tuples of them. What holds anything else is told apart by its marshalled bytes, or,
where that is not safe, rendered anew each time.

A watch is found by the `id` of its container. Another container may get that id later;
that does no harm, since a watch compares contents and trusts nothing else.
"""

import _operator
import marshal
import sys
from typing import Any

from simex.traces import values

MAX_ITEMS = values.MAX_ITEMS
_MAX_TEXT_LENGTH = values.MAX_TEXT_LENGTH
_MAX_WATCHES = 2_000
_MAX_MARSHALLED_BYTES = 4_000
_MAX_TUPLE_LENGTH = 16
_MARSHAL_VERSION = 4  # later occurrences of an object are references: work is bounded
# From 3.12 on marshal would call a `__buffer__` that the program defined.
_IS_MARSHAL_SAFE = sys.version_info < (3, 12)

_type, _id, _len, _all, _map, _list, _zip = type, id, len, all, map, list, zip
_tuple, _str = tuple, str
_is_same = _operator.is_
_join = ", ".join
_dict_keys, _dict_values, _dict_items = dict.keys, dict.values, dict.items
_dumps, _ValueError, _MemoryError = marshal.dumps, ValueError, MemoryError
_render, _render_value = values.render_inner, values.render_value
_FROZEN_TYPES = values.FROZEN_TYPES
_NOT_FLAT = object()


def _is_lasting(value: object) -> bool:
    """Whether `value` keeps its text for ever and may live a little longer."""
    kind = _type(value)
    if _id(kind) in _FROZEN_TYPES:
        return True
    if kind is not _tuple or _len(value) > _MAX_TUPLE_LENGTH:  # type: ignore[arg-type]
        return False
    for element in value:  # type: ignore[attr-defined]
        if _id(_type(element)) not in _FROZEN_TYPES:
            return False
    return True


def _cut(text: str) -> str:
    return text if _len(text) <= _MAX_TEXT_LENGTH else text[:_MAX_TEXT_LENGTH] + "…"


class _FlatList:
    """A list whose first MAX_ITEMS elements are lasting ones."""

    __slots__ = ("_elements", "_length", "_parts", "_text")

    def __init__(self) -> None:
        self._elements: list[object] = []
        self._parts: list[str] = []
        self._length = 0
        self._text = "[]"

    def text(self, value: Any) -> Any:
        """The text, or _NOT_FLAT."""
        length, elements = _len(value), self._elements
        head = value if length <= MAX_ITEMS else value[:MAX_ITEMS]
        if length == self._length and _all(_map(_is_same, head, elements)):
            return self._text
        parts = self._parts
        if length < _len(elements):
            del elements[length:], parts[length:]
        index = 0
        for element, old in _zip(head, elements):
            if element is not old:
                if not _is_lasting(element):
                    return _NOT_FLAT
                elements[index] = element
                parts[index] = _render(element)
            index += 1
        for element in head[index:]:
            if not _is_lasting(element):
                return _NOT_FLAT
            elements.append(element)
            parts.append(_render(element))
        self._length = length
        more = f", … {length - MAX_ITEMS} more" if length > MAX_ITEMS else ""
        self._text = _cut(f"[{_join(parts)}{more}]")
        return self._text


class _FlatDict:
    """A dict of at most MAX_ITEMS lasting keys and values."""

    __slots__ = ("_keys", "_parts", "_sign", "_text", "_values")

    def __init__(self, sign: str) -> None:
        self._keys: list[object] = []
        self._values: list[object] = []
        self._parts: list[str] = []
        self._text = ""
        self._sign = sign  # between key and value: ": ", or "=" for fields

    def text(self, value: Any) -> Any:
        """The items without brackets, or _NOT_FLAT."""
        length = _len(value)
        if length > MAX_ITEMS:
            return _NOT_FLAT
        keys, old_values = self._keys, self._values
        if (
            length == _len(keys)
            and _all(_map(_is_same, _dict_values(value), old_values))
            and _all(_map(_is_same, value, keys))
        ):
            return self._text
        parts, sign = self._parts, self._sign
        if length < _len(keys):
            del keys[length:], old_values[length:], parts[length:]
        index, count = 0, _len(keys)
        for key, element in _dict_items(value):
            if index < count and element is old_values[index] and key is keys[index]:
                index += 1
                continue
            if not _is_lasting(element) or not _is_lasting(key):
                return _NOT_FLAT
            key_text = _render(key) if sign == ": " else key
            part = f"{key_text}{sign}{_render(element)}"
            if index < count:
                keys[index], old_values[index], parts[index] = key, element, part
            else:
                keys.append(key)
                old_values.append(element)
                parts.append(part)
            index += 1
        self._text = _join(parts)
        return self._text


class _Nested:
    """Anything else: the same marshalled bytes mean the same text."""

    __slots__ = ("_bytes", "_is_opaque", "_text")

    def __init__(self) -> None:
        self._bytes = b""
        self._text = ""
        self._is_opaque = not _IS_MARSHAL_SAFE

    def text(self, value: Any) -> str:
        if self._is_opaque:
            return _render_value(value)
        if self._bytes:
            found = self._marshal(value)
            if found and found == self._bytes:
                return self._text
            self._text = _render_value(value)
            self._bytes = found
        else:
            self._text = _render_value(value)
            # Cut texts stand for contents without bound: never marshal those.
            self._bytes = b"" if "…" in self._text else self._marshal(value)
        # Two kinds of bytes, and arrays, are one to marshal.
        is_ambiguous = "b'" in self._text or 'b"' in self._text or "<" in self._text
        self._is_opaque = not self._bytes or is_ambiguous
        return self._text

    def _marshal(self, value: Any) -> bytes:
        try:
            found = _dumps(value, _MARSHAL_VERSION)
        except (_ValueError, _MemoryError):
            return b""
        return found if _len(found) <= _MAX_MARSHALLED_BYTES else b""


class Watches:
    """The texts of all containers of a run."""

    __slots__ = ("_dicts", "_fields", "_lists", "_nested")

    def __init__(self) -> None:
        self._lists: dict[int, _FlatList | None] = {}
        self._dicts: dict[int, _FlatDict | None] = {}
        self._fields: dict[int, _FlatDict | None] = {}
        self._nested: dict[int, _Nested] = {}

    def list_text(self, value: Any) -> str:
        """The text of an exact list."""
        lists, key = self._lists, _id(value)
        if key not in lists:
            if _len(lists) >= _MAX_WATCHES:
                lists.clear()
            lists[key] = _FlatList()
        watch = lists[key]
        if watch is not None:
            text = watch.text(value)
            if text is not _NOT_FLAT:
                return text
            lists[key] = None  # until its id is forgotten
        return self.nested_text(value)

    def dict_text(self, value: Any) -> str:
        """The text of an exact dict."""
        text = self._flat_dict_text(self._dicts, value, ": ")
        return self.nested_text(value) if text is None else _cut(f"{{{text}}}")

    def object_text(self, value: Any) -> str:
        """The text of an object whose type is not a builtin one."""
        fields = values.fields_of(value)
        if not fields:
            return _render_value(value)
        for name in fields:
            if _type(name) is not _str:
                return _render_value(value)
        text = self._flat_dict_text(self._fields, fields, "=")
        if text is None:
            return _render_value(value)
        return _cut(f"<{values.type_name(value)} {text}>")

    def nested_text(self, value: Any) -> str:
        """The text of any other exact builtin container."""
        nested, key = self._nested, _id(value)
        watch = nested.get(key)
        if watch is None:
            if _len(nested) >= _MAX_WATCHES:
                nested.clear()
            watch = nested[key] = _Nested()
        return watch.text(value)

    def _flat_dict_text(
        self, dicts: dict[int, _FlatDict | None], value: Any, sign: str
    ) -> str | None:
        key = _id(value)
        if key not in dicts:
            if _len(dicts) >= _MAX_WATCHES:
                dicts.clear()
            dicts[key] = _FlatDict(sign)
        watch = dicts[key]
        if watch is None:
            return None
        text = watch.text(value)
        if text is _NOT_FLAT:
            dicts[key] = None
            return None
        return text
