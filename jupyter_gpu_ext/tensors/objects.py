"""The objects below a store's root: small ones in one request, ranges of one version of larger ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.storage.local import LocalBackend
from jupyter_gpu_ext.storage.memory import MemoryBackend
from jupyter_gpu_ext.storage.ranges import ByteRange, split
from jupyter_gpu_ext.storage.retry import Tally

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from jupyter_gpu_ext.storage.models import Version
    from jupyter_gpu_ext.storage.steady import Steady

# Asked for with the opening request: the whole of most objects.
FIRST_BYTES = 16 << 20
_RANGE_BYTES = 16 << 20


class Objects:
    """The objects below a store's root; counts what is asked for.

    Attributes
    ----------
    near : bool
        No network lies before them.
    requests, bytes_read : int
        So far; what was asked for again is in `tally`.
    """

    def __init__(self, backend: Steady, root: str) -> None:
        self.backend = backend
        self.near = isinstance(backend.inner, (LocalBackend, MemoryBackend))
        self.requests = 0
        self.bytes_read = 0
        self.tally = Tally()
        self._root = f"{root.rstrip('/')}/" if root.strip("/") else ""

    def key(self, below: str) -> str:
        """Return the key of an object, for the backend."""
        return self._root + below

    async def first(self, below: str, length: int) -> tuple[bytes, Version] | None:
        """Return the first bytes of an object and its version, None where there is none."""
        self.requests += 1
        try:
            data, version = await self.backend.first(self.key(below), length, self.tally)
        except NotFoundError:
            return None
        self.bytes_read += len(data)
        return data, version

    async def pinned(self, below: str, length: int) -> Pinned | None:
        """Return an object with its first `length` bytes, None where there is none."""
        found = await self.first(below, length)
        return None if found is None else Pinned(self, below, *found)

    async def read_into(self, below: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of that version from `start` on."""
        self.requests += 1
        await self.backend.read_into(self.key(below), version, start, out, self.tally)
        self.bytes_read += len(out)


class Pinned:
    """One version of one object; its first bytes are here already."""

    def __init__(self, store: Objects, below: str, head: bytes, version: Version) -> None:
        self.size_bytes = version.size_bytes
        self._store = store
        self._below = below
        self._head = memoryview(head)
        self._version = version

    async def read(self, span: ByteRange) -> memoryview:
        """Return a range: no request for what the first bytes hold."""
        data = self._head[span.start : span.stop]
        if len(data) == span.size_bytes:
            return data
        whole = memoryview(bytearray(span.size_bytes))
        whole[: len(data)] = data
        missing = split([ByteRange(span.start + len(data), span.stop)], most_bytes=_RANGE_BYTES)
        await together(self._fill(one, whole[one.start - span.start : one.stop - span.start]) for one in missing)
        return whole

    async def _fill(self, span: ByteRange, out: memoryview) -> None:
        await self._store.read_into(self._below, self._version, span.start, out)


async def together(work: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Await all of them at once; the first fault ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as error:
        raise error.exceptions[0] from error.exceptions[0].__cause__
