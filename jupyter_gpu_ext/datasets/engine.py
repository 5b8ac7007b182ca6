"""Read the parts of an epoch ahead of who uses them: on the I/O loop, decoded in threads, bounded by bytes."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import numpy as np

from jupyter_gpu_ext.errors import OF_THE_STORE, GpuExtError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.traffic import WAITING
from jupyter_gpu_ext.tensors.arrays import IN_FLIGHT_BYTES, Means, read_array
from jupyter_gpu_ext.tensors.busy import Busy
from jupyter_gpu_ext.tensors.objects import together
from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan, check_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.shard import Part
    from jupyter_gpu_ext.datasets.source import Source
    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan

# Of a stream's memory, what stored and half-decoded chunks may take.
_FLIGHT_SHARE = 4
# Memory of this size comes fresh from the system, page by page; smaller pieces do not.
_USED_AGAIN_BYTES = 1 << 20


class Holding(Protocol):
    """A part in memory, of whatever it is a part."""

    @property
    def buffers(self) -> Sequence[NDArray[np.uint8]]:
        """What it takes."""


H = TypeVar("H", bound=Holding)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """A part in memory, which the engine takes back when it is released: what is handed on is a copy.

    Attributes
    ----------
    start : int
        Its first entry along the sample axis.
    arrays : mapping of str to numpy.ndarray
        Its entries, the sample axis first.
    """

    start: int
    arrays: dict[str, NDArray[Any]]
    buffers: list[NDArray[np.uint8]]


class _Memory:
    """Host buffers, of which large ones are used again; lives on the I/O loop."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._free: list[NDArray[np.uint8]] = []
        self.held_bytes = 0

    def take(self, size_bytes: int) -> NDArray[np.uint8]:
        fitting = [one for one in self._free if size_bytes <= one.nbytes <= 2 * size_bytes]
        if fitting:
            buffer = min(fitting, key=lambda one: one.nbytes)
            self._free = [one for one in self._free if one is not buffer]
        else:
            buffer = np.empty(size_bytes, np.uint8)
        self.held_bytes += buffer.nbytes
        return buffer

    def give_back(self, buffers: Sequence[NDArray[np.uint8]]) -> None:
        self.held_bytes -= sum(one.nbytes for one in buffers)
        self._free += [one for one in buffers if one.nbytes >= _USED_AGAIN_BYTES]
        while self._free and self.held_bytes + sum(one.nbytes for one in self._free) > self._most:
            self._free.pop(0)


