"""What a stream reads: arrays of a Zarr store side by side along one axis, and the blocks that they are read in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from jupyter_gpu_ext.datasets.blocks import Extent, borders, cut
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.reads import READS
from jupyter_gpu_ext.tensors.array_plan import check_readable, outline
from jupyter_gpu_ext.tensors.chunks import plan_chunks
from jupyter_gpu_ext.tensors.coordinates import coordinate_of
from jupyter_gpu_ext.tensors.plan import choose_of
from jupyter_gpu_ext.tensors.selection import Axis, parse_selection, shape_of
from jupyter_gpu_ext.tensors.zarr_open import open_zarr
from jupyter_gpu_ext.tensors.zarr_store import axes_of, check_names
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.datasets.blocks import Blocks, Windows
    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode

_HINT = "sample_axis='time' or sample_axis=0; arrays=[…] leaves out those without it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a stream is asked for: plain data, so that workers open it anew.

    Attributes
    ----------
    url : str
    arrays : tuple of str
        Globs over names, as for `--keys`; none is all that have the sample axis, coordinates aside.
    sample_axis : str or int
        The dimension's name, or its place among the axes of each array.
    select : str
        As for a load, the sample axis included.
    raw : bool
        Stored values, without CF decoding.
    most_block_bytes : int
        How large a block should be.
    """

    url: str
    arrays: tuple[str, ...]
    sample_axis: str | int
    windows: Windows
    select: str
    raw: bool
    most_block_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A store that was opened for a stream.

    Attributes
    ----------
    arrays : mapping of str to ArrayPlan
        All that is selected of each, without its objects.
    places : mapping of str to int
        The sample axis of each array, among the axes that are stored.
    blocks : Blocks
    """

    stored: ClassVar[Literal["chunks"]] = "chunks"

    node: ZarrNode
    arrays: Mapping[str, ArrayPlan]
    places: Mapping[str, int]
    blocks: Blocks

    @property
    def shown(self) -> str:
        """The store, for messages."""
        return self.node.shown

    @property
    def digest(self) -> str:
        """Nothing: the order of entries is all that tells one order of samples from another."""
        return ""

    @property
    def bytes_read(self) -> int:
        """Bytes from storage so far."""
        return self.node.objects.bytes_read

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self.node.requests

    @property
    def entry_bytes(self) -> int:
        """What one entry of the sample axis takes, of all arrays."""
        return sum(_entry_bytes(one, self.places[name]) for name, one in self.arrays.items())

    @property
    def busy_seconds(self) -> float:
        """While at least one request was under way, so far."""
        return self.node.objects.busy.seconds

    @property
    def chunk_samples(self) -> float:
        """Samples that a chunk holds a part of, of the array with the largest entries."""
        name = max(self.arrays, key=lambda one: _entry_bytes(self.arrays[one], self.places[one]))
        return self.arrays[name].array.chunks[self.places[name]] / self.blocks.windows.stride

    def entry_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one entry of an array."""
        return entry_shape(self.arrays[name], self.places[name])

    def part(self, name: str, start: int, stop: int) -> ArrayPlan:
        """Plan the read of the entries from `start` to before `stop`."""
        plan, place = self.arrays[name], self.places[name]
        whole = plan.axes[place]
        axis = Axis(whole.start + whole.step * start, whole.step, stop - start)
        axes = (*plan.axes[:place], axis, *plan.axes[place + 1 :])
        objects = tuple(plan_chunks(plan.array, axes, printable(name)))
        return dataclasses.replace(plan, axes=axes, shape=shape_of(axes), objects=objects)


