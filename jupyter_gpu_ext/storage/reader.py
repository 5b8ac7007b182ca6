"""A pinned object: every read is of the version that was opened, and is counted."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadStorageReplyError, NotFoundError, TensorFormatError
from jupyter_gpu_ext.storage import hot
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.backends import backend, locate
from jupyter_gpu_ext.storage.loop import ahead
from jupyter_gpu_ext.storage.ranges import ByteRange, split
from jupyter_gpu_ext.storage.reads import READS
from jupyter_gpu_ext.storage.retry import Tally
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jupyter_gpu_ext.storage.hot import HotVersion
    from jupyter_gpu_ext.storage.models import Version
    from jupyter_gpu_ext.storage.steady import Steady
    from jupyter_gpu_ext.storage.url import ObjectURL

# Holds the whole header of most tensor files and the directory of a small one; costs what a HEAD costs.
HEAD_BYTES = 64 * 1024
PIECE_BYTES = 8 << 20
_PIECES_AHEAD = 4


class Reader:
    """One version of one object.

    Attributes
    ----------
    url : ObjectURL
    version : Version
        Size in bytes and ETag at the time of opening.
    head : bytes
        The first bytes, which came with the version.
    bytes_read : int
        What was asked for so far.
    bytes_cached : int
        What the cache of hot data gave instead.
    hot : HotVersion or None
        The cache's share of this version, where one is used.
    tally : Tally
        What was asked for again.
    """

    def __init__(
        self, url: ObjectURL, backend: Steady, key: str, head: bytes, version: Version, *, tally: Tally | None = None,
        hot: HotVersion | None = None,
    ) -> None:  # fmt: skip
        self.url = url
        self.version = version
        self.head = head
        self.tally = tally or Tally()
        self.bytes_read = len(head)
        self.bytes_cached = 0
        self.hot = hot
        self._backend = backend
        self._key = key
        self._asked = 1

    @property
    def requests(self) -> int:
        """Requests so far, those that were repeated included."""
        return self._asked + self.tally.retries

    @property
    def notice(self) -> str:
        """A sentence while the account throttles, '' otherwise."""
        return self._backend.limiter.notice()

    @property
    def shown(self) -> str:
        """The URL for messages: on one line, a pasted signature cut out."""
        return printable(redact(str(self.url)))

    async def is_current(self) -> bool:
        """Ask storage whether it still has this version."""
        self._asked += 1
        try:
            return (await self._backend.head(self._key)).etag == self.version.etag
        except NotFoundError:
            return False

    async def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on.

        Raises
        ------
        ObjectChangedError
            When the object was replaced since it was opened; names both versions.
        """
        if self.hot is None:
            await self._fetch(start, out)
            return
        # The head is in memory: kept on disk, it would be asked for all the same.
        near = self.head[start : start + len(out)]
        out[: len(near)] = near
        if len(near) < len(out):
            found = await self.hot.read_into(start + len(near), out[len(near) :], self._fetch)
            self.bytes_cached += found

    async def _fetch(self, start: int, out: memoryview) -> None:
        self._asked += 1
        self.bytes_read += len(out)
        await self._backend.read_into(self._key, self.version, start, out, self.tally)

    async def read(self, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, from memory where the head holds them.

        Raises
        ------
        TensorFormatError
            When the range lies outside the object: a header that points there is broken.
        """
        if not 0 <= start <= stop <= self.version.size_bytes:
            raise TensorFormatError(
                f"{self.shown} points to bytes that it does not have: it is cut off or damaged.",
                hint="Write or copy the file again.",
            )
        if stop <= len(self.head) or start == stop:
            return self.head[start:stop]
        near = self.head[start:stop]
        data = bytearray(stop - start)
        data[: len(near)] = near
        await self.read_into(start + len(near), memoryview(data)[len(near) :])
        return bytes(data)

    async def pieces(self) -> AsyncIterator[bytes | bytearray]:
        """Yield the whole object in order, a few pieces ahead; checked at the end where a checksum is stored.

        Raises
        ------
        BadStorageReplyError
            After the last piece, when the bytes are not those that were stored.
        """
        digest = hashlib.md5(usedforsecurity=False)
        if self.head:
            yield self.head
            digest.update(self.head)
        rest = [ByteRange(len(self.head), self.version.size_bytes)] if len(self.head) < self.version.size_bytes else []
        async for piece in ahead((self._piece(one) for one in split(rest, most_bytes=PIECE_BYTES)), _PIECES_AHEAD):
            yield piece
            # Off the loop: a gigabyte takes more than a second.
            await asyncio.to_thread(digest.update, piece)
        await self._verify(digest.digest())

    async def read_all(self) -> bytes:
        """Return the whole object, checked against the checksum stored with it where there is one.

        Raises
        ------
        BadStorageReplyError
            When the bytes are not those that were stored.
        """
        return b"".join([piece async for piece in self.pieces()])

    async def _piece(self, one: ByteRange) -> bytearray:
        data = bytearray(one.size_bytes)
        await self.read_into(one.start, memoryview(data))
        return data

    async def _verify(self, digest: bytes) -> None:
        entry = await self._backend.head(self._key)
        # What was replaced since was read in its old version to the end; there is nothing to compare it with.
        if entry.md5 is not None and entry.etag == self.version.etag and entry.md5 != digest:
            if self.hot is not None:
                await self.hot.forget()
            raise BadStorageReplyError(
                f"{self.shown} does not match the checksum stored with it: a byte was changed.",
                hint="Run it again; if it stays, the stored object is damaged: write it again.",
            )


async def open_reader(text: str, *, cache: bool | None = None, head_bytes: int = HEAD_BYTES) -> Reader:
    """Open the object of a URL: one request, which brings its first 64 KiB too.

    Parameters
    ----------
    head_bytes : int
        Another length of the beginning, for who knows how much of it is needed.
    cache : bool, optional
        Whether hot data is looked for and kept; without it the environment says so. The version is asked from
        storage in any case, so that a replaced object is never taken for the old one.
    """
    url = urls.parse(text)
    connection, key = locate(url)
    storage, tally = backend(connection), Tally()
    head, version = await storage.first(key, head_bytes, tally)
    READS.add(str(url), version)
    found = await hot.find(connection, key, version, asked=cache) if version.size_bytes > len(head) else None
    return Reader(url, storage, key, head, version, tally=tally, hot=found)
