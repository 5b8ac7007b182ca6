"""A log where nothing can be appended: the part's object is written again, whole, until the next part begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadStorageReplyError, ExistsError, NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage.log_parts import last_part, part_key
from jupyter_gpu_ext.storage.reader import HEAD_BYTES, Reader
from jupyter_gpu_ext.storage.url import ObjectURL
from jupyter_gpu_ext.storage.writer import Writer

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.places import Place
    from jupyter_gpu_ext.storage.steady import Steady

_MOST_TURNS = 1000


class RewrittenLog:
    """The parts of a log; a run begins a part of its own and never writes to one that it did not make.

    Parameters
    ----------
    place : Place
        Where the first part is.
    part_bytes : int
        A part is not written to again once it would be longer.
    """

    def __init__(self, place: Place, *, part_bytes: int) -> None:
        self._place = place
        self._part_bytes = part_bytes
        self._number = 0
        self._text = b""
        self._etag: str | None = None
        self._tried = b""

    async def append(self, data: bytes) -> None:
        """Write the part again with `data` at its end; after a fault the same bytes again are written once.

        Raises
        ------
        GpuExtError
            When storage cannot take it now; the part is as it was, or whole.
        """
        backend = self._place.writing()
        if not self._number:
            self._number = await last_part(backend, self._place.key) + 1
        if self._text and len(self._text) + len(data) > self._part_bytes:
            self._next()
            self._text = b""
        await self._write(backend, self._text + data)

    async def _write(self, backend: Steady, whole: bytes) -> None:
        for _ in range(_MOST_TURNS):
            now = await self._now(backend)
            if now == whole:
                # An earlier try arrived; only its answer was lost.
                self._text = whole
                return
            if now not in (None, self._text):
                self._next()
                continue
            try:
                self._etag = await self._commit(backend, whole, overwrite=now is not None)
            except (ExistsError, ObjectChangedError):
                if not self._tried:
                    self._next()
                continue
            self._text, self._tried = whole, b""
            return
        raise BadStorageReplyError(f"{self._place.shown} takes no lines.", hint="Write the log elsewhere.")

    def _next(self) -> None:
        self._number, self._etag, self._tried = self._number + 1, None, b""

    async def _now(self, backend: Steady) -> bytes | None:
        """Return what the part holds; None for nothing. Bytes come over the wire only where they may be others."""
        if self._etag is None and not self._tried:
            return None
        try:
            if self._etag is not None and (await backend.head(self._key)).etag == self._etag:
                return self._text
            head, version = await backend.first(self._key, HEAD_BYTES)
        except NotFoundError:
            self._etag = None
            return None
        if version.size_bytes > max(len(self._text), len(self._tried)):
            return head + b"\0"
        reader = Reader(ObjectURL(self._place.connection.name, self._key), backend, self._key, head, version)
        found = await reader.read_all()
        self._etag = version.etag
        return found

    async def _commit(self, backend: Steady, whole: bytes, *, overwrite: bool) -> str | None:
        upload = await backend.begin(self._key, overwrite=overwrite, size_bytes=len(whole))
        writer = Writer(self._place.at(self._key).shown, upload)
        await writer.write(whole)
        self._tried = whole
        return (await writer.commit()).etag

    @property
    def _key(self) -> str:
        return part_key(self._place.key, self._number)
