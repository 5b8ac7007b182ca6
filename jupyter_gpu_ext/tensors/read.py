"""Execute a plan: ranges side by side, each byte copied at most once on the host, few bytes in flight."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

from jupyter_gpu_ext.storage.traffic import TRAFFIC
from jupyter_gpu_ext.tensors.pace import FIRST, Pace
from jupyter_gpu_ext.tensors.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_gpu_ext.storage.progress import Progress
    from jupyter_gpu_ext.tensors.assembly import Assembly
    from jupyter_gpu_ext.tensors.plan import Fetch

T = TypeVar("T")

_LOOK_SECONDS = 0.05
# What the client holds of a range that is received where it stays.
_STRAIGHT_BYTES = 2 << 20


class Source(Protocol):
    """A pinned object."""

    async def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on."""


async def read_plan(sources: Sequence[Source], assembly: Assembly, progress: Progress, *, ring_bytes: int) -> None:
    """Bring a plan's bytes to their storages.

    Parameters
    ----------
    sources : sequence of Source
        The objects that the plan's fetches name.
    progress : Progress
        Counts the bytes as they land.
    ring_bytes : int
        What host memory may hold beside the tensors.

    Raises
    ------
    GpuExtError
        The first fault; the ranges still in flight are cancelled, and no copy is under way any more.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="jupyter-gpu-ext-copy") as thread:
        try:
            await _Run(sources, assembly, progress, thread, ring_bytes=ring_bytes).all()
        finally:
            # Buffers and rooms are let go after this, which no copy may outlive.
            thread.submit(assembly.close).result()


class _Run:
    def __init__(
        self,
        sources: Sequence[Source],
        assembly: Assembly,
        progress: Progress,
        thread: ThreadPoolExecutor,
        *,
        ring_bytes: int,
    ) -> None:
        self._sources = sources
        self._assembly = assembly
        self._progress = progress
        self._thread = thread
        self._todo = assembly.todo
        by_buffer = [one.range.size_bytes for one in self._todo if not assembly.goes_straight(one)]
        longest = max(by_buffer, default=1)
        # Page-locked buffers are all that is held for a device; elsewhere what the client holds counts, too.
        count = max(2, ring_bytes // (longest if assembly.pins else longest + 2 * _STRAIGHT_BYTES))
        self._ring = Ring(buffer_bytes=longest, count=count, host_buffer=assembly.host_buffer)
        self._pace = Pace(count if assembly.pins else max(FIRST, ring_bytes // _STRAIGHT_BYTES))
        self._busy = 0
        self._turn = asyncio.Event()

    async def all(self) -> None:
        """Fetch everything, in the plan's order, as many ranges at a time as the pace says."""
        await self._on_thread(self._assembly.begin)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch())
                running = []
                for one in self._todo:
                    await self._admit()
                    running.append(group.create_task(self._fetch(one)))
                await asyncio.gather(*running)
                watch.cancel()
        except BaseExceptionGroup as error:
            raise error.exceptions[0] from None

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _admit(self) -> None:
        while self._busy >= self._pace.width:
            self._turn.clear()
            await self._turn.wait()
        self._busy += 1

    async def _fetch(self, fetch: Fetch) -> None:
        try:
            await (self._straight(fetch) if self._assembly.goes_straight(fetch) else self._by_buffer(fetch))
        finally:
            self._busy -= 1
            self._turn.set()
        self._progress.done_bytes += fetch.range.size_bytes

    async def _straight(self, fetch: Fetch) -> None:
        memory = await self._on_thread(lambda: self._assembly.memory(fetch))
        with self._assembly.stages.timed("network"):
            await self._sources[fetch.source].read_into(fetch.range.start, memory)
        with self._assembly.stages.timed("landing"):
            await self._on_thread(lambda: self._assembly.arrived(fetch, memory))

    async def _by_buffer(self, fetch: Fetch) -> None:
        stages = self._assembly.stages
        with stages.timed("buffer"):
            buffer = await self._ring.lend()
        try:
            memory = buffer.memory[: fetch.range.size_bytes]
            with stages.timed("network"):
                await self._sources[fetch.source].read_into(fetch.range.start, memory)
            with stages.timed("landing"):
                buffer.events = await self._on_thread(lambda: self._assembly.take(fetch, buffer))
        finally:
            self._ring.give_back(buffer)

    async def _watch(self) -> None:
        seen, at = TRAFFIC.received_bytes, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now, received = time.monotonic(), TRAFFIC.received_bytes
            self._pace.observe((received - seen) / (now - at))
            seen, at = received, now
            self._turn.set()
