"""How many bytes the reads of one load may hold at a time: room is given in the order in which it was asked for."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Budget:
    """Bytes that may be held at a time; who asks for more than all of them waits until all are free."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._free = most_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Hold so many bytes for the block, all of them where it asks for more."""
        size = min(size_bytes, self._most)
        if self._waiting or self._free < size:
            await self._queue(size)
        else:
            self._free -= size
        try:
            yield
        finally:
            self._free += size
            self._admit()

    async def _queue(self, size: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The room was given and is not taken.
                self._free += size
            self._admit()
            raise

    def _admit(self) -> None:
        """Give room in the order in which it was asked for."""
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self._free):
            size, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._free -= size
