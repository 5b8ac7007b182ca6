"""Open what a URL means to a loader: the objects, pinned, and what their headers say."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, NotFoundError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.tensors import distributed
from jupyter_gpu_ext.tensors.decoded import with_sources
from jupyter_gpu_ext.tensors.folder import look_into
from jupyter_gpu_ext.tensors.formats.torch_pickle import NeedsTorchError
from jupyter_gpu_ext.tensors.header import MOST_BYTES, read_header
from jupyter_gpu_ext.tensors.sharded import is_index, read_sharded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.decoded import Decoded
    from jupyter_gpu_ext.tensors.folder import Choice
    from jupyter_gpu_ext.tensors.models import TensorFile


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint that can be read.

    Attributes
    ----------
    readers : tuple of Reader or Decoded
        The objects it lies in, and what has to be decoded out of them; a storage's `source` counts them.
    listed : int
        Requests that looked into folders.
    """

    readers: tuple[Reader | Decoded, ...]
    file: TensorFile
    listed: int = 0

    @property
    def requests(self) -> int:
        """Requests so far."""
        return self.listed + sum(one.requests for one in self.readers)

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


async def open_tensors(
    url: str, *, keys: Sequence[str] = (), most_bytes: int = MOST_BYTES, cache: bool | None = None, data: bool = True
) -> Opened:
    """Open what a URL means, one object, an index of several, or a folder, and read its headers by range reads.

    Parameters
    ----------
    keys : sequence of str
        What will be loaded: of a checkpoint in several files only those with these tensors are opened.
    most_bytes : int
        The longest header to read.
    cache : bool, optional
        Whether bytes are kept on this machine; without it the environment says.
    data : bool
        False for who only wants to know what is inside: where its bytes lie may then be said less exactly.

    Raises
    ------
    UnsupportedFormatError
        When it is no tensor file.
    TensorFormatError
        When it is empty, cut off, damaged, or needs code.
    """
    asked = _Asked(tuple(keys), most_bytes, cache, data)
    parsed = urls.parse(url)
    if parsed.key.endswith("/") or not parsed.key:
        return await _folder(parsed, asked) or await _object(url, asked)
    try:
        reader = await open_reader(url, cache=cache)
    except (NotFoundError, BadRequestError):
        # It may be the name of a folder, without its slash.
        with suppress(NotFoundError, BadRequestError, DeniedError):
            if choice := await look_into(folder := urls.ObjectURL(parsed.scheme, parsed.key + "/")):
                return await _chosen(folder, choice, asked)
        raise
    return await _opened(reader, asked)


@dataclass(frozen=True, slots=True)
class _Asked:
    keys: tuple[str, ...]
    most_bytes: int
    cache: bool | None
    data: bool


async def _folder(folder: urls.ObjectURL, asked: _Asked) -> Opened | None:
    choice = await look_into(folder)
    return await _chosen(folder, choice, asked) if choice else None


async def _chosen(folder: urls.ObjectURL, choice: Choice, asked: _Asked) -> Opened:
    opened = await _object(f"{folder}{choice.name}", asked)
    file = dataclasses.replace(opened.file, notes=(*choice.notes, *opened.file.notes), requests=opened.requests + 1)
    return dataclasses.replace(opened, file=file, listed=1)


async def _object(url: str, asked: _Asked) -> Opened:
    return await _opened(await open_reader(url, cache=asked.cache), asked)


async def _opened(reader: Reader, asked: _Asked) -> Opened:
    if is_index(reader.url.key):
        readers, file = await read_sharded(reader, keys=asked.keys, most_bytes=asked.most_bytes, cache=asked.cache)
        return Opened(readers, file)
    if reader.url.key.rpartition("/")[2] == distributed.NAME:
        readers, file = await distributed.read_distributed(
            reader, keys=asked.keys, most_bytes=asked.most_bytes, cache=asked.cache, data=asked.data
        )
        return Opened(readers, file)
    try:
        header = await read_header(reader, most_bytes=asked.most_bytes)
    except NeedsTorchError as error:
        error.url = str(reader.url)
        raise
    file, sources = with_sources(header, (reader,))
    return Opened(sources, file)
