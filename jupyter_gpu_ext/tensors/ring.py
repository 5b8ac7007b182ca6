"""Host buffers that are used again: one is lent for a range, and comes back when its copy is done."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from jupyter_gpu_ext.tensors.copies import Event


@dataclass(slots=True, eq=False)
class Buffer:
    """Host memory for one range.

    Attributes
    ----------
    tensor, memory : torch.Tensor, memoryview
        The same bytes.
    events : list of Event
        After them the bytes are needed no more.
    """

    tensor: torch.Tensor
    memory: memoryview
    events: list[Event] = field(default_factory=list)


class Ring:
    """At most `count` buffers, made when they are first needed; lives on the I/O loop.

    Parameters
    ----------
    buffer_bytes : int
        Length of each; the longest range.
    count : int
        How many there may be.
    host_buffer : callable
        Makes one of that length: what can be copied from, and its bytes.
    """

    def __init__(
        self, *, buffer_bytes: int, count: int, host_buffer: Callable[[int], tuple[torch.Tensor, memoryview]]
    ) -> None:
        self._buffer_bytes = buffer_bytes
        self._left = count
        self._host_buffer = host_buffer
        self._back: deque[Buffer] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def lend(self) -> Buffer:
        """Return a buffer that nobody reads any more; waits for one when all are out."""
        while not self._back and not self._left:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        if not self._back:
            self._left -= 1
            return await asyncio.to_thread(self._make)
        # The oldest copy is the first to be done.
        buffer = self._back.popleft()
        while buffer.events:
            await asyncio.to_thread(buffer.events.pop().synchronize)
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """Take a buffer back; its bytes are needed until its events are over."""
        self._back.append(buffer)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _make(self) -> Buffer:
        return Buffer(*self._host_buffer(self._buffer_bytes))
