"""A folder of this machine: NFS, BlobFuse, a disk. Never leaves its root."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import stat
import sys
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import (
    BadRequestError,
    BadStorageReplyError,
    DeniedError,
    ExistsError,
    GpuExtError,
    NotFoundError,
    ObjectChangedError,
    UnreachableError,
)
from jupyter_gpu_ext.storage import conflicts
from jupyter_gpu_ext.storage.local_upload import LocalUpload, copy_bytes, is_hidden, locked, rename, temporary
from jupyter_gpu_ext.storage.models import Entry, RawPage, SizesPage, Version
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class LocalBackend:
    """The files below `root`; blocking calls run in threads.

    Parameters
    ----------
    name : str
        The connection's name, for messages.
    root : str
        An absolute folder.
    """

    def __init__(self, name: str, root: str) -> None:
        self._name = name
        self._root = Path(root)

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix`, in name order."""
        return await asyncio.to_thread(self._list, prefix, marker, limit, search)

    async def sizes_below(self, prefix: str, *, marker: str | None, limit: int) -> SizesPage:
        """Return the first `limit` files at any depth, in no order; what is left out has no page of its own."""
        return await asyncio.to_thread(self._sizes_below, prefix, limit)

    async def head(self, key: str) -> Entry:
        """Return the properties of one file."""
        return await asyncio.to_thread(self._head, key)

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version."""
        return await asyncio.to_thread(self._first, key, length)

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on; raise when the file is no longer that version."""
        await asyncio.to_thread(self._read_into, key, version, start, out)

    async def begin(
        self, key: str, *, overwrite: bool, size_bytes: int | None, upload_id: str | None = None
    ) -> LocalUpload:
        """Start an upload, or go on with one; its blocks lie hidden beside the file."""
        return await asyncio.to_thread(self._begin, key, overwrite, size_bytes, upload_id)

    async def metadata(self, key: str) -> Mapping[str, str]:
        """Return nothing: a file has no metadata."""
        await self.head(key)
        return {}

    async def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove one file or one empty folder."""
        await asyncio.to_thread(self._delete, key, etag)

    async def copy(self, key: str, to: str, *, overwrite: bool) -> Entry:
        """Copy one file; a killed copy leaves nothing to see."""
        return await asyncio.to_thread(self._copy, key, to, overwrite)

    async def make_folder(self, key: str) -> Entry:
        """Make one folder, and those above it."""
        return await asyncio.to_thread(self._make_folder, key)

    async def close(self) -> None:
        """Nothing stays open between calls."""

    def _begin(self, key: str, overwrite: bool, size_bytes: int | None, upload_id: str | None) -> LocalUpload:
        with self._translated(key):
            target = self._target(key, overwrite=overwrite)
            expected = _etag_or_none(target)
            return LocalUpload(
                target,
                size_bytes,
                upload_id,
                place=lambda whole: self._place(whole, key, target, expected),
                translated=lambda: self._translated(key),
            )

    def _place(self, whole: Path, key: str, target: Path, expected: str | None) -> Entry:
        with self._translated(key), locked(target.parent):
            if expected is not None and _etag_or_none(target) != expected:
                raise conflicts.changed(self._name, key)
            try:
                rename(whole, target, replace=expected is not None)
            except FileExistsError:
                raise conflicts.exists(self._name, key) from None
        return self._head(key)

    def _delete(self, key: str, etag: str | None) -> None:
        with self._translated(key):
            path = self._path(key)
            with locked(path.parent):
                if key.endswith("/"):
                    self._remove_folder(path, key)
                elif stat.S_ISDIR(path.lstat().st_mode):
                    raise IsADirectoryError
                elif etag not in (None, _etag_or_none(path)):
                    raise conflicts.changed(self._name, key)
                else:
                    path.unlink()

    def _remove_folder(self, path: Path, key: str) -> None:
        try:
            path.rmdir()
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise BadRequestError(f"{self._shown(key)} is not empty.", hint="Remove what is in it first.") from None

    def _copy(self, key: str, to: str, overwrite: bool) -> Entry:
        with self._translated(key), self._opened(key) as source, self._translated(to):
            target = self._target(to, overwrite=overwrite)
            expected = _etag_or_none(target)
            with temporary(target) as whole:
                copy_bytes(source, whole)
                return self._place(whole, to, target, expected)

    def _make_folder(self, key: str) -> Entry:
        with self._translated(key):
            conflicts.check_folder(key)
            path = self._path(key)
            try:
                path.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise ExistsError(f"{self._shown(key)}: a file has that name.", hint="Choose another.") from None
            return Entry(kind="folder", name=path.name, key=key)

    def _target(self, key: str, *, overwrite: bool) -> Path:
        conflicts.check_target(key)
        target = self._path(key)
        if target.is_dir() or is_hidden(target.name):
            raise ExistsError(f"{self._shown(key)}: the name is taken.", hint="Choose another.")
        if not overwrite and os.path.lexists(target):
            raise conflicts.exists(self._name, key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ExistsError(
                f"{self._shown(key)}: a file has the name of a folder above it.", hint="Choose another folder."
            ) from None
        return target

    def _list(self, prefix: str, marker: str | None, limit: int, search: str) -> RawPage:
        with self._translated(prefix):
            with os.scandir(self._path(prefix)) as found:
                items = sorted(
                    ((item.name, item) for item in found if _listed(item.name, search)), key=lambda pair: pair[0]
                )
            later = [item for name, item in items if marker is None or name > marker]
            root = self._root.resolve()
            entries = tuple(_entry(prefix, item, root) for item in later[:limit])
            return RawPage(entries, later[limit - 1].name if len(later) > limit else None)

    def _sizes_below(self, prefix: str, limit: int) -> SizesPage:
        sizes, folders = dict[str, int](), [prefix]
        while folders and len(sizes) <= limit:
            for one in self._list(folders.pop(), None, sys.maxsize, "").entries:
                if one.kind == "folder":
                    # A link may lead back to where it lies.
                    folders += [] if self._path(one.key.rstrip("/")).is_symlink() else [one.key]
                elif one.unreadable is None:
                    sizes[one.key] = one.size_bytes or 0
        return SizesPage(dict(itertools.islice(sizes.items(), limit)), "more" if len(sizes) > limit else None)

    def _head(self, key: str) -> Entry:
        with self._translated(key):
            with self._opened(key) as file:
                found = os.fstat(file)
            return Entry(
                kind="object",
                name=key.rpartition("/")[2],
                key=key,
                size_bytes=found.st_size,
                modified=datetime.fromtimestamp(found.st_mtime, UTC),
                etag=_etag(found),
            )

    def _first(self, key: str, length: int) -> tuple[bytes, Version]:
        with self._translated(key), self._opened(key) as file:
            found = os.fstat(file)
            data = bytearray(min(length, found.st_size))
            if not _fill(file, 0, memoryview(data)):
                raise BadStorageReplyError(f"{self._shown(key)} shrank while it was read.", hint="Run it again.")
            return bytes(data), Version(found.st_size, _etag(found))

    def _read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        with self._translated(key), self._opened(key) as file:
            whole = _fill(file, start, out)
            now = _etag(os.fstat(file))
        if now != version.etag:
            raise ObjectChangedError(
                f"{self._shown(key)} was replaced while it was read: {version.etag} before, {now} now.",
                hint="Run it again.",
            )
        if not whole:
            raise BadStorageReplyError(f"{self._shown(key)} ends before the range that was asked for.")

    @contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        # Without O_NONBLOCK a named pipe would wait for its writer.
        file = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._check_inside(file, key)
            mode = os.fstat(file).st_mode
            if stat.S_ISDIR(mode) or key.endswith("/"):
                raise IsADirectoryError
            if not stat.S_ISREG(mode):
                raise BadRequestError(f"{self._shown(key)} is a device or a pipe.", hint="Name a file.")
            yield file
        finally:
            os.close(file)

    def _check_inside(self, file: int, key: str) -> None:
        # A link on the way may have been changed between the look and the opening; Linux says what was opened.
        with suppress(FileNotFoundError):
            if not Path(f"/proc/self/fd/{file}").readlink().is_relative_to(self._root.resolve()):
                raise self._outside(key)

    def _outside(self, key: str) -> DeniedError:
        return DeniedError(f"{printable(key)!r} leads out of {self._name!r}.", hint="Connect its own folder.")

    def _path(self, key: str) -> Path:
        parts = key.removesuffix("/").split("/") if key else []
        if any(part in ("", ".", "..") for part in parts):
            raise BadRequestError(f"{printable(key)!r} names no file below the root.", hint="Copy it from the listing.")
        path = self._root.joinpath(*parts)
        # A symbolic link may lead out of the root; the root itself may be one.
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise self._outside(key)
        return path

    def _shown(self, key: str) -> str:
        # A plain path is its own name.
        return printable(f"/{key}" if self._root == Path("/") else f"{self._name}://{key}")

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        shown = self._shown(key)
        try:
            yield
        except GpuExtError:
            raise
        except (FileNotFoundError, NotADirectoryError):
            hint = "`%blob ls` shows what is there." if self._root.is_dir() else f"The folder {self._root} is missing."
            raise NotFoundError(f"{shown} does not exist.", hint=hint) from None
        except IsADirectoryError:
            raise BadRequestError(f"{shown} is a folder.", hint="Name a file in it.") from None
        except PermissionError:
            raise DeniedError(
                f"This user may not read or write {shown}.", hint="Check the file's owner and mode."
            ) from None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise BadRequestError(
                    f"{shown}: a name in it is too long for this disk.", hint="255 bytes a part are usual."
                ) from None
            raise UnreachableError(
                f"{shown} cannot be read or written ({error.strerror}).", hint="Check the mount."
            ) from None


def _etag_or_none(path: Path) -> str | None:
    try:
        return _etag(path.stat())
    except FileNotFoundError:
        return None


def _listed(name: str, search: str) -> bool:
    return name.startswith(search) and not is_hidden(name)


def _entry(prefix: str, item: os.DirEntry[str], root: Path) -> Entry:
    try:
        item.name.encode()
        if item.is_symlink() and not Path(item.path).resolve().is_relative_to(root):
            return Entry(
                kind="object",
                name=item.name,
                key=prefix + item.name,
                unreadable="a link that leads out of the connection",
            )
        found = item.stat()
        if item.is_dir():
            return Entry(kind="folder", name=item.name, key=f"{prefix}{item.name}/")
    except UnicodeEncodeError:
        name = item.name.encode(errors="surrogateescape").decode(errors="replace")
        return Entry(kind="object", name=name, key=prefix + name, unreadable="the name is not UTF-8")
    except OSError:
        return Entry(kind="object", name=item.name, key=prefix + item.name, unreadable="a link that leads nowhere")
    return Entry(
        kind="object",
        name=item.name,
        key=prefix + item.name,
        size_bytes=found.st_size,
        modified=datetime.fromtimestamp(found.st_mtime, UTC),
        etag=_etag(found),
    )


def _etag(found: os.stat_result) -> str:
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"'


def _fill(file: int, start: int, out: memoryview) -> bool:
    done = 0
    while done < len(out):
        count = os.preadv(file, [out[done:]], start + done)
        if count == 0:
            return False
        done += count
    return True
