"""From a stream of chunks to a buffer: nothing missing, nothing too much, never without an end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.faults import BrokenOffError, OverlongError
from jupyter_gpu_ext.storage.traffic import TRAFFIC

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from typing import Any

# About what the client receives at a time: larger chunks would be put together by one more copy.
CHUNK_BYTES = 256 << 10
# The clients end a read of which nothing comes after 15 s; this ends one that drips: below 17 kB/s.
CHUNK_SECONDS = 60


async def fill(chunks: AsyncIterable[Any], out: memoryview) -> None:
    """Copy `chunks` to `out`.

    Raises
    ------
    BrokenOffError
        When they end, fail or stall before `out` is full; says how much of it is.
    OverlongError
        When more come than `out` holds.
    """
    done, tap = 0, _Tap(chunks)
    # A socket closes with its stream, and a traceback must not keep that alive.
    del chunks
    try:
        while (chunk := await tap.next()) is not None:
            view = memoryview(chunk).cast("B")
            if done + len(view) > len(out):
                raise OverlongError
            out[done : done + len(view)] = view
            done += len(view)
            TRAFFIC.received_bytes += len(view)
    except OverlongError:
        raise
    except Exception as error:
        raise BrokenOffError(done) from error
    finally:
        tap.close()
    if done < len(out):
        raise BrokenOffError(done)


class _Tap:
    """The only holder of a stream."""

    def __init__(self, chunks: AsyncIterable[Any]) -> None:
        self._stream: AsyncIterator[Any] | None = aiter(chunks)

    async def next(self) -> Any:
        """Return the next chunk, None at the end."""
        assert self._stream is not None  # noqa: S101 -- closed once, at the end
        try:
            async with asyncio.timeout(CHUNK_SECONDS):
                return await anext(self._stream)
        except StopAsyncIteration:
            return None

    def close(self) -> None:
        """Let the stream go."""
        self._stream = None
