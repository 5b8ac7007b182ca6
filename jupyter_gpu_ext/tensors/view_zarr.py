"""A Zarr store, as an array viewer asks for it: the tree, labels of axes, and parts of arrays chunk by chunk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, ObjectChangedError, TensorFormatError, TooLargeError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.loop import ahead
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors import cf, slabs
from jupyter_gpu_ext.tensors.array_plan import outline, plan_array
from jupyter_gpu_ext.tensors.arrays import Means, read_array
from jupyter_gpu_ext.tensors.chunks import count_chunks
from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray, ZarrGroup
from jupyter_gpu_ext.tensors.overview import Cost
from jupyter_gpu_ext.tensors.selection import Axis
from jupyter_gpu_ext.tensors.sent import MILLISECONDS, milliseconds, sent_dtype, widened
from jupyter_gpu_ext.tensors.view import ArrayView, AxisLabels, GroupView, version_of
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode, find_zarr
from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan, check_documents, check_unchanged, plan_axes
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.slabs import Slab
    from jupyter_gpu_ext.tensors.view import LabelKind

_PIECE_BYTES = 8 << 20
_PIECES_AHEAD = 2
_ROOM_BYTES = 32 << 20
# A plan takes some 500 bytes a chunk.
_MOST_CHUNKS = 50_000
_MOST_LABEL_CHUNK_BYTES = 64 << 20
_MOST_KEPT_BYTES = 16 << 20
_MOST_ASKED = 4
_KINDS: dict[LabelKind, tuple[set[str], set[str]]] = {
    "latitude": ({"degrees_north", "degree_north", "degrees_n", "degree_n", "degreesn"}, {"lat", "latitude"}),
    "longitude": ({"degrees_east", "degree_east", "degrees_e", "degree_e", "degreese"}, {"lon", "longitude"}),
}


class ZarrView:
    """A Zarr array or group; a `View`. An array that stands alone is the only child of '/'."""

    def __init__(self, node: ZarrNode) -> None:
        self.node = node
        self.shown = node.shown
        self.version = version_of(f"{key} {one.etag}" for key, one in sorted(node.documents.items()))
        self._arrays = {f"/{name}": array for name, array in node.arrays.items()}
        self._children, self._attributes = _tree(node, self._arrays)
        self.node_count = len(self._arrays) + len(self._children)
        self._descending: dict[str, bool | None] = {}
        self._beside: dict[str, ZarrNode | None] = {}

    async def is_current(self) -> bool:
        """Ask storage for the version of each document, where they are few."""
        if len(self.node.documents) > _MOST_ASKED:
            return False
        try:
            await check_documents(self.node, list(self.node.documents))
        except ObjectChangedError:
            return False
        return True

    def group(self, path: str) -> GroupView | None:
        """Return a group."""
        if path not in self._children:
            return None
        name = (self.node.url.rstrip("/") if path == "/" else path).rpartition("/")[2]
        return GroupView(name=name, children=self._children[path], attributes=self._attributes.get(path, {}))

    def array(self, path: str, *, raw: bool = False) -> ArrayView | None:
        """Return an array."""
        one = self._arrays.get(path)
        if one is None:
            return None
        found = _decoding(one, raw=raw)
        return ArrayView(
            name=path.rpartition("/")[2],
            dtype=one.dtype,
            shape=one.shape,
            sent=found.sent,
            unreadable=found.unreadable,
            time=found.dates,
            units=found.units,
            long_name=_text(one.attributes.get("long_name")),
            chunks=one.chunks,
            shards=one.shards,
            dimensions=one.dimensions,
            attributes=one.attributes,
        )

    async def labels(self, path: str) -> list[AxisLabels]:
        """Return where the labels of an array's axes are; reads the first and the last one of each."""
        one = self._arrays[path]
        named = [(axis, name) for axis, name in enumerate(one.dimensions or ()) if name]
        found = await asyncio.gather(*(self._labels(path, axis, name, one.shape[axis]) for axis, name in named))
        return [labels for labels in found if labels is not None]

    async def axes(self, path: str, select: str) -> tuple[Axis, ...]:
        """Return what a selection chooses; reads the labels that it needs."""
        found = await plan_axes(self.node, path.removeprefix("/"), self._arrays[path], select)
        kept = self.node.coordinates
        if sum(one.values.nbytes for one in kept.values()) > _MOST_KEPT_BYTES:
            kept.clear()
        return found

    def cost(self, path: str, *, raw: bool = False) -> Cost:
        """Return what reading takes: whole chunks."""
        one = self._arrays[path]
        found = _decoding(one, raw=raw)

        def read_bytes(axes: Sequence[Axis]) -> int:
            return count_chunks(one, axes) * one.chunk_bytes

        return Cost(found.sent.itemsize if found.sent else 1, one.chunk_bytes, read_bytes)

    async def pieces(self, path: str, axes: Sequence[Axis], *, raw: bool = False) -> AsyncGenerator[NDArray[Any], None]:
        """Yield the values, slab by slab where slabs follow one another; the metadata's version is asked for last."""
        one, name = self._arrays[path], path.removeprefix("/")
        if (count := count_chunks(one, axes)) > _MOST_CHUNKS:
            raise TooLargeError(
                f"{printable(name)}: {count:,} chunks would be read, {_MOST_CHUNKS:,} at most.",
                hint="Select a smaller part.",
            )
        found = _decoding(one, raw=raw)
        plan = outline(name, one, tuple(axes), raw=found.raw)
        if not plan.size_bytes:
            return
        most_bytes = _PIECE_BYTES if slabs.largest(plan, _PIECE_BYTES)[1] else plan.size_bytes
        means = Means(self.node.objects, _ROOM_BYTES, sharded=one.index is not None)
        last: NDArray[Any] | None = None
        try:
            work = (self._piece(slab, found, means) for slab in slabs.cut(plan, most_bytes))
            async for values in ahead(work, _PIECES_AHEAD):
                if last is not None:
                    yield last
                last = values
            await check_unchanged(ZarrPlan(self.node, {name: plan}))
            if last is not None:
                yield last
        finally:
            means.close()

    async def _piece(self, slab: Slab, found: _Sent, means: Means) -> NDArray[Any]:
        return await _read(self.node, slab.plan, found, means)

    async def _labels(self, path: str, axis: int, name: str, size: int) -> AxisLabels | None:
        place = await self._find_labels(path, name)
        if place is None or place.array.shape != (size,) or place.array.unreadable:
            return None
        where = f"{place.node.url} {place.path}"
        if where not in self._descending:
            self._descending[where] = await _is_descending(place.node, place.array)
        key = urls.parse(place.node.url).key
        return AxisLabels(
            axis=axis,
            name=name,
            key=key,
            path=place.path,
            kind=_kind(place.array, name),
            descending=self._descending[where],
        )

    async def _find_labels(self, path: str, name: str) -> _Place | None:
        """Return the array of a dimension's name: beside an array, or in a group above; never the array itself."""
        if self.node.kind == "array":
            return await self._find_beside(path, name)
        parents = path.split("/")[1:-1]
        for depth in range(len(parents), -1, -1):
            place = "/".join(["", *parents[:depth], name])
            if place in self._arrays:
                return None if place == path else _Place(self.node, place, self._arrays[place])
        return None

    async def _find_beside(self, path: str, name: str) -> _Place | None:
        if "/" in name or path == f"/{name}":
            return None
        if name not in self._beside:
            folder, slash, _ = self.node.url.rstrip("/").rpartition("/")
            try:
                self._beside[name] = await find_zarr(f"{folder}{slash}{name}")
            except GpuExtError:
                # Labels are a help; without them the axis counts.
                self._beside[name] = None
        node = self._beside[name]
        found = None if node is None else node.root
        return _Place(node, f"/{name}", found) if node is not None and isinstance(found, ZarrArray) else None


