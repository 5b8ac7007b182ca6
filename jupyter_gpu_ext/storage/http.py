"""Objects behind plain web addresses: read by ranges, never listed, never followed to where no link may lead."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from jupyter_gpu_ext.errors import BadRequestError, BadStorageReplyError, ObjectChangedError
from jupyter_gpu_ext.storage import trust
from jupyter_gpu_ext.storage.addresses import check_address, check_host
from jupyter_gpu_ext.storage.faults import translated
from jupyter_gpu_ext.storage.models import Entry, RawPage, Version
from jupyter_gpu_ext.storage.names import last
from jupyter_gpu_ext.storage.retry import parse_retry_after
from jupyter_gpu_ext.storage.statuses import from_status
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime

    from jupyter_gpu_ext.storage.connections import Connection

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=15)
# With aiohttp's own 64 KiB the socket is stopped and started for every few packets.
_BUFFER_BYTES = 1 << 20
_MOST_HOPS = 5
_MOVED = {301, 302, 303, 307, 308}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_DOTS = re.compile(r"(^|/)\.{1,2}(/|$)")


class CheckedResolver(AbstractResolver):
    """Looks names up and hands on only addresses that a link may lead to: what was checked is what is called."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[Any]:
        """Return the addresses of a name."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        rows = []
        for of, _, protocol, _, place in found:
            address = str(place[0])
            check_address(ipaddress.ip_address(address.partition("%")[0]), host)
            rows.append(
                {"hostname": host, "host": address, "port": place[1], "family": of, "proto": protocol, "flags": 0}
            )
        return rows

    async def close(self) -> None:
        """Nothing is open."""


class HTTPBackend:
    """The objects below an http(s) address; the key '' is the object at the address itself.

    Where a server gives no strong ETag, an object's version is its size and its time of change, and the
    version says so in words.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._session: aiohttp.ClientSession | None = None

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Refuse: the web has no listings."""
        raise BadRequestError(
            f"{self._connection.name}:// is a web address: it cannot be listed.",
            hint=f"Name an object: {self._connection.name}://path/file.",
        )

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""
        async with self._asked("HEAD", key, {}) as reply:
            self._check(key, reply, {200})
            size = reply.headers.get("Content-Length")
            return Entry(
                kind="object",
                name=last(key) if key else last(urlsplit(self._connection.root).path),
                key=key,
                size_bytes=int(size) if size and size.isdigit() else None,
                modified=_modified(reply.headers),
                etag=_version(reply.headers, size),
            )

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version, in one request."""
        async with self._asked("GET", key, {"Range": f"bytes=0-{length - 1}"}) as reply:
            if reply.status == 416:
                return b"", Version(0, _version(reply.headers, "0"))
            self._check(key, reply, {200, 206})
            size = self._total(key, reply, 0)
            data = await _read(reply, min(length, size))
            if len(data) != min(length, size):
                raise BadStorageReplyError(f"{printable(key)!r} came short.", hint="Run it again.")
            return data, Version(size, _version(reply.headers, str(size)))

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on; raise when it is no longer that version."""
        headers = {"Range": f"bytes={start}-{start + len(out) - 1}"}
        if version.etag.startswith('"'):
            headers["If-Match"] = version.etag
        async with self._asked("GET", key, headers) as reply:
            if reply.status in (412, 416):
                raise self._changed(key, version, await self._now(key))
            self._check(key, reply, {200, 206})
            now = _version(reply.headers, str(self._total(key, reply, start)))
            if now != version.etag:
                raise self._changed(key, version, now)
            if reply.status != 206:
                raise BadStorageReplyError(
                    f"{urlsplit(self._connection.root).hostname} sends whole objects only.",
                    hint="Download the object, then read the file.",
                )
            data = await _read(reply, len(out))
        if len(data) != len(out):
            raise BadStorageReplyError(
                f"{printable(key)!r}: {len(out)} bytes were asked for, {len(data)} came.", hint="Run it again."
            )
        out[:] = data

    async def close(self) -> None:
        """Close the connections that are open."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def _asked(self, method: str, key: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        address = self._address(key)
        with translated(self._connection, key):
            for hop in range(_MOST_HOPS):
                self._check_address(address)
                if hop:
                    await self._check_inward(address)
                # `encoded`: the key is quoted already, and must not be changed again.
                target = URL(address, encoded=True)
                async with self._opened().request(method, target, headers=headers, allow_redirects=False) as reply:
                    if reply.status not in _MOVED or "Location" not in reply.headers:
                        yield reply
                        return
                    address = urljoin(address, reply.headers["Location"])
        raise BadStorageReplyError(f"{printable(key)!r} leads from address to address without end.")

    def _check_address(self, address: str) -> None:
        parts = urlsplit(address)
        secure = urlsplit(self._connection.root).scheme == "https"
        if parts.scheme not in ({"https"} if secure else {"http", "https"}) or "@" in parts.netloc:
            raise BadStorageReplyError(
                f"{urlsplit(self._connection.root).hostname} leads to an address that is not followed.",
                hint="Connect the address where the object really is.",
            )
        check_host(parts.hostname or "")

    async def _check_inward(self, address: str) -> None:
        """Refuse to be led from the public web into this machine's own network."""
        root, target = (urlsplit(one).hostname or "" for one in (self._connection.root, address))
        if root == target or not await _is_private(target) or await _is_private(root):
            return
        raise BadStorageReplyError(
            f"{root} leads into a private network; it was not followed.",
            hint="Connect the address where the object really is.",
        )

    def _address(self, key: str) -> str:
        if _DOTS.search(key):
            raise BadRequestError(f"{printable(key)!r} names no object below the root.", hint="Leave '.' and '..' out.")
        root = self._connection.root
        return f"{root.removesuffix('/')}/{quote(key, safe='/')}" if key else root

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=CheckedResolver(), use_dns_cache=False, ssl=trust.context(self._connection) or True
                ),
                # As stored: a server must not pack what is read by ranges.
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_TIMEOUT,
                read_bufsize=_BUFFER_BYTES,
                trust_env=True,
            )
        return self._session

    def _check(self, key: str, reply: aiohttp.ClientResponse, wanted: set[int]) -> None:
        if reply.status not in wanted:
            told = from_status(self._connection, key, reply.status, "")
            told.retry_after_seconds = parse_retry_after(reply.headers.get("Retry-After"))
            raise told

    def _total(self, key: str, reply: aiohttp.ClientResponse, start: int) -> int:
        if reply.status == 200 and (size := reply.headers.get("Content-Length", "")).isdigit():
            return int(size)
        found = _CONTENT_RANGE.fullmatch(reply.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start:
            raise BadStorageReplyError(f"{printable(key)!r}: another range came.", hint="Run it again.")
        return int(found[3])

    async def _now(self, key: str) -> str:
        return str((await self.head(key)).etag)

    def _changed(self, key: str, version: Version, now: str) -> ObjectChangedError:
        return ObjectChangedError(
            f"{self._connection.name}://{printable(key)} was replaced while it was read: "
            f"{version.etag} before, {now} now.",
            hint="Run it again.",
        )


async def _is_private(host: str) -> bool:
    try:
        found = await CheckedResolver().resolve(host)
    except OSError:
        # A proxy may know it; what it can reach is its own affair.
        return False
    return any(not ipaddress.ip_address(one["host"].partition("%")[0]).is_global for one in found)


async def _read(reply: aiohttp.ClientResponse, most: int) -> bytes:
    # A server may send more than was asked for, without end.
    parts, left = list[bytes](), most
    while left and (more := await reply.content.readany()):
        parts.append(more[:left])
        left -= len(parts[-1])
    return b"".join(parts)


def _version(headers: Mapping[str, str], size: str | None) -> str:
    # A weak tag says "much the same", not "the same bytes": https://www.rfc-editor.org/rfc/rfc9110#section-8.8.1
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return f"size {size or 'unknown'}, changed {headers.get('Last-Modified', 'at an unknown time')}"


def _modified(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["Last-Modified"])
    except (KeyError, ValueError):
        return None
