"""Read a planned array: objects from storage, a bounded number of bytes at a time, decoded into their places."""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jupyter_gpu_ext.errors import OF_THE_STORE, GpuExtError, TensorFormatError
from jupyter_gpu_ext.tensors import codecs, shards
from jupyter_gpu_ext.tensors.asked_for import FIRST_BYTES, first_bytes
from jupyter_gpu_ext.tensors.budget import Budget
from jupyter_gpu_ext.tensors.busy import Busy
from jupyter_gpu_ext.tensors.chunks import join
from jupyter_gpu_ext.tensors.objects import together
from jupyter_gpu_ext.tensors.placing import Decoder, Placing
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.storage.progress import Progress
    from jupyter_gpu_ext.storage.ranges import ByteRange
    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.chunks import ChunkPart, ObjectRead
    from jupyter_gpu_ext.tensors.formats.zarr import ShardIndex
    from jupyter_gpu_ext.tensors.objects import Objects, Pinned
    from jupyter_gpu_ext.tensors.placing import Place

T = TypeVar("T")

IN_FLIGHT_BYTES = 256 << 20
# Over a network the readers wait for each other's answers, on a disk for the processor.
_FAR_READERS = 64
_DECODERS = 16


class Means:
    """What the reads of one load share: threads that decode, readers, and the bytes that may be in flight.

    Parameters
    ----------
    store : Objects
    room_bytes : int
        What stored and half-decoded chunks may take together; one chunk that takes more comes alone.
    sharded : bool
        Some of the room is for heads of shards.

    Attributes
    ----------
    decoding : Busy
        While a chunk is decoded, or waits for a thread that does it.
    """

    def __init__(self, store: Objects, room_bytes: int = IN_FLIGHT_BYTES, *, sharded: bool = True) -> None:
        threads = min(_DECODERS, len(os.sched_getaffinity(0)))
        self.decoding = Busy()
        self.pool = ThreadPoolExecutor(threads, "jupyter-gpu-ext-decode")
        self.readers = 2 * threads if store.near else _FAR_READERS
        self.turn = asyncio.Semaphore(self.readers)
        # Two of them: who holds the head of a shard waits for room for its chunks, never the reverse.
        self.heads = Budget(room_bytes // 2)
        self.chunks = Budget(room_bytes // 2 if sharded else room_bytes)

    def close(self) -> None:
        """Let the threads go; they are idle, as each one is waited for."""
        self.pool.shutdown(wait=False)


async def read_array(
    store: Objects, plan: ArrayPlan, out: NDArray[Any], progress: Progress, means: Means | None = None
) -> None:
    """Fill `out` with what the plan chooses.

    Parameters
    ----------
    out : numpy.ndarray
        Of the plan's shape and `numpy_dtype`; any memory, pinned or shared, and any strides.
    progress : Progress
        Counts bytes of `out` as they are final.
    means : Means, optional
        Shared with other reads of the same store; without it this one has its own.

    Raises
    ------
    TensorFormatError
        Naming the array and the chunk that is damaged; `out` is then of no use.
    GpuExtError
        When storage does not give an object. Nothing writes to `out` any more when this returns or raises.
    """
    if out.shape != plan.shape or out.dtype != plan.numpy_dtype:
        raise ValueError(f"the result has {plan.shape} {plan.numpy_dtype}, the buffer {out.shape} {out.dtype}")
    own = Means(store, sharded=plan.array.index is not None) if means is None else means
    todo = iter(plan.objects)
    reading = Reading(store, plan, Placing(Decoder(plan), out), progress, own)

    async def some() -> None:
        for one in todo:
            async with own.turn:
                await reading.object(one)

    try:
        await together(some() for _ in range(min(own.readers, len(plan.objects))))
    finally:
        if means is None:
            own.close()


class Reading:
    """The read of one planned array, object by object, in any order.

    Parameters
    ----------
    store, plan, progress, means
        As for `read_array`.
    place : Place
        Where the chunks go.
    """

    def __init__(self, store: Objects, plan: ArrayPlan, place: Place, progress: Progress, means: Means) -> None:
        self._store = store
        self._plan = plan
        self._array = plan.array
        self._decoder = place.decoder
        self._place = place
        self._progress = progress
        self._means = means

    async def object(self, one: ObjectRead) -> None:
        """Read one of the plan's objects, when it is its turn.

        Raises
        ------
        TensorFormatError
            Naming the array and the chunk that is damaged.
        GpuExtError
            When storage does not give it. Nothing writes to its places any more when this returns or raises.
        """
        index = self._array.index
        try:
            await (self._chunk(one) if index is None else self._shard(one, index))
        except codecs.DamagedChunkError as error:
            raise self._damaged(one.key, error) from error.__cause__
        except GpuExtError as error:
            if not isinstance(error, OF_THE_STORE):
                error.about(self._named(one.key))
            raise

    async def _chunk(self, one: ObjectRead) -> None:
        (part,) = one.parts
        most = self._decoder.most_stored_bytes
        if self._place.keeps:
            await self._held(one, most)
        elif most >= FIRST_BYTES and (room := self._place.room(part)) is not None:
            await self._straight(one, room)
        else:
            async with self._means.chunks.hold(most + self._place.scratch_bytes(part)):
                await self._held(one, most)

    async def _held(self, one: ObjectRead, most: int) -> None:
        """Read a chunk into memory that somebody has counted."""
        at_once = self._place.keeps or most < FIRST_BYTES
        if not at_once or not await self._small(one, most):
            await self._large(one, most)

    async def _straight(self, one: ObjectRead, room: memoryview) -> None:
        """Read a large chunk into its place, where that has the form that is stored: it takes no other memory."""
        size = await self._store.fill(one.key, room, FIRST_BYTES)
        if size is None:
            await self._put([(one.parts[0], None)])
        elif size != len(room):
            raise codecs.DamagedChunkError(f"{size:,} bytes in place of {len(room):,}")
        else:
            self._progress.done_bytes += size

    async def _small(self, one: ObjectRead, most: int) -> bool:
        """Read a chunk at the least cost; tell whether it is in its places.

        Nobody says then how long the object is. So an answer that was cut off looks like damage, and what looks like it
        is asked for again.
        """
        (part,) = one.parts
        data = await self._store.whole(one.key, most + 1)
        if data is not None and len(data) > most:
            return False
        try:
            await self._put([(part, data)])
        except codecs.DamagedChunkError:
            return False
        return True

    async def _large(self, one: ObjectRead, most: int) -> None:
        """Read a chunk of one version, in ranges."""
        into = np.empty(most, np.uint8).data
        size = await self._store.fill(one.key, into, FIRST_BYTES)
        if size is not None and size > most:
            raise codecs.DamagedChunkError(f"{size:,} bytes are more than a chunk can have")
        await self._put([(one.parts[0], None if size is None else into[:size])])

    async def _shard(self, one: ObjectRead, index: ShardIndex) -> None:
        head_bytes = first_bytes(self._array, one)
        async with self._means.heads.hold(head_bytes):
            found = await self._store.pinned(one.key, head_bytes)
            if found is None:
                await self._put([(part, None) for part in one.parts])
                return
            places = await self._places(one, index, found)
            await self._put([(part, None) for part in one.parts if part.number not in places])
            await self._runs(one, found, places)

    async def _places(self, one: ObjectRead, index: ShardIndex, found: Pinned) -> dict[int, ByteRange]:
        size = found.size_bytes
        async with self._means.chunks.hold(3 * index.size_bytes):
            raw = await found.read(shards.place_of(index, size))
            wanted = [part.number for part in one.parts]
            most = self._decoder.most_stored_bytes
            return shards.parse_index(index, raw, wanted, size_bytes=size, most_bytes=most)

    async def _runs(self, one: ObjectRead, found: Pinned, places: dict[int, ByteRange]) -> None:
        """Read the chunks of a shard that were written, neighbours in one request."""
        parts = sorted((part for part in one.parts if part.number in places), key=lambda part: places[part.number])
        at, runs = 0, []
        for run in join(places[part.number] for part in parts):
            begun = at
            while at < len(parts) and places[parts[at].number].stop <= run.stop:
                at += 1
            runs.append(self._run(found, run, [(part, places[part.number]) for part in parts[begun:at]]))
        await together(runs)

    async def _run(self, found: Pinned, run: ByteRange, parts: Sequence[tuple[ChunkPart, ByteRange]]) -> None:
        scratch = max(self._place.scratch_bytes(part) for part, _ in parts)
        async with self._means.chunks.hold(run.size_bytes + scratch):
            data = await found.read(run)
            await self._put([(part, data[at.start - run.start : at.stop - run.start]) for part, at in parts])

    async def _put(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> None:
        if pairs and self._place.is_soon(pairs):
            self._progress.done_bytes += self._place.all(pairs)
        elif pairs:
            with self._means.decoding.working():
                done = await _in_thread(self._means.pool, functools.partial(self._place.all, pairs))
            self._progress.done_bytes += done

    def _named(self, key: str) -> str:
        what = "shard" if self._array.index is not None else "chunk"
        return f"{printable(self._plan.name)}: {what} {printable(key)!r}"

    def _damaged(self, key: str, error: Exception) -> TensorFormatError:
        return TensorFormatError(
            f"{self._named(key)} is damaged: {error}.",
            hint="Write it again, or copy the store again.",
        )


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    future = pool.submit(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        # The memory is the caller's again only when nobody writes to it.
        if not future.cancel():
            await asyncio.wait([asyncio.wrap_future(future)])
        raise
