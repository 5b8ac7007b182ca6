"""Read a planned array: objects from storage, a bounded number of bytes at a time, decoded into their places."""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jupyter_gpu_ext.errors import OF_THE_STORE, GpuExtError, TensorFormatError
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.tensors import codecs, shards
from jupyter_gpu_ext.tensors.asked_for import FIRST_BYTES, first_bytes
from jupyter_gpu_ext.tensors.budget import Budget
from jupyter_gpu_ext.tensors.busy import Busy
from jupyter_gpu_ext.tensors.chunks import join
from jupyter_gpu_ext.tensors.objects import together
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.storage.progress import Progress
    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.cf import Decoding
    from jupyter_gpu_ext.tensors.chunks import ChunkPart, ObjectRead
    from jupyter_gpu_ext.tensors.formats.zarr import ShardIndex, ZarrArray
    from jupyter_gpu_ext.tensors.objects import Objects, Pinned

T = TypeVar("T")

IN_FLIGHT_BYTES = 256 << 20
# Over a network the readers wait for each other's answers, on a disk for the processor.
_FAR_READERS = 64
_DECODERS = 16
# What is copied on the loop itself: to wake a thread for it and to be woken takes longer.
_SOON_BYTES = 1 << 20
# Values that are decoded at a time: they stay near the processor, and take little room however large the chunk is.
_PIECE_ITEMS = 1 << 17


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
    reading = Reading(store, plan, out, progress, own)

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
    store, plan, out, progress, means
        As for `read_array`.
    decoder : Decoder, optional
        Of the plan's array, where several reads share it.
    """

    def __init__(
        self, store: Objects, plan: ArrayPlan, out: NDArray[Any], progress: Progress, means: Means,
        *, decoder: Decoder | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._plan = plan
        self._array = plan.array
        self._decoder = decoder or Decoder(plan)
        self._place = _Placing(self._decoder, out)
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
        most = self._decoder.most_stored_bytes
        async with self._means.chunks.hold(most + max(map(self._place.scratch_bytes, one.parts))):
            if most >= FIRST_BYTES or not await self._small(one, most):
                data = await self._versioned(one, most)
                await self._put([(part, data) for part in one.parts])

    async def _small(self, one: ObjectRead, most: int) -> bool:
        """Read a chunk at the least cost; tell whether it is in its places.

        Nobody says then how long the object is. So an answer that was cut off looks like damage, and what looks like it
        is asked for again.
        """
        data = await self._store.whole(one.key, most + 1)
        if data is not None and len(data) > most:
            return False
        try:
            await self._put([(part, data) for part in one.parts])
        except codecs.DamagedChunkError:
            return False
        return True

    async def _versioned(self, one: ObjectRead, most: int) -> memoryview | None:
        """Return all bytes of one version of an object, None where there is none."""
        found = await self._store.pinned(one.key, FIRST_BYTES)
        if found is not None and found.size_bytes > most:
            raise codecs.DamagedChunkError(f"{found.size_bytes:,} bytes are more than a chunk can have")
        return None if found is None else await found.read(ByteRange(0, found.size_bytes))

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


class Decoder:
    """How chunks of one array become values of a result, and what that takes; the same for every chunk.

    Attributes
    ----------
    straight : bool
        Values are wanted as they are stored.
    copies : bool
        The bytes are, too.
    fill : numpy.ndarray
        The value of what was never written.
    most_stored_bytes : int
        The most that an encoded chunk can have.
    scratch_bytes, straight_scratch_bytes : int
        What decoding one takes at most, beside its stored bytes and its place; less where it goes straight there.
    """

    def __init__(self, plan: ArrayPlan) -> None:
        self.array = array = plan.array
        self.decoding = plan.decoding
        plain = array.order is None and array.stored.isnative and array.stored.kind != "b"
        self.straight = plain and plan.decoding is None
        self.copies = self.straight and not array.codecs
        fill = np.array(array.fill, array.native)
        self.fill = fill if plan.decoding is None else plan.decoding(fill.reshape(1)).reshape(())
        self.most_stored_bytes = array.most_stored_bytes
        self.scratch_bytes = scratch_bytes(array, straight=False)
        self.straight_scratch_bytes = scratch_bytes(array, straight=True)


class _Placing:
    """Decode chunks into their places in the result; runs in threads, each on places of its own."""

    def __init__(self, decoder: Decoder, out: NDArray[Any]) -> None:
        self._array = decoder.array
        self._out = out
        self._decoder = decoder
        self._decoding = decoder.decoding

    def is_soon(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> bool:
        """Tell whether the chunks are in their places in no time: few bytes, to be copied as they are."""
        return self._decoder.copies and sum(0 if data is None else len(data) for _, data in pairs) <= _SOON_BYTES

    def all(self, pairs: Sequence[tuple[ChunkPart, memoryview | None]]) -> int:
        """Put the chunks in their places, the fill value where there is none; return the bytes."""
        return sum(self._one(part, data) for part, data in pairs)

    def _one(self, part: ChunkPart, data: memoryview | None) -> int:
        target = self._out[part.target] if part.target else self._out[...]
        if data is None:
            target[...] = self._decoder.fill
        elif self._straight(part, target):
            codecs.decode(self._array.codecs, data, target.reshape(-1).view(np.uint8))
        elif self._decoding is None:
            target[...] = self._chunk(data)[part.source]
        else:
            self._decoded(np.asarray(self._chunk(data)[part.source]), target, self._decoding)
        return int(target.nbytes)

    def _decoded(self, chosen: NDArray[Any], target: NDArray[Any], decoding: Decoding) -> None:
        """Decode a few values at a time."""
        if chosen.size <= _PIECE_ITEMS:
            target[...] = decoding(np.asarray(chosen, self._array.native))
        elif len(chosen) == 1:
            self._decoded(chosen[0], target[0], decoding)
        else:
            rows = max(1, _PIECE_ITEMS // (chosen.size // len(chosen)))
            for at in range(0, len(chosen), rows):
                self._decoded(chosen[at : at + rows], target[at : at + rows], decoding)

    def scratch_bytes(self, part: ChunkPart) -> int:
        """Return what decoding the chunk takes at most, beside its stored bytes and its place."""
        straight = self._straight(part, self._out[part.target] if part.target else self._out[...])
        return self._decoder.straight_scratch_bytes if straight else self._decoder.scratch_bytes

    def _straight(self, part: ChunkPart, target: NDArray[Any]) -> bool:
        return part.whole and self._decoder.straight and target.flags.c_contiguous

    def _chunk(self, data: memoryview) -> NDArray[Any]:
        array = self._array
        order = array.order or tuple(range(len(array.chunks)))
        if array.codecs:
            raw = np.empty(array.chunk_bytes, np.uint8)
            codecs.decode(array.codecs, data, raw)
        else:
            raw = np.frombuffer(data, np.uint8)
            if raw.nbytes != array.chunk_bytes:
                raise codecs.DamagedChunkError(f"{raw.nbytes:,} bytes in place of {array.chunk_bytes:,}")
        stored: NDArray[Any] = raw.view(array.stored).reshape([array.chunks[axis] for axis in order])
        if array.stored.kind == "b":
            # A byte other than 0 and 1 is no boolean to whoever computes with it.
            stored = stored.view(np.uint8) != 0
        return stored.transpose([order.index(axis) for axis in range(len(order))])


def scratch_bytes(array: ZarrArray, *, straight: bool) -> int:
    """Return what decoding one chunk takes at most, beside its stored bytes and its place in the result."""
    between = sorted(step.most for step in codecs.sizes(array.codecs, array.chunk_bytes)[1:-1])
    # A step needs its own result and the one before.
    needed = sum(between[-2:])
    if straight:
        return needed
    items = min(array.chunk_bytes // array.stored.itemsize, _PIECE_ITEMS)
    return needed + array.chunk_bytes * (bool(array.codecs) + (array.stored.kind == "b")) + 32 * items


async def _in_thread(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    future = pool.submit(work)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        # The memory is the caller's again only when nobody writes to it.
        if not future.cancel():
            await asyncio.wait([asyncio.wrap_future(future)])
        raise
