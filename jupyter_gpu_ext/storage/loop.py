"""One I/O loop thread a process: clients live on it, callers await it or block on it.

A blocking caller can always be interrupted: the wait ends, the task is cancelled, its sockets close.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from concurrent.futures import Future, wait
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.storage.traffic import WAITING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable

T = TypeVar("T")

# How long an interrupted caller waits for its task to clean up before it goes on without it.
_CANCEL_SECONDS = 0.5
_TICK_SECONDS = 0.2


class _Job(Generic[T]):
    """Work that can be stopped whether or not it has begun."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.ended = threading.Event()
        self._work = work
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False

    async def run(self) -> T:
        self._task = asyncio.current_task()
        try:
            if self._stopped:
                self._work.close()
                raise asyncio.CancelledError
            return await _plainly(self._work)
        finally:
            self.ended.set()

    def stop(self) -> None:
        """Cancel the work; to be called on the loop."""
        self._stopped = True
        if self._task is None:
            self.ended.set()
        else:
            self._task.cancel()


async def _plainly(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    except GpuExtError as error:
        # It says all itself. Its frames hold what the client raised, which some tracebacks show, and its buffers.
        error.__context__ = None
        raise error.with_traceback(None) from None


class IOLoop:
    """An asyncio loop on a daemon thread that starts with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` on the loop and return its future; cancelling the future cancels the task."""
        return asyncio.run_coroutine_threadsafe(work, self._running())

    def run(self, work: Coroutine[Any, Any, T], tick: Callable[[], None] | None = None) -> T:
        """Run `work` to its end, blocking the caller.

        Parameters
        ----------
        work : coroutine
        tick : callable, optional
            Called in the caller's thread five times a second while it waits.

        Raises
        ------
        KeyboardInterrupt
            At once when the caller is interrupted; `work` is cancelled first.
        """
        if threading.current_thread().name == _THREAD_NAME:
            work.close()
            raise RuntimeError("a blocking call on the I/O loop would wait for itself")
        with WAITING.counted():
            return self._block_on(work, tick)

    def _block_on(self, work: Coroutine[Any, Any, T], tick: Callable[[], None] | None) -> T:
        job = _Job(work)
        try:
            # An interrupt may fall into this very line, when the work runs but its future is not here yet.
            future = self.submit(job.run())
            while tick is not None and not wait([future], timeout=_TICK_SECONDS).done:
                tick()
            return future.result()
        except BaseException:
            self._running().call_soon_threadsafe(job.stop)
            job.ended.wait(_CANCEL_SECONDS)
            raise

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` from another event loop; cancelling the caller cancels it."""
        return await asyncio.wrap_future(self.submit(_plainly(work)))

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name=_THREAD_NAME, daemon=True).start()
            return self._loop


async def ahead(work: Iterable[Coroutine[Any, Any, T]], count: int) -> AsyncIterator[T]:
    """Yield the results of `work` in order, `count` of them under way at a time; none outlives the caller."""
    todo, running = iter(work), deque[asyncio.Task[T]]()
    try:
        while True:
            running.extend(asyncio.ensure_future(one) for one in islice(todo, count - len(running)))
            if not running:
                return
            yield await running[0]
            running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


_THREAD_NAME = "jupyter-gpu-ext-io"
LOOP = IOLoop()


def _forget_after_fork() -> None:
    # The thread did not survive the fork; the child gets a loop of its own, never the parent's sockets.
    LOOP.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_forget_after_fork)
