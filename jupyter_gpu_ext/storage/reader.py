"""A pinned object: every read is of the version that was opened, and is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.backends import resolve
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.models import Backend, Version
    from jupyter_gpu_ext.storage.url import ObjectURL

# Holds the whole header of most tensor files and the directory of a small one; costs what a HEAD costs.
HEAD_BYTES = 64 * 1024


class Reader:
    """One version of one object.

    Attributes
    ----------
    url : ObjectURL
    version : Version
        Size in bytes and ETag at the time of opening.
    head : bytes
        The first bytes, which came with the version.
    requests, bytes_read : int
        What was asked for so far.
    """

    def __init__(self, url: ObjectURL, backend: Backend, key: str, head: bytes, version: Version) -> None:
        self.url = url
        self.version = version
        self.head = head
        self.requests = 1
        self.bytes_read = len(head)
        self._backend = backend
        self._key = key

    @property
    def shown(self) -> str:
        """The URL for messages: on one line, a pasted signature cut out."""
        return printable(redact(str(self.url)))

    async def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on.

        Raises
        ------
        ObjectChangedError
            When the object was replaced since it was opened; names both versions.
        """
        self.requests += 1
        self.bytes_read += len(out)
        await self._backend.read_into(self._key, self.version, start, out)

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
        if stop <= len(self.head):
            return self.head[start:stop]
        data = bytearray(stop - start)
        await self.read_into(start, memoryview(data))
        return bytes(data)


async def open_reader(text: str) -> Reader:
    """Open the object of a URL: one request, which brings its first 64 KiB too."""
    url = urls.parse(text)
    backend, key = resolve(url)
    head, version = await backend.first(key, HEAD_BYTES)
    return Reader(url, backend, key, head, version)
