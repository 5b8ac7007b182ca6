"""Reads that go past a provider's SDK: what kinds of storage share that read objects by obstore."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from jupyter_gpu_ext.storage import object_ranges

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from obstore.store import ObjectStore

    from jupyter_gpu_ext.storage.models import Version

T = TypeVar("T")


class DirectReads:
    """Objects at the least cost there is; where that way is closed, as `first` reads them."""

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version."""
        raise NotImplementedError

    async def whole(self, key: str, most_bytes: int) -> memoryview:
        """Return an object, of a longer one its first `most_bytes`; one request, two or three for an empty object."""
        found = await self._directly(key, partial(object_ranges.whole, most_bytes=most_bytes))
        return memoryview((await self.first(key, most_bytes))[0]) if found is None else found

    async def first_into(self, key: str, out: memoryview) -> Version:
        """Fill `out` with the first bytes and return the version; requests as for `whole`."""
        version = await self._directly(key, partial(object_ranges.first_into, out=out))
        if version is None:
            data, version = await self.first(key, len(out))
            out[: len(data)] = data
        return version

    async def _directly(self, key: str, read: Callable[[ObjectStore, str], Awaitable[T]]) -> T | None:
        """Return what is read; None where the name cannot be sent, or the object is empty and has no range."""
        raise NotImplementedError
