"""What is shown of arrays in a Zarr store or an HDF5 file: a row for each."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode

MOST_LISTED = 5000
_NAME_CHARS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRow:
    """What is shown of an array; `chunks` is None where it is stored in one piece."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    chunks: tuple[int, ...] | None
    shards: tuple[int, ...] | None
    codecs: tuple[str, ...]
    dimensions: tuple[str | None, ...] | None
    attributes: Mapping[str, Any]
    units: str
    long_name: str
    standard_name: str
    unreadable: str

    @classmethod
    def of(cls, attributes: Mapping[str, Any], **fields: Any) -> ArrayRow:
        """Return a row with what the attributes say by the CF conventions."""
        standard = _text(attributes.get("standard_name"))
        long_name = _text(attributes.get("long_name")) or standard
        units = _text(attributes.get("units"))
        return cls(attributes=attributes, units=units, long_name=long_name, standard_name=standard, **fields)

    def to_json(self) -> dict[str, Any]:
        """Return plain data that is valid JSON whatever the attributes hold."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "size_bytes": self.size_bytes,
            "chunks": None if self.chunks is None else list(self.chunks),
            "shards": None if self.shards is None else list(self.shards),
            "codecs": list(self.codecs),
            "dimensions": None if self.dimensions is None else list(self.dimensions),
            "attributes": plain(self.attributes),
            "units": self.units,
            "long_name": self.long_name,
            "standard_name": self.standard_name,
            "unreadable": self.unreadable,
        }


def rows(node: ZarrNode) -> list[ArrayRow]:
    """Return a row for each array, in order of names."""
    return [_row(name, array) for name, array in node.arrays.items()]


def _row(name: str, array: ZarrArray) -> ArrayRow:
    return ArrayRow.of(
        array.attributes,
        name=name,
        dtype=array.dtype,
        shape=array.shape,
        size_bytes=array.size_bytes,
        chunks=array.chunks,
        shards=array.shards,
        codecs=tuple(one.name for one in array.codecs),
        dimensions=array.dimensions,
        unreadable=array.unreadable,
    )


def _text(found: object) -> str:
    return printable(found[:200]) if isinstance(found, str) else ""


def plain(found: Any) -> Any:
    """Return attributes as valid JSON: what is no number there is its name."""
    if isinstance(found, dict):
        return {key: plain(value) for key, value in found.items()}
    if isinstance(found, list):
        return [plain(value) for value in found]
    return str(found) if isinstance(found, float) and not math.isfinite(found) else found


def metadata(found: Mapping[str, Any]) -> dict[str, str]:
    """Return attributes as text."""
    return {key: value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
            for key, value in found.items()}  # fmt: skip


def cells(row: ArrayRow) -> tuple[str, ...]:
    """Return the cells of a table's line."""
    pieces = "one piece" if row.chunks is None else f"chunks {_times(row.chunks)}"
    shards = f" in shards {_times(row.shards)}" if row.shards else ""
    about = ", ".join(one for one in (pieces + shards, *row.codecs, row.units, row.long_name) if one)
    return (
        printable(row.name[:_NAME_CHARS]),
        printable(row.dtype),
        " × ".join(map(str, row.shape)) or "scalar",
        f"not read: {row.unreadable}" if row.unreadable else about,
        format_bytes(row.size_bytes),
    )


def _times(lengths: Sequence[int]) -> str:
    return "×".join(map(str, lengths)) or "1"
