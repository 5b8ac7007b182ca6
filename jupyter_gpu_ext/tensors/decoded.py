"""Storages that do not lie in an object as they are: deflated ones, and big-endian ones, as sources of their own."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from typing import TYPE_CHECKING

import numpy as np

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.storage.retry import Tally
from jupyter_gpu_ext.tensors.models import Stored

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.models import Version
    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.models import Encoding, TensorFile

_PIECE_BYTES = 4 << 20


class Decoded:
    """The bytes of one storage, as a load wants them; the reader below counts what they cost.

    Parameters
    ----------
    reader : Reader
        The object.
    stored : Stored
        Where and how the storage lies in it.
    """

    requests = 0
    bytes_read = 0
    bytes_cached = 0
    notice = ""

    def __init__(self, reader: Reader, stored: Stored, encoding: Encoding) -> None:
        self.tally = Tally()
        self._reader = reader
        self._stored = stored
        self._encoding = encoding
        self._lock = asyncio.Lock()
        self._unpacked: bytearray | None = None
        self._left = encoding.size_bytes

    @property
    def version(self) -> Version:
        """The version of the object below."""
        return self._reader.version

    @property
    def unpacked_bytes(self) -> int:
        """What is unpacked, and held, for the first of its bytes; 0 where ranges can be read."""
        return self._encoding.skip_bytes + self._encoding.size_bytes if self._encoding.deflated else 0

    def anew(self) -> Decoded:
        """Return the same bytes with nothing unpacked yet."""
        return Decoded(self._reader, self._stored, self._encoding)

    async def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the decoded bytes from `start` on.

        Raises
        ------
        TensorFormatError
            When what is packed does not unpack to what the archive says.
        """
        if self._encoding.deflated:
            await self._from_unpacked(start, out)
        else:
            await self._swapped(start, out)

    async def _swapped(self, start: int, out: memoryview) -> None:
        item = self._encoding.item_bytes
        # Ranges are cut anywhere, numbers are turned round whole.
        first = start - start % item
        data = bytearray(-(-(start + len(out)) // item) * item - first)
        await self._reader.read_into(self._stored.start + first, memoryview(data))
        await asyncio.to_thread(_turn, data, item)
        out[:] = memoryview(data)[start - first :][: len(out)]

    async def _from_unpacked(self, start: int, out: memoryview) -> None:
        async with self._lock:
            if self._unpacked is None:
                self._unpacked = await self._unpack()
            out[:] = memoryview(self._unpacked)[start : start + len(out)]
            self._left -= len(out)
            if self._left <= 0:
                self._unpacked = None

    async def _unpack(self) -> bytearray:
        made, total = bytearray(), self._encoding.skip_bytes + self._encoding.size_bytes
        inflate, crc = zlib.decompressobj(-15), 0

        def step(packed: bytes | bytearray) -> None:
            nonlocal crc
            # One byte more than there should be, so that it shows.
            piece = inflate.decompress(packed, total - len(made) + 1)
            crc = zlib.crc32(piece, crc)
            made.extend(piece)

        at = self._stored.start
        try:
            while at < self._stored.stop and len(made) <= total:
                packed = bytearray(min(_PIECE_BYTES, self._stored.stop - at))
                await self._reader.read_into(at, memoryview(packed))
                await asyncio.to_thread(step, packed)
                at += len(packed)
        except zlib.error:
            inflate, made = zlib.decompressobj(-15), bytearray()
        if len(made) != total or not inflate.eof or crc != self._stored.crc32:
            raise TensorFormatError(
                f"{self._reader.shown}: a deflated array does not unpack to what the archive says.",
                hint="The file is damaged; write or copy it again.",
            )
        del made[: self._encoding.skip_bytes]
        if self._encoding.item_bytes > 1:
            await asyncio.to_thread(_turn, made, self._encoding.item_bytes)
        return made


def _turn(data: bytearray, item_bytes: int) -> None:
    np.frombuffer(data, np.dtype(f"u{item_bytes}")).byteswap(inplace=True)


def with_sources(file: TensorFile, readers: tuple[Reader, ...]) -> tuple[TensorFile, tuple[Reader | Decoded, ...]]:
    """Return the file with each encoded storage in a source of its own, and all the sources."""
    sources: list[Reader | Decoded] = [*readers]
    storages = dict(file.storages)
    for key, stored in file.storages.items():
        if stored.encoding is not None:
            storages[key] = Stored(0, stored.encoding.size_bytes, source=len(sources))
            sources.append(Decoded(readers[stored.source], stored, stored.encoding))
    return dataclasses.replace(file, storages=storages), tuple(sources)
