"""Which chunks a selection touches, and which part of each goes where: a pure plan."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jupyter_gpu_ext.errors import TooLargeError
from jupyter_gpu_ext.storage.ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.selection import Axis

MOST_CHUNKS = 1_000_000
MOST_CHUNK_BYTES = 2 << 30
_GAP_BYTES = 1 << 20
_MOST_RANGE_BYTES = 16 << 20

Source = tuple[slice | int, ...]
Target = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class ChunkPart:
    """A part of one chunk and its place in the result: `out[target] = chunk[source]`.

    Attributes
    ----------
    place : tuple of int
        The chunk's place in the grid of all chunks.
    number : int
        Its number in its shard; 0 without shards.
    whole : bool
        All of the chunk is wanted, in its own order.
    """

    place: tuple[int, ...]
    number: int
    source: Source
    target: Target
    whole: bool


@dataclass(frozen=True, slots=True)
class ObjectRead:
    """One stored object and the chunks of it that are wanted; one where it is no shard."""

    key: str
    parts: tuple[ChunkPart, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """The part of one axis that lies in one chunk."""

    chunk: int
    source: slice | int
    target: slice | None
    whole: bool


def count_chunks(array: ZarrArray, axes: Sequence[Axis]) -> int:
    """Return how many chunks a selection touches, without listing them."""
    return math.prod(_count(axis, chunk) for axis, chunk in zip(axes, array.chunks, strict=True))


def grid(array: ZarrArray) -> tuple[int, ...]:
    """Return how many objects, chunks or shards, lie along each axis."""
    return tuple(-(-size // cell) for size, cell in zip(array.shape, array.shards or array.chunks, strict=True))


def read_ratio(array: ZarrArray, axes: Sequence[Axis]) -> float:
    """Return the values in the chunks that a selection touches, for each value that is wanted; 0 where none is."""
    if not all(axis.count for axis in axes):
        return 0.0
    found = 1.0
    for axis, chunk, size in zip(axes, array.chunks, array.shape, strict=True):
        last = max(axis.start, axis.last) // chunk
        found *= (_count(axis, chunk) * chunk - max(0, (last + 1) * chunk - size)) / axis.count
    return found


def touched(axis: Axis, cell: int, count: int) -> NDArray[np.bool_]:
    """Return, for each of the `count` cells along an axis, whether a selection touches it."""
    found = np.zeros(count, np.bool_)
    if axis.count and abs(axis.step) <= cell:
        first, last = sorted((axis.start // cell, axis.last // cell))
        found[first : last + 1] = True
    elif axis.count:
        found[(axis.start + axis.step * np.arange(axis.count)) // cell] = True
    return found


def _count(axis: Axis, chunk: int) -> int:
    if not axis.count:
        return 0
    if abs(axis.step) >= chunk:
        return axis.count
    return abs(axis.last // chunk - axis.start // chunk) + 1


def plan_chunks(array: ZarrArray, axes: Sequence[Axis], shown: str) -> list[ObjectRead]:
    """Return the objects to read, in the order of the result, and what is taken of each.

    Raises
    ------
    TooLargeError
        When there are too many chunks, or one is too large to be decoded.
    """
    count = count_chunks(array, axes)
    if count > MOST_CHUNKS:
        raise TooLargeError(
            f"{shown}: {count:,} chunks would be read, {MOST_CHUNKS:,} are at most.", hint="Select a smaller part."
        )
    if count and array.chunk_bytes > MOST_CHUNK_BYTES:
        raise TooLargeError(
            f"{shown} has chunks of {array.chunk_bytes:,} bytes; up to {MOST_CHUNK_BYTES:,} are read.",
            hint="Write the array in smaller chunks.",
        )
    if not count:
        return []
    pieces = [_pieces(axis, chunk) for axis, chunk in zip(axes, array.chunks, strict=True)]
    if array.shards is None:
        return [ObjectRead(array.key(part.place), (part,)) for part in map(_part, itertools.product(*pieces))]
    return _by_shard(array, array.shards, pieces)


def steps(axis: Axis, size: int) -> list[tuple[int, int]]:
    """Return the parts of the result's axis, first entry and the one after the last, that lie in one chunk each."""
    return [(0, 1) if one.target is None else (one.target.start, one.target.stop) for one in _pieces(axis, size)]


@functools.lru_cache(maxsize=256)
def _pieces(axis: Axis, size: int) -> tuple[_Piece, ...]:
    # Of reads that follow one another, most axes are the same.
    return tuple(_cut(axis, size))


def _cut(axis: Axis, size: int) -> Iterator[_Piece]:
    done = 0
    while done < axis.count:
        index = axis.start + axis.step * done
        chunk = index // size
        within = index - chunk * size
        left = -(-(size - within) // axis.step) if axis.step > 0 else within // -axis.step + 1
        more = min(left, axis.count - done)
        if axis.dropped:
            yield _Piece(chunk, within, None, whole=size == 1)
        else:
            stop = within + axis.step * more
            source = slice(within, stop if stop >= 0 else None, axis.step)
            yield _Piece(chunk, source, slice(done, done + more), whole=axis.step == 1 and more == size)
        done += more


def _part(pieces: Sequence[_Piece], number: int = 0) -> ChunkPart:
    return ChunkPart(
        place=tuple(one.chunk for one in pieces),
        number=number,
        source=tuple(one.source for one in pieces),
        target=tuple(one.target for one in pieces if one.target is not None),
        whole=all(one.whole for one in pieces),
    )


def _by_shard(array: ZarrArray, shards: tuple[int, ...], pieces: Sequence[Sequence[_Piece]]) -> list[ObjectRead]:
    per_shard = [outer // inner for outer, inner in zip(shards, array.chunks, strict=True)]
    # Along each axis the chunks of one shard follow one another.
    runs = [_runs(one, count) for one, count in zip(pieces, per_shard, strict=True)]
    found = []
    for shard in itertools.product(*runs):
        parts = tuple(
            _part(chosen, _number([one.chunk % n for one, n in zip(chosen, per_shard, strict=True)], per_shard))
            for chosen in itertools.product(*(run for _, run in shard))
        )
        found.append(ObjectRead(array.key([at for at, _ in shard]), parts))
    return found


def _runs(pieces: Sequence[_Piece], per_shard: int) -> list[tuple[int, list[_Piece]]]:
    return [(shard, list(run)) for shard, run in itertools.groupby(pieces, lambda one: one.chunk // per_shard)]


def _number(place: Iterable[int], per_shard: Sequence[int]) -> int:
    number = 0
    for at, count in zip(place, per_shard, strict=True):
        number = number * count + at
    return number


def join(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """Return the ranges in order, near ones merged as long as the result stays a request of good size."""
    merged: list[ByteRange] = []
    for one in sorted(set(ranges)):
        last = merged[-1] if merged else None
        near = last is not None and one.start - last.stop <= _GAP_BYTES
        if last is not None and near and one.stop - last.start <= _MOST_RANGE_BYTES:
            merged[-1] = ByteRange(last.start, max(last.stop, one.stop))
        else:
            merged.append(one)
    return merged
