"""What is asked of storage for one object of a Zarr array: the same rules for who reads and for who plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.ranges import ByteRange, split
from jupyter_gpu_ext.tensors import shards
from jupyter_gpu_ext.tensors.chunks import join

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.tensors.chunks import ObjectRead
    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray

# Asked for with the opening request: the whole of most objects.
FIRST_BYTES = 16 << 20
_RANGE_BYTES = 16 << 20
# What the first request of a shard brings besides its size.
_SHARD_HEAD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Asked:
    """What the read of one object takes.

    Attributes
    ----------
    missing_count : int
        Of the wanted chunks, those that were never written.
    """

    requests: int
    bytes_read: int
    missing_count: int


def first_bytes(array: ZarrArray, read: ObjectRead) -> int:
    """Return how much of an object is asked for at first: all of it where all of it is wanted."""
    index, most = array.index, array.most_stored_bytes
    if index is None:
        return min(most + 1, FIRST_BYTES)
    largest = index.size_bytes + index.count * most
    if len(read.parts) == index.count and largest <= FIRST_BYTES:
        return largest
    return max(_SHARD_HEAD_BYTES, index.size_bytes * index.at_start)


def missing(span: ByteRange, head_bytes: int) -> list[ByteRange]:
    """Return the ranges to ask for, of a part of an object whose first bytes are here."""
    start = max(span.start, min(head_bytes, span.stop))
    return split([ByteRange(start, span.stop)], most_bytes=_RANGE_BYTES) if start < span.stop else []


def asked(
    array: ZarrArray, read: ObjectRead, size_bytes: int | None, places: Mapping[int, ByteRange] | None = None
) -> Asked:
    """Return what the read of an object takes.

    Parameters
    ----------
    size_bytes : int or None
        Of the object; None where there is none.
    places : mapping, optional
        Of a shard: where its chunks lie, by number.
    """
    if size_bytes is None:
        return Asked(1, 0, len(read.parts))
    head = min(first_bytes(array, read), size_bytes)
    spans, lost = [ByteRange(0, size_bytes)], 0
    if array.index is not None:
        there = [found for part in read.parts if (found := (places or {}).get(part.number))]
        spans = [shards.place_of(array.index, size_bytes), *join(there)]
        lost = len(read.parts) - len(there)
    ranges = [one for span in spans for one in missing(span, head)]
    return Asked(1 + len(ranges), head + sum(one.size_bytes for one in ranges), lost)