@dataclass(frozen=True, slots=True)
class _Place:
    node: ZarrNode
    path: str
    array: ZarrArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """How an array's values become what is sent.

    Attributes
    ----------
    raw : bool
        They are read as they are stored.
    dates : bool
        Then they are dates.
    dtype : str
        The name of what is read.
    """

    sent: np.dtype[Any] | None
    raw: bool = True
    dates: bool = False
    dtype: str = ""
    units: str = ""
    unreadable: str = ""

    def __call__(self, values: NDArray[Any], array: ZarrArray) -> NDArray[Any]:
        """Return the values as they are sent.

        Raises
        ------
        BadRequestError
            For dates that cannot be.
        """
        if not self.dates:
            return widened(values, self.dtype)
        try:
            return milliseconds(cf.decode_times(values, array))
        except BadRequestError as error:
            raise BadRequestError(error.message, hint="raw=true gives the numbers.") from None


def _decoding(array: ZarrArray, *, raw: bool) -> _Sent:
    units = _text(array.attributes.get("units"))
    if array.unreadable:
        return _Sent(sent=None, units=units, unreadable=array.unreadable)
    numbers = array.native.name if array.dtype.startswith(("datetime64", "timedelta64")) else array.dtype
    if raw:
        return _Sent(sent=sent_dtype(numbers), dtype=numbers, units=units)
    # What is packed must be unpacked first; a plain count of nanoseconds must not pass through a float.
    packed = bool({"scale_factor", "add_offset"} & set(array.attributes))
    if _has_dates(array):
        return _Sent(sent=np.dtype("<f8"), raw=not packed, dates=True, units=MILLISECONDS)
    if array.dtype.startswith("timedelta64"):
        unit = array.dtype.partition("[")[2].removesuffix("]")
        return _Sent(sent=sent_dtype(array.dtype), dtype=array.dtype, units=unit)
    try:
        decoding = cf.decoding_of(array)
    except TensorFormatError as error:
        return _Sent(sent=None, units=units, unreadable=error.message.rstrip("."))
    dtype = array.dtype if decoding is None else decoding.dtype.name
    return _Sent(sent=sent_dtype(dtype), raw=False, dtype=dtype, units=units)


