"""Batches of rollouts as JSON and back, to the last bit, for a checkpoint.

Every value keeps its type: a float32 stays one, a tuple does not become a list. What a
checkpoint may hold is the table below and nothing else; reading one runs no code of it.
"""

import base64
import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

import numpy as np

from simex.rl.collection import Collected, Cursor
from simex.rollouts.program import ProgramReport, TestReport
from simex.rollouts.rollout import End, Group, Rollout, Turn
from simex.sampling.samples import Stop

_CLASSES = (Collected, Cursor, Group, Rollout, Turn, ProgramReport, TestReport)
_ENUMS = (End, Stop)
_BY_NAME: Mapping[str, Any] = {cls.__name__: cls for cls in (*_CLASSES, *_ENUMS)}
_KIND = "kind"


def to_json(value: Any) -> Any:
    """`value` in lists, dicts with text keys, texts and numbers.

    Example: ``(1, Stop.LENGTH)`` gives ``{"kind": "tuple", "items": [1, {"kind":
    "Stop", "value": "length"}]}``. Raises TypeError for a type without a place here.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, _CLASSES):
        fields = (field.name for field in dataclasses.fields(value))
        found = {name: to_json(getattr(value, name)) for name in fields}
        return {_KIND: type(value).__name__, "fields": found}
    if isinstance(value, _ENUMS):
        return {_KIND: type(value).__name__, "value": value.value}
    if isinstance(value, np.ndarray | np.generic):
        data = base64.b64encode(np.asarray(value).tobytes()).decode()
        shape = list(value.shape)
        is_array = isinstance(value, np.ndarray)
        return {
            _KIND: "array" if is_array else "number",
            "dtype": value.dtype.str,
            "shape": shape,
            "data": data,
        }
    if isinstance(value, tuple | list):
        items = [to_json(item) for item in value]
        return {_KIND: type(value).__name__, "items": items}
    if isinstance(value, Mapping):
        return {_KIND: "dict", "items": [[k, to_json(v)] for k, v in value.items()]}
    raise TypeError(f"A checkpoint holds no {type(value).__name__}: {value!r}.")


def from_json(value: Any) -> Any:
    """The inverse of `to_json`; raises KeyError for what it never writes."""
    if not isinstance(value, dict):
        return value
    match value[_KIND]:
        case "tuple":
            return tuple(map(from_json, value["items"]))
        case "list":
            return list(map(from_json, value["items"]))
        case "dict":
            return {key: from_json(item) for key, item in value["items"]}
        case "array":
            return _read_array(value)
        case "number":
            return _read_array(value)[()]
    cls = _BY_NAME[value[_KIND]]
    if issubclass(cls, enum.Enum):
        return cls(value["value"])
    return cls(**{name: from_json(item) for name, item in value["fields"].items()})


def _read_array(value: Mapping[str, Any]) -> np.ndarray:
    data = base64.b64decode(value["data"])
    return np.frombuffer(data, value["dtype"]).reshape(value["shape"]).copy()
