"""Try a connection: what may this identity do here, and how far away is it? Nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

from jupyter_gpu_ext.errors import DeniedError, GpuExtError, UnreachableError
from jupyter_gpu_ext.storage.sas import Grants
from jupyter_gpu_ext.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.models import Backend

# A provider in the same region answers within this.
NEAR_SECONDS = 0.010
_CONNECT_SECONDS = 3
_ENTRIES = 5
# A name may stand for an address of a kind that this network does not carry.
_PLACES = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    what: Literal["list", "read", "write"]
    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out.

    Attributes
    ----------
    round_trip_seconds : float or None
        From here to the provider's address and back; None for a folder, and where a proxy is in between.
    failure : GpuExtError or None
        Why nothing at all can be listed or read.
    """

    checks: tuple[Check, ...]
    grants: Grants
    round_trip_seconds: float | None
    failure: GpuExtError | None


async def run(
    connection: Connection, backend: Backend, *, key: str, one_object: bool, grants: Grants, write: bool
) -> Trial:
    """Try a connection with two or three small requests.

    Parameters
    ----------
    key : str
        An object to read a byte of; '' takes the first that is listed.
    one_object : bool
        Only `key` is granted: nothing is listed.
    grants : Grants
        What the link says of itself; what is tried counts more.
    write : bool
        Whether writing matters. It is tried where that leaves nothing behind.
    """
    distance = await round_trip(connection)
    if distance is None and address(connection) and not getproxies():
        # The clients would ask again and again; a person who pastes a link waits for an answer.
        gone = UnreachableError(
            f"{urlsplit(address(connection)).hostname} cannot be reached.", hint="Check the link, and the network."
        )
        return Trial((), grants, None, gone)
    checks, failures = list[Check](), list[GpuExtError]()
    with _noted("list", checks, failures):
        key = key if one_object else await _list(backend, key, checks)
    with _noted("read", checks, failures):
        if key:
            await backend.first(key, 1)
            checks.append(Check("read", True, printable(key)))
    works = any(check.ok for check in checks)
    if write and works:
        checks += await _write(connection, backend, grants)
    failure = failures[0] if failures and not works else None
    return Trial(tuple(checks), _known(grants, checks), distance, failure)


@contextlib.contextmanager
def _noted(what: Literal["list", "read"], checks: list[Check], failures: list[GpuExtError]) -> Iterator[None]:
    try:
        yield
    except GpuExtError as error:
        failures.append(error)
        checks.append(Check(what, False, error.message))


async def _list(backend: Backend, key: str, checks: list[Check]) -> str:
    page = await backend.list_page("", marker=None, limit=_ENTRIES)
    more = " or more" if page.marker else ""
    checks.append(Check("list", True, f"{format_count(len(page.entries), 'name')}{more}"))
    return key or next((one.key for one in page.entries if one.kind == "object" and not one.unreadable), "")


async def round_trip(connection: Connection) -> float | None:
    """Return how long a connection to the provider's address takes to open: one round trip; the best of three."""
    parts = urlsplit(address(connection))
    if not parts.hostname:
        return None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        # The name is looked up before: it is no part of the way.
        places = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    for *_, place in places[:_PLACES]:
        with contextlib.suppress(OSError, TimeoutError):
            return min([await _opened(str(place[0]), port) for _ in range(3)])
    return None


def address(connection: Connection) -> str:
    """Return the address that the connection's requests go to; '' for a folder, and where it is not known here."""
    if connection.endpoint or connection.kind == "http":
        return connection.endpoint or connection.root
    if connection.kind == "az" and connection.account:
        return f"https://{connection.account}.blob.core.windows.net"
    if connection.kind == "s3":
        region = f".{connection.region}" if connection.region else ""
        return f"https://s3{region}.amazonaws.com"
    return "https://storage.googleapis.com" if connection.kind == "gs" else ""


async def _opened(host: str, port: int) -> float:
    started = time.monotonic()
    async with asyncio.timeout(_CONNECT_SECONDS):
        _, writer = await asyncio.open_connection(host, port)
    seconds = time.monotonic() - started
    writer.close()
    return seconds


async def _write(connection: Connection, backend: Backend, grants: Grants) -> list[Check]:
    if connection.kind == "local":
        may = os.access(connection.path, os.W_OK)
        return [Check("write", may, "" if may else "This user may not write here.")]
    if grants.write is not None:
        return [Check("write", grants.write, "" if grants.write else "The link does not grant writing.")]
    probe = getattr(backend, "probe_write", None)
    if probe is None:
        return []
    try:
        return [Check("write", await probe(), "")]
    except DeniedError as error:
        return [Check("write", False, error.message)]
    except GpuExtError:
        return []


def _known(said: Grants, checks: list[Check]) -> Grants:
    tried = {check.what: check.ok for check in checks}
    return Grants(
        list=tried.get("list", said.list),
        read=tried.get("read", said.read),
        write=tried.get("write", said.write),
        delete=said.delete,
    )
