"""What storage says about objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
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
    """

    kind: Literal["folder", "object"]
    name: str
    key: str
    size_bytes: int | None = None
    modified: datetime | None = None
    etag: str | None = None
    tier: str | None = None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class RawPage:
    """A provider's page: the rows, and the provider's own marker of the next page."""

    entries: tuple[Entry, ...]
    marker: str | None


class Backend(Protocol):
    """One connection's objects. Every method runs on the I/O loop and raises `GpuExtError` only."""

    async def list_page(self, prefix: str, *, marker: str | None, limit: int) -> RawPage:
        """Return one page of the folder `prefix` ('' or ending with a slash); one request."""

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first `length` bytes or fewer, and the version they belong to."""

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes of that version from `start` on, or raise."""

    async def close(self) -> None:
        """Close the connections that are open."""
