"""The variables of a frame, and which of them changed since they were last told.

Runs inside the box: standard library only. "Changed" means: reads differently. So a
list that grows is a change without any assignment, and ``x = x`` is none.
"""

import _json
import collections
import types
from collections.abc import Callable, Iterable
from typing import Any

from simex.traces import values
from simex.traces.watch import Watches

_type, _id, _len, _str, _int, _list = type, id, len, str, int, list
_map, _next, _reversed, _repr = map, next, reversed, repr
_dict_items, _dict_values = dict.items, dict.values
_quote: Callable[[str], str] = _json.encode_basestring_ascii
_is_state, _render_value = values.is_state, values.render_value
_MISSING = object()

# How the text of a value is found, by the id of its type; absent: an object of a class.
_SKIPPED, _LASTING, _LIST, _DICT, _NESTED, _OTHER = range(6)
_HOW: dict[int, int] = dict.fromkeys(values.SKIPPED_TYPES, _SKIPPED)
_HOW |= dict.fromkeys(values.FROZEN_TYPES, _LASTING)
_HOW |= dict.fromkeys(map(id, (tuple, set, frozenset)), _NESTED)
_HOW |= dict.fromkeys(
    map(
        id,
        (bytearray, range, collections.defaultdict, collections.Counter)
        + (collections.OrderedDict, collections.deque),
    ),
    _OTHER,
)
_HOW |= {id(list): _LIST, id(dict): _DICT}
_get_how = _HOW.get
_MODULE_TYPE_ID = id(types.ModuleType)


class Names:
    """`,"name",` for the names that are told, "" for the others."""

    __slots__ = ("_prefixes",)

    def __init__(self) -> None:
        self._prefixes: dict[str, str] = {}

    def prefix(self, name: str) -> str:
        found = self._prefixes.get(name)
        if found is None:
            is_hidden = name[:2] == "__" or name[:1] == "."
            found = "" if is_hidden else f",{_quote(name)},"
            self._prefixes[name] = found
        return found


class FrameVariables:
    """The variables of one frame."""

    __slots__ = ("_epoch", "_frozen", "_ids", "_prefix", "_texts", "_watches")

    def __init__(self, watches: Watches, names: Names) -> None:
        self._watches = watches
        self._prefix = names.prefix
        self._frozen: dict[str, object] = {}  # to be skipped fast while the same
        self._texts: dict[str, str] = {}
        self._ids: dict[str, int] = {}  # of values that can change
        self._epoch = -1

    def changes(
        self,
        items: Iterable[tuple[Any, Any]],
        epoch: int,
        olds: dict[str, str | None] | None = None,
    ) -> str:
        """`"name","text",…` as JSON, without brackets, of what reads differently.

        While `epoch` stays the same no object changes: only names do. `olds` takes
        what they read before, unless it has an older text of that name.
        """
        ids, is_calm = self._ids, epoch == self._epoch
        self._epoch = epoch
        frozen, texts, prefix_of, out = self._frozen, self._texts, self._prefix, ""
        for name, value in items:
            if _type(name) is not _str or frozen.get(name, _MISSING) is value:
                continue
            kind = _type(value)
            how = _get_how(_id(kind))
            if how == _LASTING:
                frozen[name] = value
                if name in ids:
                    del ids[name]
                prefix = prefix_of(name)
                if not prefix:
                    continue
                text = _render_value(value)
            elif how == _SKIPPED:
                if _id(kind) == _MODULE_TYPE_ID:
                    frozen[name] = value
                continue
            else:
                value_id = _id(value)
                if is_calm and ids.get(name) == value_id:
                    continue
                ids[name] = value_id
                if name in frozen:
                    del frozen[name]
                prefix = prefix_of(name)
                if not prefix:
                    continue
                if how == _LIST:
                    text = self._watches.list_text(value)
                elif how == _DICT:
                    text = self._watches.dict_text(value)
                elif how == _NESTED:
                    text = self._watches.nested_text(value)
                elif how == _OTHER:
                    text = _render_value(value)
                elif _is_state(value):
                    text = self._watches.object_text(value)
                else:
                    continue
            old = texts.get(name)
            if old != text:
                texts[name] = text
                out += f"{prefix}{_quote(text)}"
                if olds is not None and name not in olds:
                    olds[name] = old
        return out[1:]


class ModuleVariables(FrameVariables):
    """The module's variables, which functions may change as well.

    They are told twice: in the event of the function in which they changed, and in the
    module's own next event, which tells all that changed since the module's last one.
    """

    __slots__ = ("_last_name", "_mutable", "_namespace", "_pending", "_value_ids")

    def __init__(self, watches: Watches, names: Names, namespace: dict) -> None:
        super().__init__(watches, names)
        self._namespace = namespace
        self._pending: dict[str, str | None] = {}  # name -> text in the module's view
        self._mutable: list[str] = []
        self._value_ids: list[int] = []
        self._last_name: object = None

    def changes_in_module(self, epoch: int) -> str:
        """As `changes`, since the last event of the module."""
        pending = self._pending
        if not pending:
            return self.changes(_dict_items(self._namespace), epoch)
        self.changes(_dict_items(self._namespace), epoch, pending)
        self._pending = {}
        texts, out = self._texts, ""
        for name in self._namespace:
            if _type(name) is not _str or name not in pending:
                continue
            if texts[name] != pending[name]:
                out += f"{self._prefix(name)}{_quote(texts[name])}"
        return out[1:]

    def changes_in_function(self, epoch: int) -> str:
        """As `changes`, since the last event of any frame."""
        namespace = self._namespace
        if (
            _list(_map(_id, _dict_values(namespace))) != self._value_ids
            or _next(_reversed(namespace), None) is not self._last_name
        ):
            return self.changes(self._look_anew(), epoch, self._pending)
        if not self._mutable:
            return ""
        items = [(name, namespace[name]) for name in self._mutable]
        return self.changes(items, epoch, self._pending)

    def _look_anew(self) -> list[tuple[Any, Any]]:
        namespace = self._namespace
        items = _list(_dict_items(namespace))
        self._value_ids = _list(_map(_id, _dict_values(namespace)))
        self._last_name = _next(_reversed(namespace), None)
        self._mutable = [
            name
            for name, value in items
            if _type(name) is _str
            and name[:2] != "__"
            and _get_how(_id(_type(value))) not in (_SKIPPED, _LASTING)
        ]
        return items
