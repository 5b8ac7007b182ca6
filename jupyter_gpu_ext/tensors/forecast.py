"""What a read of Zarr arrays will ask storage for: exact where all that is read was looked at, else from a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, TensorFormatError
from jupyter_gpu_ext.storage.models import Version
from jupyter_gpu_ext.tensors import shards, slabs
from jupyter_gpu_ext.tensors.asked_for import FIRST_BYTES, Asked, asked
from jupyter_gpu_ext.tensors.chunks import grid
from jupyter_gpu_ext.tensors.codecs import DamagedChunkError
from jupyter_gpu_ext.tensors.formats.zarr import DAMAGED
from jupyter_gpu_ext.tensors.objects import together
from jupyter_gpu_ext.tensors.stored import stored_sizes
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jupyter_gpu_ext.storage.ranges import ByteRange
    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.chunks import ObjectRead
    from jupyter_gpu_ext.tensors.formats.zarr import ShardIndex
    from jupyter_gpu_ext.tensors.objects import Objects
    from jupyter_gpu_ext.tensors.slab_load import Layout
    from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan

    _Read = tuple[ArrayPlan, ObjectRead]

# Objects that are asked one by one, all at once; more are listed, and where there are too many for that, sampled.
_MOST_ASKED = 64
_MOST_LISTED = 10_000
SAMPLES = 16
_MOST_INDEX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the chunks of a read take, its metadata apart.

    Attributes
    ----------
    requests, bytes_read : int
        A shard counts as often as it is opened.
    missing_count : int or None
        Chunks that were never written; None where not all were looked at.
    known_count : int
        Objects whose size is known.
    exact : bool
        Nothing is estimated.
    """

    requests: int
    bytes_read: int
    missing_count: int | None
    known_count: int
    exact: bool


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of an object: None for no size where there is none, and where a shard's chunks lie."""

    size_bytes: int | None
    places: Mapping[int, ByteRange]


