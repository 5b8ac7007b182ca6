"""A stretch of an object, read like an object of its own: an archive within a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.storage.models import Version

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.storage.url import ObjectURL


class Inside:
    """What a format reads from, over a part of an object.

    Parameters
    ----------
    reader : Reader
        The object.
    offset, size_bytes : int
        The part.
    head : bytes
        Its beginning, where it is known; read from memory.
    """

    def __init__(self, reader: Reader, offset: int, size_bytes: int, head: bytes = b"") -> None:
        self.version = Version(size_bytes, reader.version.etag)
        self.head = head
        self._reader = reader
        self._offset = offset

    @property
    def url(self) -> ObjectURL:
        """The object's."""
        return self._reader.url

    @property
    def shown(self) -> str:
        """The object's, for messages."""
        return self._reader.shown

    @property
    def requests(self) -> int:
        """The object's, so far."""
        return self._reader.requests

    @property
    def bytes_read(self) -> int:
        """The object's, so far."""
        return self._reader.bytes_read

    async def read(self, start: int, stop: int) -> bytes:
        """Return bytes of the part.

        Raises
        ------
        TensorFormatError
            When the range lies outside it.
        """
        if not 0 <= start <= stop <= self.version.size_bytes:
            raise TensorFormatError(
                f"{self.shown} points to bytes that it does not have: it is cut off or damaged.",
                hint="Write or copy the file again.",
            )
        if stop <= len(self.head):
            return self.head[start:stop]
        return await self._reader.read(self._offset + start, self._offset + stop)
