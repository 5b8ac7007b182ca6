"""A view as the HTTP contract has it: bounded, and valid JSON whatever the attributes hold."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.value import array_of
from jupyter_gpu_ext.tensors.zarr_rows import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.tensors.view import ArrayView, AxisLabels, GroupView, View

_MOST_ATTRIBUTES = 500
_MOST_CHARS = 10_000
_MOST_ALL_CHARS = 256_000
# Names come from a header of 16 MB at most, which one page need not repeat.
_MOST_NAME_CHARS = 1_000_000


async def entity_json(view: View, path: str, *, raw: bool = False, start: int = 0, limit: int = 1000) -> dict[str, Any]:
    """Return one group or one array.

    Raises
    ------
    NotFoundError
        When there is none of that path.
    """
    group = view.group(path) if path.startswith("/") else None
    if group is not None:
        return {**_common(view, path, group, "group"), **_children(view, group, start, limit)}
    found = array_of(view, path, raw=raw)
    return {**_common(view, path, found, "dataset"), **_array(found, await view.labels(path))}


def attributes_json(view: View, path: str) -> dict[str, Any]:
    """Return the attributes of a group or an array, long ones cut.

    Raises
    ------
    NotFoundError
        When there is none of that path.
    """
    found = (view.group(path) if path.startswith("/") else None) or array_of(view, path)
    return _attributes(found.attributes)


def _common(view: View, path: str, found: GroupView | ArrayView, kind: str) -> dict[str, Any]:
    attributes = [_attribute(name, value) for name, value in _attributes(found.attributes).items()]
    return {"path": path, "name": found.name, "kind": kind, "version": view.version, "attributes": attributes}


def _children(view: View, group: GroupView, start: int, limit: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    chars = 0
    for path in group.children[start : start + limit]:
        chars += len(path)
        if rows and chars > _MOST_NAME_CHARS:
            break
        rows.append(_child(view, path))
    count = len(group.children)
    return {"children": rows, "child_count": count, "more": start + len(rows) < count}


def _child(view: View, path: str) -> dict[str, Any]:
    found = view.array(path)
    if found is None:
        name = path.rpartition("/")[2]
        return {"name": name, "path": path, "kind": "group", "dtype": None, "shape": None, "dimension_names": None}
    return {
        "name": found.name,
        "path": path,
        "kind": "dataset",
        "dtype": found.dtype,
        "shape": list(found.shape),
        "dimension_names": None if found.dimensions is None else list(found.dimensions),
    }


def _array(found: ArrayView, labels: list[AxisLabels]) -> dict[str, Any]:
    latitude = next((one for one in labels if one.kind == "latitude"), None)
    item_bytes = found.sent.itemsize if found.sent is not None else 0
    return {
        "shape": list(found.shape),
        "dtype": found.dtype,
        "value_dtype": found.sent.str if found.sent is not None else None,
        "unreadable": found.unreadable,
        "time": found.time,
        "units": found.units,
        "long_name": found.long_name,
        "chunks": None if found.chunks is None else list(found.chunks),
        "shards": None if found.shards is None else list(found.shards),
        "dimension_names": None if found.dimensions is None else list(found.dimensions),
        "coordinates": [
            {
                "axis": one.axis,
                "name": one.name,
                "key": one.key,
                "path": one.path,
                "kind": one.kind,
                "descending": one.descending,
            }
            for one in labels
        ],
        "north_up": latitude.descending if latitude is not None else None,
        "size_bytes": math.prod(found.shape) * item_bytes,
    }


def _attributes(found: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    room = _MOST_ALL_CHARS
    for name, value in found.items():
        kept_value, chars = _short(plain(value))
        room -= len(name) + chars
        if len(kept) == _MOST_ATTRIBUTES or room < 0:
            break
        kept[name] = kept_value
    return kept


def _short(value: Any) -> tuple[Any, int]:
    """Return a value and its length as text; one that is too long as the beginning of its text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= _MOST_CHARS:
        return value, len(text)
    return f"{text[:_MOST_CHARS]}…", _MOST_CHARS


def _attribute(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, list) and value:
        kinds = {_kind(one) for one in value}
        # JSON writes 1.0 and 1 as two kinds of number.
        kind = "float64" if kinds == {"int64", "float64"} else kinds.pop() if len(kinds) == 1 else "json"
        return {"name": name, "dtype": kind, "shape": [len(value)] if kind != "json" else []}
    return {"name": name, "dtype": _kind(value), "shape": []}


def _kind(value: Any) -> str:
    names = {str: "str", int: "int64", float: "float64", bool: "bool"}
    return names.get(type(value), "json")
