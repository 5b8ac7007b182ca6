"""Work that ends when nobody waits for it any more: the browser asks for something else."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from tornado.iostream import StreamClosedError

from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.storage.loop import LOOP

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class WaitingHandler(Handler):
    """A handler whose work on the I/O loop is cancelled with the request."""

    _reading: asyncio.Future[Any] | None = None
    _gone = False

    def on_connection_close(self) -> None:
        """Stop the read."""
        super().on_connection_close()
        self._gone = True
        if self._reading is not None:
            self._reading.cancel()

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work on the I/O loop as long as the browser waits for it.

        Raises
        ------
        StreamClosedError
            When it does not any more.
        """
        if self._gone:
            work.close()
            raise StreamClosedError
        self._reading = asyncio.ensure_future(LOOP.call(work))
        try:
            found: T = await self._reading
        except asyncio.CancelledError:
            if self._gone:
                raise StreamClosedError from None
            raise
        finally:
            self._reading = None
            if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                # It was stopped before it began.
                work.close()
        return found