class Engine(Generic[H]):
    """Reads parts in their order and keeps each until it is released; used by one thread at a time.

    What a part is, and how it is read, its subclasses say: `_size`, `_take`, `_fill`, and what is around all of them.

    Parameters
    ----------
    parts : mapping of int to Part
        By number, in the order in which they are read.
    memory_bytes : int
        What parts and reads may take together. A part that is needed now is read even where it takes more.

    Attributes
    ----------
    wait_seconds : float
        How long the caller waited for parts.
    most_held_bytes : int
        Of decoded parts, so far.
    decoded_bytes : int
        Of parts, so far.
    chunk_bytes : int
        Of the chunks or files that were decoded for them, whole.
    decoding : Busy
        While something is decoded.
    """

    def __init__(self, parts: Mapping[int, Part], *, memory_bytes: int) -> None:
        self.wait_seconds = 0.0
        self.most_held_bytes = 0
        self.decoded_bytes = 0
        self.chunk_bytes = 0
        self.decoding = Busy()
        flight = min(IN_FLIGHT_BYTES, memory_bytes // _FLIGHT_SHARE)
        self._parts = parts
        self._flight_bytes = flight
        self._most_bytes = memory_bytes - flight
        self._memory = _Memory(self._most_bytes)
        self._needed = -1
        self._came: dict[int, H | Exception] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._room: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._task: asyncio.Task[Any] | None = None
        self._running: Future[None] = LOOP.submit(self._read_all())

    def part(self, number: int) -> H:
        """Return a part, once it is there; an interrupt ends the wait at once.

        Raises
        ------
        GpuExtError
            Why it could not be read.
        """
        begun = time.monotonic()
        try:
            with WAITING.counted(), self._changed:
                self._need(number)
                self._changed.wait_for(lambda: number in self._came or self._ended)
        finally:
            self.wait_seconds += time.monotonic() - begun
        found = self._came.get(number)
        if found is None:
            self.finish()
            raise RuntimeError("the stream was closed")
        if isinstance(found, Exception):
            raise found
        return found

    def release(self, number: int) -> None:
        """Let go of a part: its memory is used for others."""
        found = self._came.pop(number)
        if not isinstance(found, Exception):
            self._on_loop(lambda: self._memory.give_back(found.buffers))

    def finish(self) -> None:
        """Wait for the end of all reads, and whether the store is still the one that was opened.

        Raises
        ------
        ObjectChangedError
            When its metadata is another one than at the beginning.
        """
        self._running.result()

    def close(self) -> None:
        """End all reads; no thread and no connection of them is left."""
        if self._closed:
            return
        self._closed = True
        if self._loop is not None and _is_running(self._loop):
            # A collection of garbage may come by on the loop, which cannot wait for itself.
            self._stop()
        else:
            LOOP.run(self._stopped())
        self._came.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _need(self, number: int) -> None:
        if number > self._needed:
            self._needed = number
            self._on_loop(lambda: None)

    def _on_loop(self, change: Callable[[], None]) -> None:
        """Make a change on the loop, where the reads look at whether they may go on."""

        def act() -> None:
            change()
            if self._room is not None:
                self._room.set()

        if self._loop is not None:
            self._loop.call_soon_threadsafe(act)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _stopped(self) -> None:
        # What was submitted first has begun first.
        self._stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _read_all(self) -> None:
        self._room, self._loop, self._task = asyncio.Event(), asyncio.get_running_loop(), asyncio.current_task()
        self._begin()
        try:
            async with asyncio.TaskGroup() as group:
                for number, part in self._parts.items():
                    await self._wait_for_room(number, part)
                    held = self._take(part)
                    self.most_held_bytes = max(self.most_held_bytes, self._memory.held_bytes)
                    group.create_task(self._read(number, part, held))
            await self._check()
        finally:
            self._end()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    async def _wait_for_room(self, number: int, part: Part) -> None:
        """Wait until the part fits, or somebody waits for it."""
        assert self._room is not None  # noqa: S101 -- made before the first part
        size = self._size(part)
        while self._needed < number and self._memory.held_bytes and self._memory.held_bytes + size > self._most_bytes:
            self._room.clear()
            await self._room.wait()

    async def _read(self, number: int, part: Part, held: H) -> None:
        came: H | Exception = held
        try:
            size = await self._fill(part, held)
            self.decoded_bytes += size
        except GpuExtError as error:
            # Its frames hold buffers, and what the client raised.
            error.__context__ = None
            came = error.with_traceback(None)
            self._memory.give_back(held.buffers)
        with self._changed:
            self._came[number] = came
            self._changed.notify_all()

    def _begin(self) -> None:
        """Make what the reads share."""

    async def _check(self) -> None:
        """Look whether all was of one version, after the last read."""

    def _end(self) -> None:
        """Let go of what the reads shared."""

    def _size(self, part: Part) -> int:
        """Return what a part takes, in bytes."""
        raise NotImplementedError

    def _take(self, part: Part) -> H:
        """Take room for a part."""
        raise NotImplementedError

    async def _fill(self, part: Part, held: H) -> int:
        """Read a part; return its bytes."""
        raise NotImplementedError


class ZarrEngine(Engine[Held]):
    """Reads parts of the arrays of a store.

    Parameters
    ----------
    source : Source
    """

    _means: Means

    def __init__(self, source: Source, parts: Mapping[int, Part], *, memory_bytes: int) -> None:
        self._source = source
        super().__init__(parts, memory_bytes=memory_bytes)

    def _begin(self) -> None:
        sharded = any(one.array.index is not None for one in self._source.arrays.values())
        self._means = Means(self._source.node.objects, self._flight_bytes, sharded=sharded)
        self.decoding = self._means.decoding

    async def _check(self) -> None:
        await check_unchanged(ZarrPlan(self._source.node, self._source.arrays))

    def _end(self) -> None:
        self._means.close()

    def _size(self, part: Part) -> int:
        start, stop = self._entries(part)
        return (stop - start) * self._source.entry_bytes

    def _entries(self, part: Part) -> tuple[int, int]:
        return self._source.blocks.windows.entries(part.first, part.stop)

    def _take(self, part: Part) -> Held:
        start, stop = self._entries(part)
        arrays, buffers = dict[str, "NDArray[Any]"](), list["NDArray[np.uint8]"]()
        for name, one in self._source.arrays.items():
            shape = (stop - start, *self._source.entry_shape(name))
            size = int(np.prod(shape)) * one.numpy_dtype.itemsize
            buffers.append(self._memory.take(size))
            arrays[name] = buffers[-1][:size].view(one.numpy_dtype).reshape(shape)
        return Held(start=start, arrays=arrays, buffers=buffers)

    async def _fill(self, part: Part, held: Held) -> int:
        plans = [self._source.part(name, *self._entries(part)) for name in held.arrays]
        await together([self._one(plan, held.arrays[plan.name]) for plan in plans])
        self.chunk_bytes += sum(one.chunk_count * one.array.chunk_bytes for one in plans)
        return sum(one.nbytes for one in held.arrays.values())

    async def _one(self, plan: ArrayPlan, out: NDArray[Any]) -> None:
        place = self._source.places[plan.name]
        # In the result the sample axis has its own place, among those that are left.
        at = place - sum(one.dropped for one in plan.axes[:place])
        moved = np.moveaxis(out, 0, at)
        await read_array(self._source.node.objects, plan, moved, Progress(plan.size_bytes), self._means)


def is_of_one_part(error: GpuExtError) -> bool:
    """Tell whether a fault is one of some chunks, and others can be read."""
    return not isinstance(error, OF_THE_STORE)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
