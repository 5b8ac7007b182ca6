"""Open what a URL means to a loader: the objects, pinned, and what their headers say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.tensors.header import MOST_BYTES, read_header

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.models import TensorFile


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint that can be read.

    Attributes
    ----------
    readers : tuple of Reader
        The objects it lies in; a storage's `source` counts them.
    """

    readers: tuple[Reader, ...]
    file: TensorFile

    @property
    def requests(self) -> int:
        """Requests so far."""
        return sum(one.requests for one in self.readers)

    @property
    def retries(self) -> int:
        """Requests that were repeated so far."""
        return sum(one.tally.retries for one in self.readers)

    @property
    def bytes_read(self) -> int:
        """Bytes that were asked for so far."""
        return sum(one.bytes_read for one in self.readers)

    @property
    def bytes_cached(self) -> int:
        """Bytes that this machine still had."""
        return sum(one.bytes_cached for one in self.readers)

    @property
    def notice(self) -> str:
        """A sentence while an account throttles, '' otherwise."""
        return next((one.notice for one in self.readers if one.notice), "")


async def open_tensors(url: str, *, most_bytes: int = MOST_BYTES, cache: bool | None = None) -> Opened:
    """Open the object of a URL and read its header, by range reads alone.

    Parameters
    ----------
    most_bytes : int
        The longest header to read.
    cache : bool, optional
        Whether bytes are kept on this machine; without it the environment says.

    Raises
    ------
    UnsupportedFormatError
        When it is no tensor file.
    TensorFormatError
        When it is empty, cut off, damaged, or needs code.
    """
    reader = await open_reader(url, cache=cache)
    return Opened((reader,), await read_header(reader, most_bytes=most_bytes))
