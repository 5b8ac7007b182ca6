"""HDF5, `.npy` and `.npz` as what arrays are sampled from: described as Zarr arrays of version 3."""

from __future__ import annotations

import base64
import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.storage.loop import ahead
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors import cf
from jupyter_gpu_ext.tensors.coordinates import check_labels, labels_of, no_labels, place_of
from jupyter_gpu_ext.tensors.decoded import Decoded
from jupyter_gpu_ext.tensors.dense import parts_of, requests_for
from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
from jupyter_gpu_ext.tensors.hdf5 import read_hdf5_slices
from jupyter_gpu_ext.tensors.selection import by_index, count_of
from jupyter_gpu_ext.tensors.sent import held_dtype
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.dense import Request
    from jupyter_gpu_ext.tensors.hdf5 import Hdf5File
    from jupyter_gpu_ext.tensors.labels import Coordinate
    from jupyter_gpu_ext.tensors.open import Opened
    from jupyter_gpu_ext.tensors.sample_part import Axes
    from jupyter_gpu_ext.tensors.selection import Axis

_TYPES = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    "complex64", "complex128",
}  # fmt: skip
# Of an array that lies in one piece.
_CHUNK_BYTES = 4 << 20
_MOST_SLICE_BYTES = 64 << 20
_REQUESTS_AT_ONCE = 4


class Hdf5Source:
    """An HDF5 file; a `Source`. Its values come from a process of their own, as in the viewer."""

    consolidated = False

    def __init__(self, reader: Reader, file: Hdf5File) -> None:
        self.shown = reader.shown
        self.arrays: Mapping[str, ZarrArray] = {
            one["name"]: _dataset(one) for one in file.arrays if not one["no_variable"]
        }
        self.groups: Mapping[str, Mapping[str, Any]] = {
            "": file.attributes,
            **{one["name"]: one["attributes"] for one in file.groups},
        }
        self.notes: Sequence[str] = file.notes
        self._reader = reader
        self._labels: dict[str, Coordinate] = {}

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self._reader.requests

    @property
    def bytes_read(self) -> int:
        """Bytes so far."""
        return self._reader.bytes_read

    @property
    def notice(self) -> str:
        """What the connection says."""
        return self._reader.notice

    async def labels(self, array: ZarrArray, dimension: str) -> Coordinate:
        """Return the labels of a dimension scale, read once."""
        path = place_of(dimension, array.path, self.arrays)
        if path is None:
            raise no_labels(dimension, self.shown)
        if path not in self._labels:
            found = self.arrays[path]
            raw = check_labels(path, found)
            (values,) = await self.read([(path, by_index((), found.shape, path))], Progress(0))
            decoding = None if raw else cf.decoding_of(found)
            self._labels[path] = labels_of(path, found, values if decoding is None else decoding(values))
        return self._labels[path]

    async def read(self, parts: Sequence[tuple[str, Axes]], progress: Progress) -> list[NDArray[Any]]:
        """Return stored values; an axis that goes backwards is read forwards and turned round."""
        asked = [(name, [_forwards(one) for one in axes]) for name, axes in parts]
        size = sum(count_of(axes) * self.arrays[name].stored.itemsize for name, axes in parts)
        found = await read_hdf5_slices(self._reader, asked, most_bytes=max(_MOST_SLICE_BYTES, size))
        progress.done_bytes += size
        return [
            one[tuple(slice(None, None, -1 if axis.step < 0 else 1) for axis in axes)]
            for one, (_, axes) in zip(found, parts, strict=True)
        ]

    async def check(self, axes: Mapping[str, Axes]) -> None:
        """Do nothing: each read is of the version that was opened."""


def _forwards(axis: Axis) -> range:
    if not axis.count:
        return range(0)
    low, high = sorted((axis.start, axis.last))
    return range(low, high + 1, abs(axis.step))


def _dataset(found: Mapping[str, Any]) -> ZarrArray:
    dimensions = found["dimensions"]
    return described(
        found["name"],
        found["dtype"],
        found["shape"],
        chunks=found["chunks"],
        dimensions=None if dimensions is None else tuple(dimensions),
        attributes=found["attributes"],
        unreadable=found["unreadable"],
    )


