"""What fsspec opens and an administrator allowed by name: read in threads, by whole pages and plain ranges."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, NotInstalledError
from jupyter_gpu_ext.storage import conflicts
from jupyter_gpu_ext.storage.models import Entry, RawPage
from jupyter_gpu_ext.storage.names import last, unaddressable
from jupyter_gpu_ext.storage.threaded import ThreadedBackend
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.errors import GpuExtError
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.models import Version

# What the implementations call the time of change.
_TIMES = ("mtime", "modified", "last_modified", "LastModified", "created")


class FsspecBackend(ThreadedBackend):
    """The files below a root of one fsspec protocol.

    fsspec has no conditions and no pages: a range is compared with the file's size and time afterwards,
    and a folder is listed whole for each page.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._opened: tuple[Any, str] | None = None

    async def close(self) -> None:
        """Forget the file system; fsspec closes it."""
        self._opened = None

    def _told(self, key: str, error: Exception) -> GpuExtError | None:
        gone = isinstance(error, (IsADirectoryError, NotADirectoryError))
        return conflicts.missing(self._connection.name, key) if gone else None

    def _page(self, prefix: str, marker: str | None, limit: int, search: str) -> RawPage:
        later = [row for row in self._list(prefix, search) if marker is None or row.key > marker]
        return RawPage(tuple(later[:limit]), later[limit - 1].key if len(later) > limit else None)

    def _describe(self, key: str) -> Entry:
        return _entry(key, self._info(key))

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

    def _range(self, key: str, version: Version, start: int, stop: int) -> bytes:
        files, _ = self._file_system()
        data: bytes = files.cat_file(self._path(key), start=start, end=stop)
        # Afterwards: whatever was replaced before or during the read has another version by now.
        if (now := self._describe(key).etag) != version.etag:
            raise self._changed(key, version, now)
        return data

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
