"""Attributes of HDF5 objects as JSON, and the names of dimensions that they hold; bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import h5py

_MOST_ATTRIBUTES = 200
_MOST_VALUE_BYTES = 16 << 10
_MOST_BYTES = 4 << 20

# How netCDF and the dimension scales of HDF5 keep their books.
_BOOKKEEPING = frozenset(
    {
        "CLASS", "DIMENSION_LABELS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST", "_NCProperties",
        "_Netcdf4Coordinates", "_Netcdf4Dimid", "_nc3_strict",
    }
)  # fmt: skip

# https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html#creating_self
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"


def address(one: Any) -> int:
    """Return where an object's header lies.

    `h5o.get_info` would also read the whole index of a dataset's chunks, to tell its size.
    """
    from h5py import h5g

    return int(h5g.get_objinfo(one).objno[0])


def is_no_variable(dataset: h5py.Dataset) -> bool:
    """Tell whether netCDF made a dataset only to name an axis; what it holds means nothing."""
    from h5py import h5a

    if not h5a.exists(dataset.id, b"NAME") or h5a.get_info(dataset.id, b"NAME").data_size > _MOST_VALUE_BYTES:
        return False
    return str(_value(dataset, b"NAME")).startswith(_NO_VARIABLE)


class AttributeReader:
    """Reads the attributes of a file's objects until a bound on all of them together is reached."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file
        self._room = _MOST_BYTES
        # Of each axis of an array, the address of the dataset that names it.
        self._scales: dict[str, list[int | str | None]] = {}

    def of(self, one: h5py.Group | h5py.Dataset) -> dict[str, Any]:
        """Return an object's attributes as JSON; one that is too long is its type in words."""
        from h5py import h5a

        sizes: dict[bytes, int] = {}

        def take(name: bytes, about: Any) -> bool | None:
            sizes[name] = int(about.data_size)
            return True if len(sizes) >= _MOST_ATTRIBUTES else None

        # One after the other by their numbers, each would search all of them.
        h5a.iterate(one.id, take, info=True)
        found: dict[str, Any] = {}
        for raw, size in sizes.items():
            name = raw.decode(errors="replace")
            if name in _BOOKKEEPING or self._room <= 0:
                continue
            value = _value(one, raw) if size <= _MOST_VALUE_BYTES else f"({size:,} bytes)"
            self._room -= len(name) + size + (len(value) if isinstance(value, str) else 0)
            found[name] = value
        return found

    def note_dimensions(self, name: str, dataset: h5py.Dataset) -> None:
        """Remember which datasets name a dataset's axes."""
        from h5py import h5a

        own = dataset.id
        if h5a.exists(own, b"DIMENSION_LIST"):
            self._scales[name] = [self._scale(axis) for axis in dataset.attrs["DIMENSION_LIST"]]
        elif h5a.exists(own, b"CLASS") and _plain(dataset.attrs["CLASS"]) == "DIMENSION_SCALE":
            self._scales[name] = [name.rpartition("/")[2]]
        elif h5a.exists(own, b"DIMENSION_LABELS"):
            labels = _plain(dataset.attrs["DIMENSION_LABELS"])
            self._scales[name] = [str(one) or None for one in labels] if isinstance(labels, list) else []

    def _scale(self, axis: Any) -> int | None:
        from h5py import h5r

        try:
            return address(h5r.dereference(axis[0], self._file.id)) if len(axis) else None
        except Exception:  # noqa: BLE001 -- a scale that was deleted; each release of h5py has another error for it
            return None

    def name_dimensions(self, arrays: list[dict[str, Any]], names: Mapping[int, str]) -> None:
        """Write the dimensions into the rows, once every object has a name."""
        for row in arrays:
            found = self._scales.get(row["name"], [])
            if found and len(found) == len(row["shape"]):
                known = [names.get(one, "") if isinstance(one, int) else one for one in found]
                row["dimensions"] = [one.rpartition("/")[2] if one else None for one in known]


def _value(one: h5py.Group | h5py.Dataset, name: bytes) -> Any:
    try:
        return _plain(one.attrs[name])
    except TypeError:
        return "(a type without a twin in numpy)"


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    import h5py
    import numpy as np

    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.tolist()] if value.dtype.names is None else [str(one) for one in value]
    if isinstance(value, np.void):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        # Half a character, which no file takes, becomes a question mark.
        return value[:_MOST_VALUE_BYTES].encode(errors="replace").decode()
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    return "(reference)" if isinstance(value, (h5py.Reference, h5py.RegionReference)) else str(value)