async def forecast(plan: ZarrPlan, layout: Layout) -> Forecast:
    """Look at the objects of a read and return what it takes; at most some seventy small requests.

    Raises
    ------
    TensorFormatError
        When the index of a shard is damaged; names it.
    """
    reads = list(_reads(plan, layout))
    by_key = {one.key: (array, one) for array, one in reads}
    if len(by_key) <= _MOST_ASKED and all(_is_small(one.array.index) for one in plan.arrays.values()):
        return _all(reads, await _look(plan.node.objects, _wanted(reads)))
    if (sizes := await _listed(plan)) is not None:
        root = plan.node.objects.key("")
        return _all(reads, {key: _Seen(sizes.get(root + key), {}) for key in by_key})
    keys = list(by_key)
    sample = {keys[len(keys) * at // SAMPLES] for at in range(SAMPLES)}
    some = [(array, one) for array, one in reads if one.key in sample]
    return _some(plan, reads, some, await _look(plan.node.objects, _wanted(some)))


def _reads(plan: ZarrPlan, layout: Layout) -> Iterator[_Read]:
    for name, one in plan.arrays.items():
        # Who passes through small buffers opens a shard for each part of it; a chunk is read once all the same.
        if one.array.shards and name in layout.through and slabs.count(one, layout.slab_bytes) > 1:
            yield from ((one, read) for slab in slabs.cut(one, layout.slab_bytes) for read in slab.plan.objects)
        else:
            yield from ((one, read) for read in one.objects)


def _wanted(reads: Sequence[_Read]) -> dict[str, tuple[ArrayPlan, list[int]]]:
    """Return the objects of reads by key, each with the numbers of the chunks that are wanted of it."""
    found: dict[str, tuple[ArrayPlan, list[int]]] = {}
    for array, one in reads:
        found.setdefault(one.key, (array, []))[1].extend(part.number for part in one.parts)
    return found


async def _look(objects: Objects, wanted: Mapping[str, tuple[ArrayPlan, list[int]]]) -> dict[str, _Seen]:
    seen = dict[str, _Seen]()

    async def one(key: str, plan: ArrayPlan, numbers: list[int]) -> None:
        found = await objects.head(key)
        size = None if found is None else found.size_bytes or 0
        version = None if found is None or size is None else Version(size, str(found.etag))
        seen[key] = _Seen(size, await _places(objects, key, plan, version, numbers))

    await together(one(key, *some) for key, some in wanted.items())
    return seen


async def _places(
    objects: Objects, key: str, plan: ArrayPlan, version: Version | None, numbers: list[int]
) -> dict[int, ByteRange]:
    index = plan.array.index
    if version is None or index is None or not _is_small(index):
        return {}
    most = plan.array.most_stored_bytes
    try:
        span = shards.place_of(index, version.size_bytes)
        raw = bytearray(span.size_bytes)
        await objects.read_into(key, version, span.start, memoryview(raw))
        return shards.parse_index(index, memoryview(raw), numbers, size_bytes=version.size_bytes, most_bytes=most)
    except DamagedChunkError as error:
        shown = f"{printable(plan.name)}: shard {printable(key)!r}"
        raise TensorFormatError(f"{shown} is damaged: {error}.", hint=DAMAGED) from None


async def _listed(plan: ZarrPlan) -> dict[str, int] | None:
    """Return the sizes of all objects of the arrays; None where there are too many, or none may be listed."""
    arrays = [one.array for one in plan.arrays.values() if one.objects]
    if any(one.index for one in arrays) or sum(math.prod(grid(one)) for one in arrays) > _MOST_LISTED:
        return None
    sizes = dict[str, int]()
    try:
        for one in arrays:
            found = await stored_sizes(plan.node.objects, one, 2 * _MOST_LISTED)
            if not found.complete:
                return None
            sizes |= found.sizes
    except (BadRequestError, DeniedError):
        return None
    return sizes


def _all(reads: Sequence[_Read], seen: Mapping[str, _Seen]) -> Forecast:
    found = [_asked(one, seen) for one in reads]
    return Forecast(
        requests=sum(one.requests for one in found),
        bytes_read=sum(one.bytes_read for one in found),
        missing_count=sum(one.missing_count for one in found),
        known_count=len(seen),
        exact=True,
    )


def _some(plan: ZarrPlan, reads: Sequence[_Read], some: Sequence[_Read], seen: Mapping[str, _Seen]) -> Forecast:
    found = [_asked(one, seen) for one in some]
    part = sum(_decoded_bytes(one) for one in some)
    whole = sum(_decoded_bytes(one) for one in reads)
    requests = round(sum(one.requests for one in found) / len(some) * len(reads))
    # A chunk that fits the first request takes one, however long it is and whether it is there.
    if all(one.array.index is None and one.array.most_stored_bytes < FIRST_BYTES for one in plan.arrays.values()):
        requests = len(reads)
    return Forecast(
        requests=requests,
        bytes_read=round(sum(one.bytes_read for one in found) / part * whole) if part else 0,
        missing_count=None,
        known_count=len(seen),
        exact=False,
    )


def _asked(read: _Read, seen: Mapping[str, _Seen]) -> Asked:
    plan, one = read
    found = seen[one.key]
    index = plan.array.index
    if found.size_bytes is None or index is None or _is_small(index):
        return asked(plan.array, one, found.size_bytes, found.places)
    # Too long an index to look into: its chunks as if they lay together.
    share = found.size_bytes * len(one.parts) // index.count
    return Asked(3, min(found.size_bytes, share + index.size_bytes), 0)


def _decoded_bytes(read: _Read) -> int:
    return len(read[1].parts) * read[0].array.chunk_bytes


def _is_small(index: ShardIndex | None) -> bool:
    return index is None or index.size_bytes <= _MOST_INDEX_BYTES