async def open_source(asked: Asked) -> Source:
    """Open the store, and plan what is read of it.

    Raises
    ------
    BadRequestError
        When arrays have no such axis, or not equally many entries along it.
    GpuExtError
        When there is no such store, or what it holds is not read.
    """
    node = await open_zarr(asked.url)
    chosen = choose_of(node.arrays if asked.arrays else _data(node.arrays, asked.sample_axis), asked.arrays, node.shown)
    if not chosen:
        raise BadRequestError(f"{node.shown} has no arrays.", hint="Give the group or the array that has the samples.")
    selection = parse_selection(asked.select)
    check_names(selection, chosen, node.shown)
    arrays, places = dict[str, "ArrayPlan"](), dict[str, int]()
    for name, array in chosen.items():
        check_readable(name, array)
        axes = await axes_of(name, array, selection, partial(coordinate_of, node, array))
        arrays[name] = outline(name, array, axes, raw=asked.raw)
        places[name] = _place(arrays[name], asked.sample_axis)
    _check_lengths(arrays, places)
    _check_window(arrays, places, asked.windows, node.shown)
    extents = [_extent(one, places[name]) for name, one in arrays.items()]
    blocks = cut(extents, asked.windows, most_bytes=asked.most_block_bytes)
    READS.add(asked.url, None)
    return Source(node=node, arrays=arrays, places=places, blocks=blocks)


def entry_shape(plan: ArrayPlan, place: int) -> tuple[int, ...]:
    """Return the shape of what an array has for one entry of its sample axis."""
    return tuple(one.count for at, one in enumerate(plan.axes) if at != place and not one.dropped)


def _data(arrays: Mapping[str, ZarrArray], sample_axis: str | int) -> Mapping[str, ZarrArray]:
    """Return the arrays that have samples: no coordinates, single values, or what lacks an axis that has a name."""

    def has_samples(name: str, array: ZarrArray) -> bool:
        names = array.dimensions
        if names is None or not array.shape:
            return bool(array.shape)
        is_coordinate = names == (name.rpartition("/")[2],)
        return not is_coordinate and (isinstance(sample_axis, int) or sample_axis in names)

    return {name: one for name, one in arrays.items() if has_samples(name, one)} or arrays


def _entry_bytes(plan: ArrayPlan, place: int) -> int:
    found = plan.numpy_dtype.itemsize
    for size in entry_shape(plan, place):
        found *= size
    return int(found)


def _place(plan: ArrayPlan, wanted: str | int) -> int:
    axes, shown = plan.axes, printable(plan.name)
    if isinstance(wanted, str):
        names = plan.array.dimensions or ()
        if wanted not in names:
            there = ", ".join(printable(one) for one in names if one) or "none that have names"
            raise BadRequestError(
                f"{shown} has no dimension {printable(wanted)!r}.", hint=f"Its dimensions: {there}. {_HINT}"
            )
        place = names.index(wanted)
    elif not -len(axes) <= wanted < len(axes):
        raise BadRequestError(f"{shown} has {len(axes)} axes, there is no axis {wanted}.", hint=_HINT)
    else:
        place = wanted % len(axes)
    if axes[place].dropped:
        raise BadRequestError(f"{shown}: the selection leaves one entry of the sample axis.", hint="Select a range.")
    return place


def _check_lengths(arrays: Mapping[str, ArrayPlan], places: Mapping[str, int]) -> None:
    counts = {name: one.axes[places[name]].count for name, one in arrays.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{printable(name)} {count:,}" for name, count in list(counts.items())[:6])
        raise BadRequestError(
            f"The arrays do not have equally many entries along the sample axis: {said}.",
            hint="arrays=[…] chooses those that belong together, select='…' equal parts of them.",
        )


def _check_window(arrays: Mapping[str, ArrayPlan], places: Mapping[str, int], windows: Windows, shown: str) -> None:
    entries = min(one.axes[places[name]].count for name, one in arrays.items())
    if 0 < entries < windows.size:
        raise BadRequestError(
            f"A window of {windows.size:,} entries is longer than the {entries:,} of {shown}.",
            hint="A smaller window, or another sample_axis.",
        )


def _extent(plan: ArrayPlan, place: int) -> Extent:
    array, axis = plan.array, plan.axes[place]
    chunks = borders(axis, array.chunks[place])
    shards = chunks if array.shards is None else borders(axis, array.shards[place])
    return Extent(chunks=chunks, shards=shards, entry_bytes=_entry_bytes(plan, place))
