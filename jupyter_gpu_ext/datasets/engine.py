"""Read the parts of an epoch ahead of who uses them: on the I/O loop, decoded in threads, bounded by bytes."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from jupyter_gpu_ext.errors import (
    ExpiredError,
    GpuExtError,
    NoCredentialError,
    StorageTimeoutError,
    UnauthenticatedError,
    UnreachableError,
    UntrustedError,
)
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.traffic import WAITING
from jupyter_gpu_ext.tensors.arrays import IN_FLIGHT_BYTES, Decoder, Means, Reading
from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan, check_unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.shard import Part
    from jupyter_gpu_ext.datasets.source import Source
    from jupyter_gpu_ext.tensors.chunks import ObjectRead

# Of a stream's memory, what stored and half-decoded chunks may take.
_FLIGHT_SHARE = 4
# Memory that is taken at a time, at least: a page that nobody had costs as much as to read it.
_PIECE_BYTES = 16 << 20
_MOST_BUFFERS = 64
_LINE_BYTES = 64
# Not of one chunk but of all of them: what comes next would fail as well.
_OF_THE_STORE = (
    UnreachableError, UntrustedError, StorageTimeoutError, NoCredentialError, ExpiredError, UnauthenticatedError
)  # fmt: skip


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
    """Host buffers that are used again; lives on the I/O loop."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        # By their size, of which there are few.
        self._free = defaultdict[int, list["NDArray[np.uint8]"]](list)
        self._free_bytes = 0
        self.held_bytes = 0

    def take(self, size_bytes: int) -> NDArray[np.uint8]:
        # Whoever has it next may have other elements: each begins where any of them may.
        size_bytes = max(1, -(-size_bytes // _LINE_BYTES)) * _LINE_BYTES
        fitting = [size for size, some in self._free.items() if some and size_bytes <= size <= 2 * size_bytes]
        if fitting:
            buffer = self._free[min(fitting)].pop()
            self._free_bytes -= buffer.nbytes
        else:
            buffer = self._more(size_bytes)
        self.held_bytes += buffer.nbytes
        return buffer

    def _more(self, size_bytes: int) -> NDArray[np.uint8]:
        """Return new memory, and keep more of it: small buffers lie in one piece, of huge pages where there are any."""
        count = min(_MOST_BUFFERS, max(1, min(_PIECE_BYTES, self._most // 4) // size_bytes))
        piece = list(np.empty((count, size_bytes), np.uint8))
        self._free[size_bytes].extend(piece[1:])
        self._free_bytes += (count - 1) * size_bytes
        return piece[0]

    def give_back(self, buffers: Sequence[NDArray[np.uint8]]) -> None:
        for one in buffers:
            self.held_bytes -= one.nbytes
            self._free[one.nbytes].append(one)
            self._free_bytes += one.nbytes
        while self._free_bytes and self.held_bytes + self._free_bytes > self._most:
            self._free_bytes -= next(some for some in self._free.values() if some).pop().nbytes


@dataclass(slots=True, kw_only=True, eq=False)
class _Coming:
    """A part whose objects are being read."""

    number: int
    held: Held
    left: int
    error: GpuExtError | None = None


class Engine:
    """Reads parts in their order and keeps each until it is released; used by one thread at a time.

    Parameters
    ----------
    source : Source
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
    """

    def __init__(self, source: Source, parts: Mapping[int, Part], *, memory_bytes: int) -> None:
        self.wait_seconds = 0.0
        self.most_held_bytes = 0
        self.decoded_bytes = 0
        flight = min(IN_FLIGHT_BYTES, memory_bytes // _FLIGHT_SHARE)
        self._source = source
        self._parts = parts
        self._flight_bytes = flight
        self._most_bytes = memory_bytes - flight
        self._memory = _Memory(self._most_bytes)
        self._decoders = {name: Decoder(one) for name, one in source.arrays.items()}
        self._progress = Progress(total_bytes=0)
        self._needed = -1
        self._came: dict[int, Held | Exception] = {}
        self._changed = threading.Condition()
        self._ended = False
        self._released = deque[Held]()
        self._room: asyncio.Event | None = None
        self._full = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._task: asyncio.Task[Any] | None = None
        self._running: Future[None] = LOOP.submit(self._read_all())

    def part(self, number: int) -> Held:
        """Return a part, once it is there; an interrupt ends the wait at once.

        Raises
        ------
        GpuExtError
            Why it could not be read.
        """
        begun = time.monotonic()
        try:
            with WAITING.counted(), self._changed:
                self._needed = max(self._needed, number)
                self._look_for_room()
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
        if isinstance(found, Held):
            self._released.append(found)
            self._look_for_room()

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

    def _look_for_room(self) -> None:
        """Have the reads look at whether they may go on, where they wait; to wake the loop up has its price."""
        if self._full and self._loop is not None and self._room is not None:
            self._loop.call_soon_threadsafe(self._room.set)

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
        node = self._source.node
        sharded = any(one.array.index is not None for one in self._source.arrays.values())
        means = Means(node.objects, self._flight_bytes, sharded=sharded)
        try:
            async with asyncio.TaskGroup() as group:
                for number, part in self._parts.items():
                    await self._wait_for_room(number, part)
                    coming, work = self._begin(number, part, means)
                    for reading, one in work:
                        await means.turn.acquire()
                        group.create_task(self._object(coming, reading, one, means))
            await check_unchanged(ZarrPlan(node, self._source.arrays))
        finally:
            means.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    async def _wait_for_room(self, number: int, part: Part) -> None:
        """Wait until the part fits, or somebody waits for it."""
        assert self._room is not None  # noqa: S101 -- made before the first part
        start, stop = self._entries(part)
        size = (stop - start) * self._source.entry_bytes
        while not self._has_room(number, size):
            self._room.clear()
            self._full = True
            # Who released something just now has not seen that somebody waits for it.
            if not self._has_room(number, size):
                await self._room.wait()
            self._full = False

    def _has_room(self, number: int, size_bytes: int) -> bool:
        while self._released:
            self._memory.give_back(self._released.popleft().buffers)
        held = self._memory.held_bytes
        return self._needed >= number or not held or held + size_bytes <= self._most_bytes

    def _entries(self, part: Part) -> tuple[int, int]:
        return self._source.blocks.windows.entries(part.first, part.stop)

    def _take(self, part: Part) -> Held:
        start, stop = self._entries(part)
        arrays, buffers = dict[str, "NDArray[Any]"](), list["NDArray[np.uint8]"]()
        for name, one in self._source.arrays.items():
            shape = (stop - start, *self._source.entry_shape(name))
            size = math.prod(shape) * one.numpy_dtype.itemsize
            buffers.append(self._memory.take(size))
            arrays[name] = buffers[-1][:size].view(one.numpy_dtype).reshape(shape)
        self.most_held_bytes = max(self.most_held_bytes, self._memory.held_bytes)
        return Held(start=start, arrays=arrays, buffers=buffers)

    def _begin(self, number: int, part: Part, means: Means) -> tuple[_Coming, list[tuple[Reading, ObjectRead]]]:
        """Return a part that is to be read, and the objects it is made of."""
        held, work = self._take(part), list[tuple["Reading", "ObjectRead"]]()
        for name, out in held.arrays.items():
            plan = self._source.part(name, *self._entries(part))
            # In the result the sample axis has its own place, among those that are left.
            place = self._source.places[name]
            at = place - sum(one.dropped for one in plan.axes[:place])
            moved = np.moveaxis(out, 0, at) if at else out
            decoder = self._decoders[name]
            reading = Reading(self._source.node.objects, plan, moved, self._progress, means, decoder=decoder)
            work += [(reading, one) for one in plan.objects]
        coming = _Coming(number=number, held=held, left=len(work))
        if not work:
            self._arrived(coming)
        return coming, work

    async def _object(self, coming: _Coming, reading: Reading, one: ObjectRead, means: Means) -> None:
        try:
            if coming.error is None:
                await reading.object(one)
        except GpuExtError as error:
            # Its frames hold buffers, and what the client raised.
            error.__context__ = None
            coming.error = coming.error or error.with_traceback(None)
        finally:
            means.turn.release()
        coming.left -= 1
        if not coming.left:
            self._arrived(coming)

    def _arrived(self, coming: _Coming) -> None:
        held = coming.held
        if coming.error is None:
            self.decoded_bytes += sum(one.nbytes for one in held.arrays.values())
        else:
            self._memory.give_back(held.buffers)
        with self._changed:
            self._came[coming.number] = coming.error or held
            self._changed.notify_all()


def is_of_one_part(error: GpuExtError) -> bool:
    """Tell whether a fault is one of some chunks, and others can be read."""
    return not isinstance(error, _OF_THE_STORE)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
