"""What storage says about objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Version:
    """Which bytes an object had when it was opened; every later read asks for these."""

    size_bytes: int
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of a listing.

    Attributes
    ----------
    key : str
        Below the connection's root, byte-exact; a folder's ends with a slash.
    name : str
        The last part of the key.
    unreadable : str or None
        Why this name cannot be opened.
    md5 : bytes or None
        Of the whole object, where the provider keeps it.
    """

    kind: Literal["folder", "object"]
    name: str
    key: str
    size_bytes: int | None = None
    modified: datetime | None = None
    etag: str | None = None
    tier: str | None = None
    unreadable: str | None = None
    md5: bytes | None = None


@dataclass(frozen=True, slots=True)
class RawPage:
    """A provider's page: the rows, and the provider's own marker of the next page."""

    entries: tuple[Entry, ...]
    marker: str | None


@dataclass(frozen=True, slots=True)
class SizesPage:
    """The sizes in bytes of objects at any depth, by key, and the provider's own marker of the next page."""

    sizes: Mapping[str, int]
    marker: str | None


class Backend(Protocol):
    """One connection's objects. Every method runs on the I/O loop and raises `GpuExtError` only."""

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix` ('' or ending with a slash); one request.

        `search` keeps the rows whose name starts with it; the provider picks them where it can.
        """

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first `length` bytes or fewer, and the version they belong to."""

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of that version from `start` on, or raise."""

    async def close(self) -> None:
        """Close the connections that are open."""


@runtime_checkable
class Deep(Protocol):
    """A backend that lists objects at any depth at once, without a request a folder."""

    async def sizes_below(self, prefix: str, *, marker: str | None, limit: int) -> SizesPage:
        """Return one page of the objects below `prefix`; one request, which may bring fewer than `limit`."""


@runtime_checkable
class Wholesale(Protocol):
    """A backend that brings objects at less cost: where nobody asks for the version, or the memory is there."""

    async def whole(self, key: str, most_bytes: int) -> memoryview:
        """Return an object, of a longer one its first `most_bytes`; one request, two for an empty object."""

    async def first_into(self, key: str, out: memoryview) -> Version:
        """Fill `out` with the first bytes, a shorter object its beginning; return the version, as `first` does."""


@runtime_checkable
class Renewing(Protocol):
    """A backend whose credential can be asked for again when the service says that it has ended.

    Attributes
    ----------
    asked : int
        How often it was asked for by now.
    """

    @property
    def asked(self) -> int:
        """How often it was asked for by now."""

    def renew(self, asked: int) -> bool:
        """Drop what was there when `asked` was read; return whether something else can be had."""


class Upload(Protocol):
    """One object being written: blocks in any order, invisible until `commit`.

    Attributes
    ----------
    id : str
        Hand it to `begin` again to go on after a restart.
    block_bytes : int
        Every block but the last has this size.
    """

    id: str
    block_bytes: int

    async def put(self, index: int, data: bytes | memoryview) -> None:
        """Write block `index`; the same index again replaces it."""

    async def received(self) -> set[int]:
        """Return the blocks that the provider holds now."""

    async def commit(self, *, metadata: Mapping[str, str]) -> Entry:
        """Make the object out of blocks 0 to the last, at once and under the condition of `begin`.

        Raises
        ------
        ExistsError
            When `begin` found no object and there is one now.
        ObjectChangedError
            When the object is not the one that `begin` found.
        BadRequestError
            When a block is missing or has the wrong size; the upload stays as it is.
        """

    async def abort(self) -> None:
        """Give up: nothing of the upload can be committed any more."""


class WritableBackend(Backend, Protocol):
    """A backend that also writes. A folder is never removed or copied with what is in it."""

    async def begin(self, key: str, *, overwrite: bool, size_bytes: int | None, upload_id: str | None = None) -> Upload:
        """Start an upload, or go on with the one of that id, key and size.

        Raises
        ------
        ExistsError
            Without `overwrite`, when the object exists already.
        NotFoundError
            When nothing is left of the upload `upload_id`.
        """

    async def metadata(self, key: str) -> Mapping[str, str]:
        """Return what `commit` wrote beside the bytes; empty where the provider keeps nothing."""

    async def delete(self, key: str, *, etag: str | None = None) -> None:
        """Remove this one object, of this version where `etag` is given.

        Raises
        ------
        ObjectChangedError
            When the object has another ETag.
        """

    async def copy(self, key: str, to: str, *, overwrite: bool) -> Entry:
        """Copy one object within the connection, on the provider's side where it can.

        Raises
        ------
        ExistsError
            Without `overwrite`, when `to` exists.
        """

    async def make_folder(self, key: str) -> Entry:
        """Make the empty folder `key`, which ends with a slash; a marker object where there are no folders."""
