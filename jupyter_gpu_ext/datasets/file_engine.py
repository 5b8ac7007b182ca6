"""Fetch files ahead of who uses them, several at a time, bounded by bytes; and threads that decode them."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from jupyter_gpu_ext.datasets.engine import Engine
from jupyter_gpu_ext.storage.ranges import split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.engine import Piece
    from jupyter_gpu_ext.datasets.file_source import FileSource
    from jupyter_gpu_ext.datasets.hot import Hot
    from jupyter_gpu_ext.datasets.shard import Part
    from jupyter_gpu_ext.storage.ranges import ByteRange

_PIECE_BYTES = 8 << 20
_FAR_READERS, _NEAR_READERS = 64, 8
_DECODERS = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldBytes:
    """A part in memory, which the engine takes back when it is released.

    Attributes
    ----------
    number : int
        The object's.
    span : ByteRange
        Where in it the bytes lie.
    """

    number: int
    span: ByteRange
    data: memoryview
    buffers: Sequence[NDArray[np.uint8]]


class FileEngine(Engine[HeldBytes]):
    """Reads parts of files: each is one range of one object.

    Parameters
    ----------
    source : FileSource
    workers : int
        How many processes decode here, this one included.

    Attributes
    ----------
    pool : ThreadPoolExecutor
        For who decodes.
    decoders : int
        Its threads.
    """

    def __init__(
        self, source: FileSource, parts: Mapping[int, Part], *, memory_bytes: int, hot: Hot, workers: int = 1
    ) -> None:
        self._source = source
        self.decoders = max(1, min(_DECODERS, len(os.sched_getaffinity(0)) // workers))
        self.pool = ThreadPoolExecutor(self.decoders, "jupyter-gpu-ext-decode")
        self._turn = asyncio.Semaphore(_NEAR_READERS if source.objects.near else _FAR_READERS)
        # The rest is for what is decoded ahead.
        super().__init__(parts, memory_bytes=memory_bytes - memory_bytes // 4, hot=hot)

    def is_here(self, number: int) -> bool:
        """Tell whether a part can be had without a wait."""
        return number in self._came

    def close(self) -> None:
        """End all reads and the threads."""
        # Whoever is at work there has what it works on.
        self.pool.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _size(self, part: Part) -> int:
        return self._source.span(part.first, part.stop).size_bytes

    def _taken(self, part: Part) -> tuple[HeldBytes, list[Piece]]:
        span = self._source.span(part.first, part.stop)
        buffer = self._memory.take(span.size_bytes)
        number = self._source.object_of(part.first)
        held = HeldBytes(number=number, span=span, data=buffer.data[: span.size_bytes], buffers=[buffer])
        self.chunk_bytes += span.size_bytes
        ranges = split([span], most_bytes=_PIECE_BYTES) if span.size_bytes else []
        return held, [partial(self._range, held, one) for one in ranges]

    async def _range(self, held: HeldBytes, wanted: ByteRange) -> None:
        source, begin = self._source, held.span.start
        out = held.data[wanted.start - begin : wanted.stop - begin]
        key, version = source.listing.keys[held.number], source.version(held.number)
        await source.objects.read_into(key, version, wanted.start, out)
