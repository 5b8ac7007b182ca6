"""Read the parts of an epoch ahead of who uses them: on the I/O loop, decoded in threads, bounded by bytes."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np

from jupyter_gpu_ext.datasets.memory import Memory, Pool
from jupyter_gpu_ext.errors import OF_THE_STORE, GpuExtError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.traffic import WAITING
from jupyter_gpu_ext.tensors.arrays import IN_FLIGHT_BYTES, Means, Reading
from jupyter_gpu_ext.tensors.busy import Busy
from jupyter_gpu_ext.tensors.placing import Decoder, Keeping, Placing, is_as_stored
from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan, check_unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.hot import Hot
    from jupyter_gpu_ext.datasets.shard import Part
    from jupyter_gpu_ext.datasets.source import Source
    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.placing import Place

# Of a stream's memory, what stored and half-decoded chunks may take, as large as they can be; none where they are the
# parts themselves. Each chunk that is under way has room in a part as well, beside the parts that are shuffled.
_FLIGHT_SHARE = 3 / 8
# A smaller chunk may keep alive more than itself of what the network brought.
_KEPT_BYTES = 64 << 10


class Holding(Protocol):
    """A part in memory, of whatever it is a part."""

    @property
    def buffers(self) -> Sequence[NDArray[np.uint8]]:
        """What it takes."""


H = TypeVar("H", bound=Holding)
Piece = Callable[[], Awaitable[None]]


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


@dataclass(slots=True, kw_only=True, eq=False)
class _Coming(Generic[H]):
    """A part that is being read, and how many of its pieces are still to come."""

    number: int
    held: H
    size_bytes: int
    left: int
    error: GpuExtError | None = None


class Engine(Generic[H]):
    """Reads parts in their order and keeps each until it is released; used by one thread at a time.

    What a part is, and how it is read, its subclasses say: `_size`, `_taken`, and what is around all of them.

    Parameters
    ----------
    parts : mapping of int to Part
        By number, in the order in which they are read.
    memory_bytes : int
        What parts may take. One that is needed now is read even where it takes more.
    hot : Hot
        What stays for later epochs, beside that.

    Attributes
    ----------
    wait_seconds : float
        How long the caller waited for parts.
    most_held_bytes : int
        Of decoded parts, so far.
    decoded_bytes : int
        Of parts, so far.
    kept_bytes : int
        Of parts that an earlier epoch had read, so far.
    chunk_bytes : int
        Of the chunks or files that were asked for, whole.
    decoding : Busy
        While something is decoded.
    """

    _memory_kind: ClassVar[type[Memory]] = Memory
    _turn: asyncio.Semaphore

    def __init__(self, parts: Mapping[int, Part], *, memory_bytes: int, hot: Hot) -> None:
        self.wait_seconds = 0.0
        self.most_held_bytes = 0
        self.decoded_bytes = 0
        self.kept_bytes = 0
        self.chunk_bytes = 0
        self.decoding = Busy()
        self._parts = parts
        self._hot = hot
        self._most_bytes = memory_bytes
        self._memory = self._memory_kind(self._most_bytes)
        self._needed = -1
        # The one that the caller waits for now: who waits is woken for that, and for no other.
        self._awaited = -1
        self._came: dict[int, H | Exception] = {}
        self._changed = threading.Condition()
        self._ended = False
        # What was released, and whether its memory is somebody else's now.
        self._released = deque[tuple[H, bool]]()
        self._room: asyncio.Event | None = None
        self._full = False
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
                self._needed = max(self._needed, number)
                self._awaited = number
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
        """Let go of a part: its memory is used for others, or it stays for a later epoch."""
        found, part = self._came.pop(number), self._parts[number]
        if isinstance(found, Exception) or found is self._hot.get(part):
            return
        self._released.append((found, self._hot.keep(part, found)))
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
            # Once for all that is released until they have looked.
            self._full = False
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
        self._begin()
        try:
            async with asyncio.TaskGroup() as group:
                for number, part in self._parts.items():
                    if (kept := self._hot.get(part)) is not None:
                        self.kept_bytes += self._size(part)
                        self._tell(number, kept)
                        continue
                    await self._wait_for_room(number, part)
                    held, pieces = self._taken(part)
                    self.most_held_bytes = max(self.most_held_bytes, self._memory.held_bytes)
                    coming = _Coming(number=number, held=held, size_bytes=self._size(part), left=len(pieces))
                    if not pieces:
                        self._arrived(coming)
                    for piece in pieces:
                        await self._turn.acquire()
                        group.create_task(self._read(coming, piece))
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
        while not self._has_room(number, size):
            self._room.clear()
            self._full = True
            # Who released something just now has not seen that somebody waits for it.
            if not self._has_room(number, size):
                await self._room.wait()
        self._full = False

    def _has_room(self, number: int, size_bytes: int) -> bool:
        while self._released:
            found, stays = self._released.popleft()
            (self._memory.let_go if stays else self._memory.give_back)(found.buffers)
        held = self._memory.held_bytes
        return self._needed >= number or not held or held + size_bytes <= self._most_bytes

    async def _read(self, coming: _Coming[H], piece: Piece) -> None:
        try:
            if coming.error is None:
                await piece()
        except GpuExtError as error:
            # Its frames hold buffers, and what the client raised.
            error.__context__ = None
            coming.error = coming.error or error.with_traceback(None)
        finally:
            self._turn.release()
        coming.left -= 1
        if not coming.left:
            self._arrived(coming)

    def _arrived(self, coming: _Coming[H]) -> None:
        if coming.error is None:
            self.decoded_bytes += coming.size_bytes
        else:
            self._memory.give_back(coming.held.buffers)
        self._tell(coming.number, coming.error or coming.held)

    def _tell(self, number: int, found: H | Exception) -> None:
        with self._changed:
            self._came[number] = found
            if number == self._awaited:
                self._changed.notify_all()

    def _begin(self) -> None:
        """Make what the reads share, `_turn` among it: how many of them are under way at a time."""

    async def _check(self) -> None:
        """Look whether all was of one version, after the last read."""

    def _end(self) -> None:
        """Let go of what the reads shared."""

    def _size(self, part: Part) -> int:
        """Return what a part takes, in bytes."""
        raise NotImplementedError

    def _taken(self, part: Part) -> tuple[H, Sequence[Piece]]:
        """Take room for a part; return it with the reads that fill it."""
        raise NotImplementedError


class ZarrEngine(Engine[Held]):
    """Reads parts of the arrays of a store.

    Parameters
    ----------
    source : Source
    memory_bytes : int
        What parts and reads may take together.
    """

    _memory_kind = Pool
    _means: Means

    def __init__(self, source: Source, parts: Mapping[int, Part], *, memory_bytes: int, hot: Hot) -> None:
        self._source = source
        self._decoders = {name: Decoder(one) for name, one in source.arrays.items()}
        self._progress = Progress(total_bytes=0)
        self._entry_bytes = source.entry_bytes
        self._flight_bytes = 0 if self._keeps_all(parts) else min(IN_FLIGHT_BYTES, int(memory_bytes * _FLIGHT_SHARE))
        super().__init__(parts, memory_bytes=memory_bytes - self._flight_bytes, hot=hot)

    def _begin(self) -> None:
        sharded = any(one.array.index is not None for one in self._source.arrays.values())
        self._means = Means(self._source.node.objects, self._flight_bytes, sharded=sharded)
        self.decoding, self._turn = self._means.decoding, self._means.turn

    async def _check(self) -> None:
        await check_unchanged(ZarrPlan(self._source.node, self._source.arrays))

    def _end(self) -> None:
        self._means.close()

    def _size(self, part: Part) -> int:
        start, stop = self._entries(part)
        return (stop - start) * self._entry_bytes

    def _entries(self, part: Part) -> tuple[int, int]:
        return self._source.blocks.windows.entries(part.first, part.stop)

    def _taken(self, part: Part) -> tuple[Held, list[Piece]]:
        start, stop = self._entries(part)
        held, pieces = Held(start=start, arrays={}, buffers=[]), list[Piece]()
        for name in self._source.arrays:
            plan = self._source.part(name, start, stop)
            place = self._place(name, plan, held)
            reading = Reading(self._source.node.objects, plan, place, self._progress, self._means)
            pieces += [partial(reading.object, one) for one in plan.objects]
            self.chunk_bytes += plan.chunk_count * plan.array.chunk_bytes
        return held, pieces

    def _place(self, name: str, plan: ArrayPlan, held: Held) -> Place:
        """Take memory for the entries of an array, or for the chunk itself where it is all of them."""
        decoder, at = self._decoders[name], self._axis(name, plan)
        size = math.prod(plan.shape) * plan.numpy_dtype.itemsize
        if self._keeps(name, plan):
            held.buffers.append(self._memory.promise(size))
            return Keeping(decoder, partial(held.arrays.__setitem__, name))
        held.buffers.append(self._memory.take(size))
        shape = (plan.shape[at], *plan.shape[:at], *plan.shape[at + 1 :])
        out = held.arrays[name] = held.buffers[-1][:size].view(plan.numpy_dtype).reshape(shape)
        return Placing(decoder, np.moveaxis(out, 0, at) if at else out)

    def _keeps(self, name: str, plan: ArrayPlan) -> bool:
        """Tell whether a part of an array is a chunk that can be held as it comes."""
        fits = plan.array.chunk_bytes >= _KEPT_BYTES and not self._axis(name, plan)
        return fits and is_as_stored(self._decoders[name], plan)

    def _keeps_all(self, parts: Mapping[int, Part]) -> bool:
        """Tell whether nothing is decoded, but for what lies at edges: the first part tells."""
        first = next(iter(parts.values()), None)
        plans = {name: self._source.part(name, *self._entries(first)) for name in self._source.arrays} if first else {}
        return all(self._keeps(name, plan) for name, plan in plans.items())

    def _axis(self, name: str, plan: ArrayPlan) -> int:
        """Return the place of the sample axis in the result, among those that are left."""
        place = self._source.places[name]
        return place - sum(one.dropped for one in plan.axes[:place])


def is_of_one_part(error: GpuExtError) -> bool:
    """Tell whether a fault is one of some chunks, and others can be read."""
    return not isinstance(error, OF_THE_STORE)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
