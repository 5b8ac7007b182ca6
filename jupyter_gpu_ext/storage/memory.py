"""Objects in this process's memory, for tests and examples: gone when it ends."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import ObjectChangedError, RangeError
from jupyter_gpu_ext.storage import blocks, conflicts
from jupyter_gpu_ext.storage.models import Entry, RawPage, SizesPage, Version
from jupyter_gpu_ext.storage.names import folded, last
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_BLOCKS = 10_000
_ETAGS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Object:
    data: bytes
    metadata: Mapping[str, str]
    etag: str = field(default_factory=lambda: f'"m{next(_ETAGS)}"')
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


# The objects of each root: connections of one root see the same.
_OBJECTS: dict[str, dict[str, _Object]] = {}


class MemoryBackend:
    """The objects of one root.

    Parameters
    ----------
    name : str
        The connection's name, for messages.
    root : str
        Which store; the same root anywhere in the process is the same store.
    """

    def __init__(self, name: str, root: str) -> None:
        self._name = name
        self._objects = _OBJECTS.setdefault(root, {})
        self._uploads: dict[str, MemoryUpload] = {}

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix`, in name order."""
        rows: dict[str, Entry] = {}
        for key in sorted(key for key in self._objects if key.startswith(prefix + search)):
            part, slash, _ = key[len(prefix) :].partition("/")
            if slash:
                folder = f"{prefix}{part}/"
                rows[folder] = Entry(kind="folder", name=last(folder), key=folder)
            else:
                rows[key] = self._entry(key)
        later = [row for key, row in sorted(rows.items()) if marker is None or key > marker]
        following = later[limit - 1].key if len(later) > limit else None
        return RawPage(tuple(folded(later[:limit], prefix)), following)

    async def sizes_below(self, prefix: str, *, marker: str | None, limit: int) -> SizesPage:
        """Return one page of the objects at any depth, in name order."""
        later = sorted(key for key in self._objects if key.startswith(prefix) and (marker is None or key > marker))
        sizes = {key: len(self._objects[key].data) for key in later[:limit]}
        return SizesPage(sizes, later[limit - 1] if len(later) > limit else None)

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""
        return self._entry(key)

    async def metadata(self, key: str) -> Mapping[str, str]:
        """Return what was committed beside the bytes."""
        return self._found(key).metadata

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version."""
        found = self._found(key)
        return found.data[:length], Version(len(found.data), found.etag)

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on; raise when the object is no longer that version."""
        found = self._found(key)
        if found.etag != version.etag:
            raise ObjectChangedError(
                f"{self._name}://{printable(key)} was replaced while it was read: "
                f"{version.etag} before, {found.etag} now.",
                hint="Run it again.",
            )
        if start + len(out) > len(found.data):
            raise RangeError(f"{printable(key)!r} is shorter than the range that was asked for.", hint="Run it again.")
        out[:] = found.data[start : start + len(out)]

    async def begin(
        self, key: str, *, overwrite: bool, size_bytes: int | None, upload_id: str | None = None
    ) -> MemoryUpload:
        """Start an upload, or go on with one of this process."""
        conflicts.check_target(key)
        if not overwrite and key in self._objects:
            raise conflicts.exists(self._name, key)
        if upload_id is not None:
            found = self._uploads.get(upload_id)
            if found is None or (found.key, found.size_bytes) != (key, size_bytes):
                raise conflicts.upload_gone(self._name, key)
            return found
        upload = MemoryUpload(self, key, size_bytes, expected=self._etag(key) if overwrite else None)
        self._uploads[upload.id] = upload
        return upload

    async def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove this one object."""
        if etag not in (None, self._found(key).etag):
            raise conflicts.changed(self._name, key)
        del self._objects[key]

    async def copy(self, key: str, to: str, *, overwrite: bool) -> Entry:
        """Copy one object."""
        found = self._found(key)
        conflicts.check_target(to)
        if not overwrite and to in self._objects:
            raise conflicts.exists(self._name, to)
        self._objects[to] = _Object(found.data, found.metadata)
        return self._entry(to)

    async def make_folder(self, key: str) -> Entry:
        """Write an empty marker."""
        conflicts.check_folder(key)
        self._objects.setdefault(key, _Object(b"", {}))
        return Entry(kind="folder", name=last(key), key=key)

    async def close(self) -> None:
        """Nothing is open; the objects stay."""

    def write(self, upload: MemoryUpload, data: bytes, metadata: Mapping[str, str]) -> Entry:
        """Put a finished upload in its place, under its condition."""
        now = self._etag(upload.key)
        if upload.expected is None and now is not None:
            raise conflicts.exists(self._name, upload.key)
        if upload.expected != now:
            raise conflicts.changed(self._name, upload.key)
        self._objects[upload.key] = _Object(data, dict(metadata))
        self.forget(upload)
        return self._entry(upload.key)

    def forget(self, upload: MemoryUpload) -> None:
        """Drop an upload that ended."""
        self._uploads.pop(upload.id, None)

    def _found(self, key: str) -> _Object:
        if key not in self._objects:
            raise conflicts.missing(self._name, key)
        return self._objects[key]

    def _etag(self, key: str) -> str | None:
        found = self._objects.get(key)
        return found.etag if found else None

    def _entry(self, key: str) -> Entry:
        found = self._found(key)
        return Entry(
            kind="object",
            name=last(key),
            key=key,
            size_bytes=len(found.data),
            modified=found.modified,
            etag=found.etag,
        )


class MemoryUpload:
    """Blocks in a dictionary; `expected` is the ETag that the commit must find, None for no object."""

    def __init__(self, backend: MemoryBackend, key: str, size_bytes: int | None, expected: str | None) -> None:
        self.id = secrets.token_hex(8)
        self.key = key
        self.size_bytes = size_bytes
        self.expected = expected
        self.block_bytes = blocks.block_size(size_bytes, most_blocks=_MOST_BLOCKS)
        self._backend = backend
        self._blocks: dict[int, bytes] = {}

    async def put(self, index: int, data: bytes | memoryview) -> None:
        """Keep a copy of the block."""
        blocks.check_block(index, len(data), block_bytes=self.block_bytes, most_blocks=_MOST_BLOCKS)
        self._blocks[index] = bytes(data)

    async def received(self) -> set[int]:
        """Return the blocks that are kept."""
        return set(self._blocks)

    async def commit(self, *, metadata: Mapping[str, str]) -> Entry:
        """Make the object."""
        sizes = {index: len(data) for index, data in self._blocks.items()}
        blocks.check_whole(sizes, block_bytes=self.block_bytes, size_bytes=self.size_bytes)
        data = b"".join(self._blocks[index] for index in sorted(self._blocks))
        return self._backend.write(self, data, metadata)

    async def abort(self) -> None:
        """Drop the blocks."""
        self._blocks.clear()
        self._backend.forget(self)
