"""A log in append blobs: every block once, in order, whatever becomes of the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jupyter_gpu_ext.errors import BadStorageReplyError, NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage.azure_append import MOST_BLOCKS, AppendEnd
from jupyter_gpu_ext.storage.log_parts import last_part, part_key
from jupyter_gpu_ext.storage.retry import TRANSIENT

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.azure_append import AzureAppending
    from jupyter_gpu_ext.storage.places import Place
    from jupyter_gpu_ext.storage.steady import Steady

# Each turn has found another part full, of another type, gone or longer than it was.
_MOST_TURNS = 1000


class AppendedLog:
    """The parts of a log on Azure: a run goes on after what is there.

    Parameters
    ----------
    place : Place
        Where the first part is.
    most_blocks : int
        Of one part; the service allows 50,000.
    """

    def __init__(self, place: Place, *, most_blocks: int = MOST_BLOCKS) -> None:
        self._place = place
        self._most_blocks = most_blocks
        self._number = 0
        self._end: AppendEnd | None = None

    async def append(self, data: bytes) -> None:
        """Append up to 4 MiB; after a fault the same bytes again are written once.

        Raises
        ------
        GpuExtError
            When storage cannot take them now.
        """
        backend = self._place.writing()
        for _ in range(_MOST_TURNS):
            end = self._end or await self._find_end(backend)
            if end is None or end.blocks >= self._most_blocks:
                self._number, self._end = self._number + 1, None
            elif await self._appended(backend, data, end):
                return
        raise BadStorageReplyError(f"{self._place.shown} takes no lines.", hint="Write the log elsewhere.")

    async def _find_end(self, backend: Steady) -> AppendEnd | None:
        if not self._number:
            self._number = max(1, await last_part(backend, self._place.key))
        try:
            self._end = await backend.patiently(lambda: self._blobs(backend).append_end(self._key))
        except NotFoundError:
            await backend.patiently(lambda: self._blobs(backend).begin_append(self._key))
            self._end = await backend.patiently(lambda: self._blobs(backend).append_end(self._key))
        return self._end

    async def _appended(self, backend: Steady, data: bytes, end: AppendEnd) -> bool:
        try:
            await backend.patiently(lambda: self._blobs(backend).append(self._key, data, position=end.size_bytes))
        except TRANSIENT:
            # It may have arrived all the same: the end stays as it was known, and the next try finds out.
            raise
        except (ObjectChangedError, NotFoundError, BadStorageReplyError):
            arrived = await self._arrived(backend, data, end)
            if arrived is None:
                raise
            return arrived
        self._end = AppendEnd(end.size_bytes + len(data), end.blocks + 1)
        return True

    async def _arrived(self, backend: Steady, data: bytes, end: AppendEnd) -> bool | None:
        """Whether the refused block is there, from a try whose answer was lost; None where nothing explains it."""
        now = await self._look(backend)
        if now is not None and now.size_bytes >= end.size_bytes + len(data):
            blobs = self._blobs(backend)
            found = await backend.patiently(lambda: blobs.appended(self._key, data, position=end.size_bytes))
            self._end = now
            return found
        if now == end and now.blocks < self._most_blocks:
            return None
        self._end = None
        return False

    async def _look(self, backend: Steady) -> AppendEnd | None:
        try:
            return await backend.patiently(lambda: self._blobs(backend).append_end(self._key))
        except NotFoundError:
            return None

    def _blobs(self, backend: Steady) -> AzureAppending:
        return cast("AzureAppending", backend.inner)

    @property
    def _key(self) -> str:
        return part_key(self._place.key, self._number)