def _has_dates(array: ZarrArray) -> bool:
    if not cf.is_time(array) or (array.stored.kind not in "iuf") or array.dtype == "bfloat16":
        return False
    try:
        cf.decode_times(np.zeros(0, array.native), array)
    except (BadRequestError, ValueError):
        # Another calendar: the numbers are shown, with their units.
        return False
    return True


async def _read(node: ZarrNode, plan: ArrayPlan, found: _Sent, means: Means | None = None) -> NDArray[Any]:
    out = np.empty(plan.shape, plan.numpy_dtype)
    await read_array(node.objects, plan, out, Progress(plan.size_bytes), means)
    return await asyncio.to_thread(found, out, plan.array)


async def _is_descending(node: ZarrNode, array: ZarrArray) -> bool | None:
    """Compare the first and the last label; None where they cannot be read."""
    found, size = _decoding(array, raw=False), array.shape[0]
    if size < 2 or found.sent is None or found.sent.kind not in "iuf" or array.chunk_bytes > _MOST_LABEL_CHUNK_BYTES:
        return None
    try:
        plan = plan_array("", array, (Axis(0, size - 1, 2),), raw=found.raw)
        first, last = await _read(node, plan, found)
    except GpuExtError:
        return None
    return None if np.isnan(first) or np.isnan(last) else bool(last < first)


def _kind(array: ZarrArray, name: str) -> LabelKind:
    if cf.is_time(array):
        return "time"
    standard, units = (str(array.attributes.get(key, "")).lower() for key in ("standard_name", "units"))
    for kind, (words, names) in _KINDS.items():
        if standard == kind or units in words or (name.lower() in names and not standard):
            return kind
    return "other"


def _tree(node: ZarrNode, arrays: Mapping[str, ZarrArray]) -> tuple[dict[str, list[str]], dict[str, Mapping[str, Any]]]:
    """Return each group's children and attributes, by path; groups that only paths name included."""
    attributes: dict[str, Mapping[str, Any]] = {}
    if isinstance(node.root, ZarrGroup):
        attributes = {"/": node.root.attributes, **{f"/{path}": found for path, found in node.root.groups.items()}}
    below: dict[str, dict[str, None]] = {"/": {}}
    for path in attributes:
        below.setdefault(path, {})
    for path in [*attributes, *arrays]:
        at = path
        while at != "/":
            parent = at.rpartition("/")[0] or "/"
            below.setdefault(parent, {})[at] = None
            at = parent
    return {path: sorted(children) for path, children in below.items()}, attributes


def _text(found: object) -> str:
    return printable(found[:200]) if isinstance(found, str) else ""