class FileSource:
    """A `.npy` or `.npz` file; a `Source`."""

    consolidated = False

    def __init__(self, opened: Opened) -> None:
        self.shown = printable(opened.file.url)
        alone = opened.file.kind == "npy"
        self.arrays: Mapping[str, ZarrArray] = {
            name: described("" if alone else name, one.dtype, one.shape) for name, one in opened.file.tensors.items()
        }
        self.groups: Mapping[str, Mapping[str, Any]] = {} if alone else {"": {}}
        self.notes: Sequence[str] = ()
        self._opened = opened

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self._opened.requests

    @property
    def bytes_read(self) -> int:
        """Bytes so far."""
        return self._opened.bytes_read

    @property
    def notice(self) -> str:
        """What the connection says."""
        return self._opened.notice

    async def labels(self, array: ZarrArray, dimension: str) -> Coordinate:
        """Refuse: its axes have no names."""
        raise no_labels(dimension, self.shown)

    async def read(self, parts: Sequence[tuple[str, Axes]], progress: Progress) -> list[NDArray[Any]]:
        """Return stored values."""
        return [await self._read(name, axes, progress) for name, axes in parts]

    async def _read(self, name: str, axes: Axes, progress: Progress) -> NDArray[Any]:
        """Return the values of one array: the ranges that hold them, some at a time."""
        file = self._opened.file
        one = file.tensors[name]
        out = np.empty([axis.count for axis in axes], held_dtype(one.dtype))
        asked = requests_for(parts_of(file, one, axes), out.itemsize, printable(name)) if out.size else []
        # What is unpacked is let go with the read.
        sources = [found.anew() if isinstance(found, Decoded) else found for found in self._opened.readers]
        async for _ in ahead((self._fill(each, out, sources) for each in asked), _REQUESTS_AT_ONCE):
            pass
        progress.done_bytes += out.nbytes
        return out.view(bool) if one.dtype == "bool" else out

    async def _fill(self, asked: Request, out: NDArray[Any], sources: Sequence[Reader | Decoded]) -> None:
        stored = self._opened.file.storages[asked.storage]
        data = bytearray(asked.range.size_bytes)
        await sources[stored.source].read_into(stored.start + asked.range.start, memoryview(data))
        for part in asked.parts:
            out[part.target] = part.seen(data, asked.range.start, out.dtype)

    async def check(self, axes: Mapping[str, Axes]) -> None:
        """Do nothing: each read is of the version that was opened."""


def described(
    path: str,
    dtype: str,
    shape: Sequence[int],
    *,
    chunks: Sequence[int] | None = None,
    dimensions: tuple[str | None, ...] | None = None,
    attributes: Mapping[str, Any] | None = None,
    unreadable: str = "",
) -> ZarrArray:
    """Return an array of another format as Zarr of version 3 has it; compressed as zarr-python does by itself."""
    known = dtype in _TYPES and not unreadable
    stored = np.dtype(dtype if known else "u1")
    cut = tuple(max(one, 1) for one in (_chunks(shape, stored.itemsize) if chunks is None else chunks))
    about = _attributes(attributes or {}, stored)
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(cut)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": {"b": False, "c": [0.0, 0.0]}.get(stored.kind, 0),
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
        ],
        "attributes": about,
        **({} if dimensions is None else {"dimension_names": list(dimensions)}),
    }
    return ZarrArray(
        path=path, version=3, dtype=dtype, stored=stored, shape=tuple(shape), chunks=cut, fill=stored.type(0),
        prefix="c", separator="/", dimensions=dimensions, attributes=about, document=document,
        unreadable=unreadable or ("" if known else f"Zarr has no type {dtype!r}"),
    )  # fmt: skip


def _chunks(shape: Sequence[int], item_bytes: int) -> list[int]:
    """Return chunks of a few megabytes: whole rows of the first axes' entries."""
    found = list(shape)
    while math.prod(found) * item_bytes > _CHUNK_BYTES:
        at = next((at for at, size in enumerate(found) if size > 1), None)
        if at is None:
            break
        found[at] = -(-found[at] // 2)
    return found


def _attributes(found: Mapping[str, Any], stored: np.dtype[Any]) -> dict[str, Any]:
    """Return attributes as xarray looks for them: fill values as numbers, `_FillValue` of floats in base64."""
    kept = dict(found)
    for name in ("_FillValue", "missing_value"):
        value = kept.get(name)
        if isinstance(value, list) and len(value) == 1:
            kept[name] = value[0]
    fill = kept.get("_FillValue")
    if stored.kind == "f" and isinstance(fill, (int, float)):
        kept["_FillValue"] = base64.standard_b64encode(struct.pack("<d", fill)).decode()
    return kept
