"""A Zarr store behind a connection: what is in it, what a read of a part would ask for, and the read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError, ObjectChangedError, TensorFormatError, TooLargeError
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors.array_plan import ArrayPlan, check_readable, plan_array
from jupyter_gpu_ext.tensors.arrays import read_array
from jupyter_gpu_ext.tensors.chunks import MOST_CHUNKS
from jupyter_gpu_ext.tensors.coordinates import coordinate_of
from jupyter_gpu_ext.tensors.formats import zarr
from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
from jupyter_gpu_ext.tensors.labels import by_label
from jupyter_gpu_ext.tensors.objects import together
from jupyter_gpu_ext.tensors.plan import choose_of
from jupyter_gpu_ext.tensors.selection import Axis, Selection, by_index, parse_selection
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode, find_zarr, open_zarr
from jupyter_gpu_ext.tensors.zarr_rows import ArrayRow, rows
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.labels import Coordinate

__all__ = ["ArrayRow", "ZarrNode", "ZarrPlan", "find_zarr", "open_zarr", "plan_arrays", "read_arrays", "rows"]


@dataclass(frozen=True, slots=True, eq=False)
class ZarrPlan:
    """What a read asks for and holds."""

    node: ZarrNode
    arrays: Mapping[str, ArrayPlan]

    @property
    def size_bytes(self) -> int:
        """Bytes of the results."""
        return sum(one.size_bytes for one in self.arrays.values())

    @property
    def chunk_count(self) -> int:
        """How many chunks are decoded."""
        return sum(one.chunk_count for one in self.arrays.values())

    @property
    def object_count(self) -> int:
        """How many objects are read, chunks or shards; those that do not exist included."""
        return sum(len(one.objects) for one in self.arrays.values())


async def plan_arrays(node: ZarrNode, keys: Sequence[str] = (), select: str = "", *, raw: bool = False) -> ZarrPlan:
    """Plan a read; asks storage for the coordinates only that a selection by label needs.

    Parameters
    ----------
    keys : sequence of str
        Globs over the arrays' names; '!GLOB' excludes.
    select : str
        By index, '0:100, :, ::2', for each chosen array; or by label, 'time=2020-01:2020-03, latitude=60:30',
        for those arrays that have the dimension.
    raw : bool
        Stored values, without CF decoding.

    Raises
    ------
    BadRequestError
        When a name or the selection does not fit.
    TensorFormatError
        When a chosen array has elements or codecs that are not read; names it.
    TooLargeError
        When it has more chunks, or larger ones, than are read.
    """
    selection = parse_selection(select)
    chosen = choose_of(node.arrays, keys, node.shown)
    check_names(selection, chosen, node.shown)
    plans = {}
    for name, array in chosen.items():
        check_readable(name, array)
        axes = await axes_of(name, array, selection, partial(coordinate_of, node, array))
        plans[name] = plan_array(name, array, axes, raw=raw)
    if (count := sum(one.chunk_count for one in plans.values())) > MOST_CHUNKS:
        raise TooLargeError(f"{node.shown}: {count:,} chunks would be read.", hint="Choose fewer arrays with --keys.")
    return ZarrPlan(node, plans)


def check_names(selection: Selection, chosen: Mapping[str, ZarrArray], shown: str) -> None:
    """Refuse a selection by dimensions that none of the arrays has."""
    there = sorted({name for array in chosen.values() for name in array.dimensions or () if name})
    for name in selection.labels or ():
        if name not in there:
            some = ", ".join(printable(one[:40]) for one in there[:10]) or "none that have names"
            raise BadRequestError(
                f"{shown} has no dimension {printable(name[:80])!r}.", hint=f"Its dimensions: {some}."
            )


async def plan_axes(node: ZarrNode, name: str, array: ZarrArray, select: str) -> tuple[Axis, ...]:
    """Return what a selection chooses of one array; asks storage for the coordinates that a label needs.

    Raises
    ------
    BadRequestError
        When it does not fit.
    """
    selection = parse_selection(select)
    check_names(selection, {name: array}, node.shown)
    return await axes_of(name, array, selection, partial(coordinate_of, node, array))


async def axes_of(
    name: str, array: ZarrArray, selection: Selection, labels: Callable[[str], Awaitable[Coordinate]]
) -> tuple[Axis, ...]:
    """Return what a selection chooses of one array; `labels` gives those of a dimension."""
    if selection.labels is None:
        return by_index(selection.items, array.shape, printable(name))
    items: list[slice | int] = []
    for dimension, size in zip(array.dimensions or (None,) * len(array.shape), array.shape, strict=True):
        text = selection.labels.get(dimension) if dimension else None
        if dimension is None or text is None:
            items.append(slice(None))
            continue
        coordinate = await labels(dimension)
        if len(coordinate.values) != size:
            raise TensorFormatError(
                f"{printable(name)} has {size} entries along {printable(dimension)}, its coordinates "
                f"{len(coordinate.values)}.",
                hint=zarr.DAMAGED,
            )
        items.append(by_label(text, coordinate))
    return by_index(items, array.shape, printable(name))


async def read_arrays(
    plan: ZarrPlan, out: Mapping[str, NDArray[Any]] | None = None, progress: Progress | None = None
) -> dict[str, NDArray[Any]]:
    """Read what a plan chooses.

    Parameters
    ----------
    out : mapping of str to numpy.ndarray, optional
        Where the values go, by name: of the plan's shapes and `numpy_dtype`s, in any memory. New arrays are made
        for names that are not in it.
    progress : Progress, optional
        Counts the results' bytes.

    Returns
    -------
    dict of str to numpy.ndarray
        In the plan's order. bfloat16 as uint16, dates as int64 in the unit that the plan's `dtype` names.

    Raises
    ------
    ObjectChangedError
        When the metadata, or a shard between two reads of it, is another one than at the beginning.
    TensorFormatError
        Naming the array and the chunk that is damaged.
    """
    progress = progress or Progress(plan.size_bytes)
    given = out or {}
    check_memory(sum(one.size_bytes for name, one in plan.arrays.items() if name not in given), plan.node.shown)
    found = {
        name: given[name] if name in given else np.empty(one.shape, one.numpy_dtype)
        for name, one in plan.arrays.items()
    }
    for name, one in plan.arrays.items():
        await read_array(plan.node.objects, one, found[name], progress)
    await check_unchanged(plan)
    return found


def check_memory(size_bytes: int, shown: str) -> None:
    """Refuse what host memory has no room for.

    Raises
    ------
    TooLargeError
        With what it needs and what is free.
    """
    import psutil

    free = psutil.virtual_memory().available
    if size_bytes > free:
        raise TooLargeError(
            f"{shown}: {format_bytes(size_bytes)} would be read, {format_bytes(free)} of memory are free.",
            hint="Select a smaller part.",
        )


async def check_unchanged(plan: ZarrPlan) -> None:
    """Compare the ETags of the documents that described what was read.

    Raises
    ------
    ObjectChangedError
        When one of them is another one now.
    """
    await check_documents(plan.node, documents_of(plan))


async def check_documents(node: ZarrNode, keys: Sequence[str]) -> None:
    """Compare the ETags of documents with those of the beginning.

    Raises
    ------
    ObjectChangedError
        When one of them is another one now.
    """

    async def check(key: str) -> None:
        before = node.documents[key].etag
        found = await node.objects.head(key)
        if (now := found and found.etag) != before:
            raise ObjectChangedError(
                f"{node.shown} was written to while it was read: {printable(key)} was {before}, is {now or 'gone'}.",
                hint="Run it again.",
            )

    await together([check(key) for key in keys])


def documents_of(plan: ZarrPlan) -> list[str]:
    """Return the keys of the documents that described what is read; `check_unchanged` asks for each once more."""
    node = plan.node
    if node.consolidated or isinstance(node.root, ZarrArray):
        return list(node.documents)
    below = {f"{one.array.path}/{name}" for one in plan.arrays.values() for name in ("zarr.json", ".zarray")}
    return [key for key in node.documents if key in below]
