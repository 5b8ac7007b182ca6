"""What fsspec opens and an administrator allowed by name: read in threads, by whole pages and plain ranges."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_gpu_ext.errors import BadRequestError, BadStorageReplyError, NotInstalledError, ObjectChangedError
from jupyter_gpu_ext.storage import conflicts
from jupyter_gpu_ext.storage.faults import translated
from jupyter_gpu_ext.storage.models import Entry, RawPage, Version
from jupyter_gpu_ext.storage.names import last, unaddressable
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_gpu_ext.storage.connections import Connection

T = TypeVar("T")

# What the implementations call the time of change.
_TIMES = ("mtime", "modified", "last_modified", "LastModified", "created")


class FsspecBackend:
    """The files below a root of one fsspec protocol.

    fsspec has no conditions and no pages: a range is compared with the file's size and time afterwards,
    and a folder is listed whole for each page.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._opened: tuple[Any, str] | None = None
        self._lock = threading.Lock()

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix`, in name order."""
        rows = await self._call(prefix, lambda: self._list(prefix, search))
        later = [row for row in rows if marker is None or row.key > marker]
        return RawPage(tuple(later[:limit]), later[limit - 1].key if len(later) > limit else None)

    async def head(self, key: str) -> Entry:
        """Return the properties of one file."""
        return await self._call(key, lambda: _entry(key, self._info(key)))

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version."""
        entry = await self.head(key)
        version = Version(entry.size_bytes or 0, str(entry.etag))
        data = bytearray(min(length, version.size_bytes))
        if data:
            await self.read_into(key, version, 0, memoryview(data))
        return bytes(data), version

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on; raise when the file is no longer that version."""
        data, now = await self._call(key, lambda: self._range(key, start, start + len(out)))
        if now != version.etag:
            raise ObjectChangedError(
                f"{self._connection.name}://{printable(key)} was replaced while it was read: "
                f"{version.etag} before, {now} now.",
                hint="Run it again.",
            )
        if len(data) != len(out):
            raise BadStorageReplyError(
                f"{printable(key)!r}: {len(out)} bytes were asked for, {len(data)} came.", hint="Run it again."
            )
        out[:] = data

    async def close(self) -> None:
        """Forget the file system; fsspec closes it."""
        self._opened = None

    async def _call(self, key: str, work: Callable[[], T]) -> T:
        with translated(self._connection, key):
            try:
                return await asyncio.to_thread(work)
            except (IsADirectoryError, NotADirectoryError):
                raise conflicts.missing(self._connection.name, key) from None

    def _list(self, prefix: str, search: str) -> list[Entry]:
        files, _ = self._file_system()
        folder = self._path(prefix)
        try:
            found = files.ls(folder, detail=True)
        except FileNotFoundError:
            # Most of what fsspec opens has no empty folders.
            return []
        below = folder.rstrip("/") + "/"
        infos = {info["name"]: info for info in found if info["name"].rstrip("/") + "/" != below}
        rows = [_entry(prefix + name[len(below) :], info) for name, info in infos.items() if name.startswith(below)]
        return sorted((row for row in rows if row.name.startswith(search)), key=lambda row: row.key)

    def _range(self, key: str, start: int, stop: int) -> tuple[bytes, str | None]:
        files, _ = self._file_system()
        data: bytes = files.cat_file(self._path(key), start=start, end=stop)
        # Afterwards: whatever was replaced before or during the read has another version by now.
        return data, _entry(key, self._info(key)).etag

    def _info(self, key: str) -> dict[str, Any]:
        files, _ = self._file_system()
        if key.endswith("/"):
            # fsspec would take the slash away, and may find a file.
            raise conflicts.missing(self._connection.name, key)
        files.invalidate_cache()
        info: dict[str, Any] = files.info(self._path(key))
        if info["type"] != "file":
            raise IsADirectoryError
        return info

    def _path(self, key: str) -> str:
        files, base = self._file_system()
        path = f"{base}/{key}".removesuffix("/")
        parts = key.removesuffix("/").split("/") if key else []
        # Whatever fsspec would make another name of.
        if any(part in ("", ".", "..") for part in parts) or str(files._strip_protocol(path)) != path:  # noqa: SLF001
            raise BadRequestError(f"{printable(key)!r} names no file below the root.", hint="Copy it from the listing.")
        return path

    def _file_system(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                self._opened = _open(self._connection)
            return self._opened


def _open(connection: Connection) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        files, base = url_to_fs(connection.root, use_listings_cache=False, skip_instance_cache=True)
    except (ImportError, ValueError):
        # fsspec's own text names the package, in its own words.
        raise NotInstalledError(
            f"fsspec cannot open {connection.fsspec!r} here.",
            hint="https://filesystem-spec.readthedocs.io/en/latest/api.html names the package that it needs.",
        ) from None
    return files, str(base).rstrip("/")


def _entry(key: str, info: Mapping[str, Any]) -> Entry:
    if info["type"] == "directory":
        key = key.removesuffix("/") + "/"
        return Entry(kind="folder", name=last(key), key=key)
    modified = next((info[name] for name in _TIMES if info.get(name)), None)
    tag = info.get("ETag") or info.get("etag") or f"{info.get('size')}-{modified}"
    return Entry(
        kind="object",
        name=last(key),
        key=key,
        size_bytes=info.get("size"),
        modified=_time(modified),
        etag=f'"{str(tag).strip(chr(34))}"',
        unreadable=unaddressable(key),
    )


def _time(value: Any) -> datetime | None:
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
