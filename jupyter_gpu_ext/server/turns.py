"""What answers may hold in memory together: who asks beyond that waits a moment, then is told to ask again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BusyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MOST_BYTES = 1 << 30
_MOST_ANSWERS = 16
_MOST_WAITING = 32
_WAIT_SECONDS = 10.0


class Turns:
    """Turns of one event loop.

    Parameters
    ----------
    most_bytes, most_answers : int
        Held at a time; one answer may be larger, and then comes alone.
    most_waiting : int
        Who comes when so many wait is refused at once.
    """

    def __init__(
        self,
        *,
        most_bytes: int = _MOST_BYTES,
        most_answers: int = _MOST_ANSWERS,
        most_waiting: int = _MOST_WAITING,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self._free_bytes = self._most_bytes = most_bytes
        self._free_answers = most_answers
        self._most_waiting = most_waiting
        self._wait_seconds = wait_seconds
        self._waiting = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold that many bytes.

        Raises
        ------
        BusyError
            When too many wait already, or nothing became free.
        """
        size = min(size_bytes, self._most_bytes)
        await self._wait(size)
        self._free_bytes -= size
        self._free_answers -= 1
        try:
            yield
        finally:
            self._free_bytes += size
            self._free_answers += 1
            async with self._changed:
                self._changed.notify_all()

    async def _wait(self, size: int) -> None:
        def free() -> bool:
            return self._free_answers > 0 and self._free_bytes >= size

        if not free() and self._waiting >= self._most_waiting:
            raise _busy()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds), self._changed:
                await self._changed.wait_for(free)
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1


def _busy() -> BusyError:
    return BusyError("Too many values are being read at once.", hint="Ask again in a moment.")
