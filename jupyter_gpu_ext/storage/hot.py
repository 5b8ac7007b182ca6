"""One version of one object through the cache: what is held comes from there, the gaps alone are fetched and kept."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import threading
import time
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.storage import cache_folder, cache_guard, cache_segment, cache_settings
from jupyter_gpu_ext.storage.cache_cover import cover
from jupyter_gpu_ext.storage.cache_folder import About, CacheFolder
from jupyter_gpu_ext.storage.cache_segment import Segment
from jupyter_gpu_ext.storage.ranges import ByteRange, coalesce

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from jupyter_gpu_ext.storage.cache_settings import Settings
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.models import Version

logger = logging.getLogger(__name__)

# What lies on this machine already gains nothing; of fsspec's protocols it is not known where they lie.
KINDS = frozenset({"az", "s3", "gs", "http"})
# A folder of ten thousand segments takes some 10 ms to list.
_LIST_SECONDS = 1.0
# After a fault nothing is kept for a while: every further write would wait or fail as well.
_PAUSE_SECONDS, _BUSY_SECONDS = 30.0, 10.0

_PAUSED: dict[Path, float] = {}
_OPEN: dict[Settings, CacheFolder] = {}
_WARNED: set[str] = set()


class HotVersion:
    """What the cache has of one version; nothing here ever makes a read fail.

    Parameters
    ----------
    name : bytes
        Which version of which object: 20 bytes.
    """

    def __init__(self, folder: CacheFolder, name: bytes, about: About) -> None:
        self._folder = folder
        self._name = name
        self._about = about
        self._listed = frozenset[ByteRange]()
        self._listed_at = float("-inf")

    async def read_into(self, start: int, out: memoryview, fetch: Callable[[int, memoryview], Awaitable[None]]) -> int:
        """Fill `out` with the bytes from `start` on; return how many of them came from the cache.

        Parameters
        ----------
        fetch : callable
            Fills a buffer from storage; called for each gap. No lock is held meanwhile.

        Raises
        ------
        GpuExtError
            What `fetch` raises.
        """
        over = threading.Event()
        try:
            gaps = await asyncio.to_thread(self._look, ByteRange(start, start + len(out)), out, over)
            for gap in gaps:
                part = out[gap.start - start : gap.stop - start]
                await fetch(gap.start, part)
                await asyncio.to_thread(self._keep, gap, part, over)
            return len(out) - sum(gap.size_bytes for gap in gaps)
        finally:
            # The buffer is its owner's again: a thread that is still at work neither fills nor keeps it.
            over.set()

    async def missing(self, wanted: ByteRange) -> int:
        """Return how many bytes of a range are not held, by the names alone."""
        return await asyncio.to_thread(lambda: sum(gap.size_bytes for gap in cover(wanted, self._held()).gaps))

    async def forget(self) -> None:
        """Remove what is held of this version."""
        place = self._folder.place(self._name)
        try:
            await asyncio.to_thread(self._folder.remove, lambda kept: kept.path == place)
        except OSError as error:
            logger.warning("%s cannot be emptied: %s", self._folder.path, error.strerror or error)

    def _look(self, wanted: ByteRange, out: memoryview, over: threading.Event) -> list[ByteRange]:
        """Fill what is held; return the gaps."""
        held, todo, gaps = self._held(), [wanted], list[ByteRange]()
        while todo:
            found = cover(todo.pop(), held)
            gaps += found.gaps
            for part in found.parts:
                at = part.taken.start - wanted.start
                if not self._take(part.held, part.taken.start, out[at : at + part.taken.size_bytes], over):
                    held -= {part.held}
                    todo.append(part.taken)
        return coalesce(gaps, gap_bytes=0)

    def _take(self, one: ByteRange, start: int, out: memoryview, over: threading.Event) -> bool:
        segment = Segment(self._name, one)
        path = self._folder.place(self._name) / segment.file_name
        # Evicted since it was listed, or the folder is gone: then it is fetched.
        with contextlib.suppress(OSError):
            if cache_segment.read(path, segment, start, out, go_on=lambda: not over.is_set()):
                return True
            if not over.is_set():
                path.unlink(missing_ok=True)
        self._listed -= {one}
        return False

    def _held(self) -> frozenset[ByteRange]:
        """Return the segments: our own at once, those of other processes within a second."""
        if time.monotonic() - self._listed_at > _LIST_SECONDS:
            self._listed = frozenset(cache_folder.ranges(self._folder.place(self._name)))
            self._listed_at = time.monotonic()
        return self._listed

    def _keep(self, one: ByteRange, data: memoryview, over: threading.Event) -> None:
        path = self._folder.path
        if _PAUSED.get(path, 0.0) > time.monotonic() or not data:
            return
        try:
            if self._folder.put(Segment(self._name, one), self._about, data, go_on=lambda: not over.is_set()):
                self._listed |= {one}
        except OSError as error:
            if path not in _PAUSED:
                logger.warning("Hot data is not kept in %s: %s", path, error.strerror or error)
            _PAUSED[path] = time.monotonic() + (_BUSY_SECONDS if isinstance(error, TimeoutError) else _PAUSE_SECONDS)


async def find(connection: Connection, key: str, version: Version, *, asked: bool | None) -> HotVersion | None:
    """Return the cache's share of a version, or None when it is read without one.

    Parameters
    ----------
    asked : bool or None
        What the call says; None leaves it to the environment.

    Raises
    ------
    GpuExtError
        When the call asks for the cache and its settings are wrong, or its folder is not ours alone.
    """
    # Anything but a strong ETag says "much the same", not "the same bytes".
    if connection.kind not in KINDS or not version.etag.startswith('"'):
        return None
    try:
        settings = cache_settings.wanted(asked)
        folder = await asyncio.to_thread(open_folder, settings) if settings else None
    except (GpuExtError, OSError) as error:
        if asked and isinstance(error, GpuExtError):
            raise
        _warn_once(str(error))
        return None
    if folder is None:
        return None
    return HotVersion(folder, name_of(connection, key, version), About(connection.name, key, version.size_bytes))


def open_folder(settings: Settings) -> CacheFolder:
    """Return the folder of these settings, made where it is missing and looked at each time.

    Raises
    ------
    GpuExtError
        When it is not ours alone.
    OSError
        When it cannot be made.
    """
    cache_guard.prepare(settings.folder)
    if settings not in _OPEN:
        _OPEN[settings] = CacheFolder(settings.folder, settings.bound())
    return _OPEN[settings]


def name_of(connection: Connection, key: str, version: Version) -> bytes:
    """Return the name under which a version is kept: the same for every process and every name of the place.

    Who asks is no part of it: the version itself is asked from storage first, as the one who asks.
    """
    service = connection.endpoint or connection.account
    if not service and connection.credential == "connection-string":
        # The account stands in the secret.
        service = f"{connection.name} {connection.secret}"
    place = [connection.kind, service, connection.region, connection.profile, connection.root.rstrip("/")]
    text = json.dumps([*place, key, version.etag, version.size_bytes])
    return hashlib.blake2b(text.encode(), digest_size=20).digest()


def _warn_once(text: str) -> None:
    if text not in _WARNED:
        _WARNED.add(text)
        logger.warning("Hot data is not used: %s", text)
