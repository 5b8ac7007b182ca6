"""What is shown of a Zarr store: a row for each array."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRow:
    """What is shown of an array."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None
    codecs: tuple[str, ...]
    dimensions: tuple[str | None, ...] | None
    attributes: Mapping[str, Any]
    units: str
    long_name: str
    unreadable: str

    def to_json(self) -> dict[str, Any]:
        """Return plain data that is valid JSON whatever the attributes hold."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "size_bytes": self.size_bytes,
            "chunks": list(self.chunks),
            "shards": None if self.shards is None else list(self.shards),
            "codecs": list(self.codecs),
            "dimensions": None if self.dimensions is None else list(self.dimensions),
            "attributes": plain(self.attributes),
            "units": self.units,
            "long_name": self.long_name,
            "unreadable": self.unreadable,
        }


def rows(node: ZarrNode) -> list[ArrayRow]:
    """Return a row for each array, in order of names."""
    return [_row(name, array) for name, array in node.arrays.items()]


def _row(name: str, array: ZarrArray) -> ArrayRow:
    return ArrayRow(
        name=name,
        dtype=array.dtype,
        shape=array.shape,
        size_bytes=array.size_bytes,
        chunks=array.chunks,
        shards=array.shards,
        codecs=tuple(one.name for one in array.codecs),
        dimensions=array.dimensions,
        attributes=array.attributes,
        units=_text(array.attributes.get("units")),
        long_name=_text(array.attributes.get("long_name")),
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
