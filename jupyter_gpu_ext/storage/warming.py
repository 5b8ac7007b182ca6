"""Fill the cache ahead of use: each object read once, in pieces that are let go; what does not fit is left out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NotFoundError
from jupyter_gpu_ext.storage import cache_settings, hot
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.backends import backend, locate
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.storage.reader import HEAD_BYTES, open_reader
from jupyter_gpu_ext.storage.walk import walk
from jupyter_gpu_ext.text import format_bytes, format_count, printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jupyter_gpu_ext.storage.models import Entry
    from jupyter_gpu_ext.storage.progress import Progress
    from jupyter_gpu_ext.storage.url import ObjectURL

# Each reads four pieces of 8 MiB ahead: 64 MiB in all.
_OBJECTS_AT_ONCE = 2
_SHOWN = 20


@dataclass(slots=True)
class Warmed:
    """What a warm-up did; prints as a line, and one for each of the first objects that were left out.

    Attributes
    ----------
    object_count : int
        Objects that are held now.
    fetched_bytes, present_bytes : int
        What came from storage, and what was held before.
    small_count : int
        Objects that a single request brings anyway; they are not kept.
    skipped : list of (str, str)
        URL and reason.
    """

    object_count: int = 0
    fetched_bytes: int = 0
    present_bytes: int = 0
    small_count: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        done = f"{format_count(self.object_count, 'object')} held: {format_bytes(self.fetched_bytes)} fetched"
        here = f"{format_bytes(self.present_bytes)} here before" if self.present_bytes else ""
        small = f"{self.small_count:,} of 64 KiB or less need no cache" if self.small_count else ""
        left = f"{len(self.skipped):,} left out" if self.skipped else ""
        lines = [f"  {printable(url)}: {reason}" for url, reason in self.skipped[:_SHOWN]]
        if len(self.skipped) > _SHOWN:
            lines.append(f"  … {len(self.skipped) - _SHOWN:,} more")
        return "\n".join([", ".join(filter(None, [done, here, small, left])), *lines])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "object_count": self.object_count,
            "fetched_bytes": self.fetched_bytes,
            "present_bytes": self.present_bytes,
            "small_count": self.small_count,
            "skipped": [{"url": url, "reason": reason} for url, reason in self.skipped],
        }


async def warm_url(text: str, progress: Progress) -> Warmed:
    """Await what `jg.cache.warm` gives.

    Raises
    ------
    GpuExtError
        When the one object, or the listing, is not given; or the cache cannot be used.
    """
    url = urls.parse(text)
    connection, _ = locate(url)
    if connection.kind not in hot.KINDS:
        raise BadRequestError(
            f"{url.scheme}:// is not cached: what lies on this machine gains nothing.",
            hint="Warm an object of az, s3, gs or http.",
        )
    folder = await asyncio.to_thread(hot.open_folder, cache_settings.settings())
    one = _Warming(url, folder.most_bytes, progress)
    if url.key and not url.key.endswith("/"):
        try:
            entry = await backend(connection).head(url.key)
        except NotFoundError:
            if not await one.below(f"{url.key}/"):
                raise
        else:
            await one.only(entry)
    elif not await one.below(url.key):
        raise NotFoundError(f"There is nothing below {printable(str(url))}.", hint="See %blob ls.")
    return one.done


class _Warming:
    def __init__(self, url: ObjectURL, bound_bytes: int, progress: Progress) -> None:
        self.done = Warmed()
        self._scheme = url.scheme
        self._room_bytes = self._bound_bytes = bound_bytes
        self._progress = progress
        self._storage = backend(locate(url)[0])

    async def below(self, prefix: str) -> bool:
        """Warm every object below a prefix; tell whether there is one."""
        gate, found = asyncio.Semaphore(_OBJECTS_AT_ONCE), False
        try:
            async with asyncio.TaskGroup() as group:
                async for entry in self._found(prefix):
                    found = True
                    await gate.acquire()
                    group.create_task(self._one(entry, gate))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return found

    async def only(self, entry: Entry) -> None:
        """Warm one object; its fault is the answer."""
        self._progress.total_bytes += entry.size_bytes or 0
        await self._warm(entry)

    async def _found(self, prefix: str) -> AsyncIterator[Entry]:
        async for entry in walk(self._storage, prefix):
            self._progress.total_bytes += entry.size_bytes or 0
            yield entry

    async def _one(self, entry: Entry, gate: asyncio.Semaphore) -> None:
        try:
            if entry.unreadable:
                self._skip(entry, entry.unreadable)
            else:
                await self._warm(entry)
        except GpuExtError as error:
            self._skip(entry, error.message)
        finally:
            gate.release()

    async def _warm(self, entry: Entry) -> None:
        size = entry.size_bytes or 0
        if size <= HEAD_BYTES:
            self.done.small_count += 1
            self._progress.done_bytes += size
            return
        if size > self._room_bytes:
            self._skip(entry, f"no room for {format_bytes(size)} in {format_bytes(self._bound_bytes)}")
            return
        # Two objects of one listing must not push each other out.
        self._room_bytes -= size
        reader = await open_reader(self._url(entry), cache=True)
        if reader.hot is None:
            self._skip(entry, "storage gives it no ETag")
            return
        async for piece in reader.pieces():
            self._progress.done_bytes += len(piece)
            self._progress.notice = reader.notice
        self.done.fetched_bytes += reader.bytes_read
        self.done.present_bytes += reader.bytes_cached
        if await reader.hot.missing(ByteRange(len(reader.head), reader.version.size_bytes)):
            self._skip(entry, "it was read, but could not be kept: the folder is full, read-only or in use")
        else:
            self.done.object_count += 1

    def _skip(self, entry: Entry, reason: str) -> None:
        self.done.skipped.append((self._url(entry), reason))

    def _url(self, entry: Entry) -> str:
        return f"{self._scheme}://{entry.key}"
