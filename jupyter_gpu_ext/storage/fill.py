"""From a stream of chunks to a buffer: nothing missing, nothing too much, never without an end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np

from jupyter_gpu_ext.storage.faults import BrokenOffError, OverlongError
from jupyter_gpu_ext.storage.traffic import TRAFFIC

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from typing import Any

# Each chunk wakes the loop up, which costs 0.1 ms; long ones are held by the client until they are whole.
_LEAST_CHUNK_BYTES, _MOST_CHUNK_BYTES = 256 << 10, 1 << 20
_HELD_BYTES = 16 << 20
# The clients end a read of which nothing comes after 15 s; this ends one that drips: below 17 kB/s.
CHUNK_SECONDS = 60


class _Streams:
    """How many are being read; counted on the I/O loop."""

    open = 0


def chunk_bytes() -> int:
    """Return what a client shall hand over at a time: much while few streams are read, little memory for many."""
    return min(max(_HELD_BYTES // (2 * max(1, _Streams.open)), _LEAST_CHUNK_BYTES), _MOST_CHUNK_BYTES)


async def fill(chunks: AsyncIterable[Any], out: memoryview) -> None:
    """Copy `chunks` to `out`.

    Raises
    ------
    BrokenOffError
        When they end, fail or stall before `out` is full; says how much of it is.
    OverlongError
        When more come than `out` holds.
    """
    done, tap, into = 0, _Tap(chunks), np.frombuffer(out, np.uint8)
    # A socket closes with its stream, and a traceback must not keep that alive.
    del chunks
    _Streams.open += 1
    try:
        while (chunk := await tap.next()) is not None:
            data = np.frombuffer(chunk, np.uint8)
            if done + len(data) > len(out):
                raise OverlongError
            # Unlike a slice of a memoryview, numpy lets other threads run meanwhile.
            np.copyto(into[done : done + len(data)], data)
            done += len(data)
            TRAFFIC.received_bytes += len(data)
    except OverlongError:
        raise
    except Exception as error:
        raise BrokenOffError(done) from error
    finally:
        _Streams.open -= 1
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
