"""What clients that block have in common: each call in a thread, its faults told, its bytes counted."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

from jupyter_gpu_ext.errors import BadStorageReplyError, GpuExtError, ObjectChangedError
from jupyter_gpu_ext.storage.faults import translated
from jupyter_gpu_ext.storage.models import Version
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.models import Entry, RawPage

T = TypeVar("T")


class ThreadedBackend:
    """A backend made of four functions that block: `_page`, `_describe`, `_range` and `_told`.

    The first bytes cost two requests: such clients hide a range's total.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # Held while the client is opened.
        self._lock = threading.Lock()

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix`."""
        return await self._call(prefix, lambda: self._page(prefix, marker, limit, search))

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""
        return await self._call(key, lambda: self._describe(key))

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version."""
        entry = await self.head(key)
        version = Version(entry.size_bytes or 0, str(entry.etag))
        data = bytearray(min(length, version.size_bytes))
        if data:
            await self.read_into(key, version, 0, memoryview(data))
        return bytes(data), version

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on with that version, and check the length."""
        data = await self._call(key, lambda: self._range(key, version, start, start + len(out)))
        if len(data) != len(out):
            raise BadStorageReplyError(
                f"{printable(key)!r}: {len(out)} bytes were asked for, {len(data)} came.", hint="Run it again."
            )
        out[:] = data

    async def _call(self, key: str, work: Callable[[], T]) -> T:
        with translated(self._connection, key):
            try:
                return await asyncio.to_thread(work)
            except Exception as error:
                if (ours := self._told(key, error)) is not None:
                    raise ours from None
                raise

    def _changed(self, key: str, version: Version, now: str | None) -> ObjectChangedError:
        return ObjectChangedError(
            f"{self._connection.name}://{printable(key)} was replaced while it was read: "
            f"{version.etag} before, {now} now.",
            hint="Run it again.",
        )

    def _page(self, prefix: str, marker: str | None, limit: int, search: str) -> RawPage:
        raise NotImplementedError

    def _describe(self, key: str) -> Entry:
        raise NotImplementedError

    def _range(self, key: str, version: Version, start: int, stop: int) -> bytes:
        """Return the bytes of that version, or raise `self._changed`."""
        raise NotImplementedError

    def _told(self, key: str, error: Exception) -> GpuExtError | None:
        """Return our error for one of the client's own kind; None for what is known everywhere."""
        raise NotImplementedError
