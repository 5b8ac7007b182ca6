"""The objects below a store's root: small ones in one request, ranges of one version of larger ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.storage.local import LocalBackend
from jupyter_gpu_ext.storage.memory import MemoryBackend
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.storage.retry import Tally
from jupyter_gpu_ext.tensors.asked_for import missing
from jupyter_gpu_ext.tensors.busy import Busy

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from jupyter_gpu_ext.storage.models import Entry, RawPage, SizesPage, Version
    from jupyter_gpu_ext.storage.steady import Steady


class Objects:
    """The objects below a store's root; counts what is asked for.

    Attributes
    ----------
    near : bool
        No network lies before them.
    asked : Counter of str
        Requests so far as providers bill them: 'list', 'head', 'get'; what was asked for again is in `tally`.
    bytes_read : int
        So far.
    busy : Busy
        While something of an object's contents is under way.
    """

    def __init__(self, backend: Steady, root: str) -> None:
        self.backend = backend
        self.near = isinstance(backend.inner, (LocalBackend, MemoryBackend))
        self.asked = Counter[str]()
        self.bytes_read = 0
        self.busy = Busy()
        self.tally = Tally()
        self._root = f"{root.rstrip('/')}/" if root.strip("/") else ""

    def key(self, below: str) -> str:
        """Return the key of an object, for the backend."""
        return self._root + below

    def add(self, other: Objects) -> None:
        """Count what was asked for elsewhere on behalf of this store."""
        self.asked += other.asked
        self.bytes_read += other.bytes_read
        self.tally.retries += other.tally.retries

    @property
    def requests(self) -> int:
        """Requests so far, of all classes."""
        return self.asked.total()

    async def head(self, below: str) -> Entry | None:
        """Return the properties of an object, None where there is none."""
        self.asked["head"] += 1
        try:
            return await self.backend.head(self.key(below))
        except NotFoundError:
            return None

    async def page(self, prefix: str, *, marker: str | None, limit: int) -> RawPage:
        """Return one page of a folder; `prefix` is the backend's."""
        self.asked["list"] += 1
        return await self.backend.list_page(prefix, marker=marker, limit=limit)

    async def sizes(self, prefix: str, *, marker: str | None, limit: int) -> SizesPage:
        """Return one page of the objects below a folder at any depth; `prefix` is the backend's."""
        self.asked["list"] += 1
        return await self.backend.sizes_below(prefix, marker=marker, limit=limit)

    async def first(self, below: str, length: int) -> tuple[bytes, Version] | None:
        """Return the first bytes of an object and its version, None where there is none."""
        self.asked["get"] += 1
        try:
            with self.busy.working():
                data, version = await self.backend.first(self.key(below), length, self.tally)
        except NotFoundError:
            return None
        self.bytes_read += len(data)
        return data, version

    async def whole(self, below: str, most_bytes: int) -> memoryview | None:
        """Return a small object, of a longer one its first bytes, None where there is none."""
        self.asked["get"] += 1
        try:
            with self.busy.working():
                data = await self.backend.whole(self.key(below), most_bytes, self.tally)
        except NotFoundError:
            return None
        self.bytes_read += len(data)
        return data

    async def fill(self, below: str, out: memoryview, first_bytes: int) -> int | None:
        """Fill `out` with an object of one version, and return its size; None where there is none.

        The first request brings `first_bytes`, others the rest, side by side. Of an object that is longer than `out`
        the rest is not asked for.
        """
        self.asked["get"] += 1
        head = out[:first_bytes]
        try:
            with self.busy.working():
                version = await self.backend.first_into(self.key(below), head, self.tally)
        except NotFoundError:
            return None
        size = version.size_bytes
        self.bytes_read += min(size, len(head))
        rest = missing(ByteRange(0, size), len(head)) if size <= len(out) else []
        await together(self.read_into(below, version, one.start, out[one.start : one.stop]) for one in rest)
        return size

    async def pinned(self, below: str, length: int) -> Pinned | None:
        """Return an object with its first `length` bytes, None where there is none."""
        found = await self.first(below, length)
        return None if found is None else Pinned(self, below, *found)

    async def read_into(self, below: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of that version from `start` on."""
        self.asked["get"] += 1
        with self.busy.working():
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
        rest = missing(span, len(self._head))
        await together(self._fill(one, whole[one.start - span.start : one.stop - span.start]) for one in rest)
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
