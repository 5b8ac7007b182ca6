"""Open backends: one a connection and process, on the I/O loop, closed at exit."""

from __future__ import annotations

import asyncio
import atexit
import os
from functools import partial
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, DeniedError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.connections import PROTOCOLS, Connection
from jupyter_gpu_ext.storage.credentials import Secret, find_secret, has_own_secret
from jupyter_gpu_ext.storage.expiry import ended
from jupyter_gpu_ext.storage.limiter import limiter_of
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.retry import LOCAL, REMOTE
from jupyter_gpu_ext.storage.steady import Steady

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.models import Backend
    from jupyter_gpu_ext.storage.url import ObjectURL

# What no network lies before.
_HERE = {"local", "memory"}
_WRITABLE = {"az", "s3", "memory", "local"}

_OPEN: dict[tuple[Connection, Secret | None], Steady] = {}
# The parent's, in a forked child: never used there, and kept, since the threads that could end it are gone.
_LEFT_BEHIND: dict[tuple[Connection, Secret | None], Steady] = {}


def resolve(url: ObjectURL) -> tuple[Steady, str]:
    """Return the backend and the key that a URL means.

    Raises
    ------
    NotFoundError, BadRequestError
        As for `locate`.
    """
    connection, key = locate(url)
    return _opened(connection), key


def locate(url: ObjectURL) -> tuple[Connection, str]:
    """Return the connection and the key that a URL means.

    The connections file is read each time, so that an edit counts at once.

    Raises
    ------
    NotFoundError
        When no connection has that name.
    BadRequestError
        For a protocol that needs a connection.
    """
    if url.scheme == "file":
        return Connection(name="file", root="/"), url.key.lstrip("/")
    if url.scheme in PROTOCOLS:
        raise BadRequestError(
            f"{url.scheme}:// needs a connection, which says who asks.",
            hint=f"Add one to {connections.user_file()} and write its name: name://key.",
        )
    return connections.load().find(url.scheme), url.key


def backend(connection: Connection) -> Steady:
    """Return the open backend of a connection; its secret is looked up anew, so that a new one counts."""
    return _opened(connection)


def _opened(connection: Connection) -> Steady:
    _check_fork(connection)
    secret = find_secret(connection) if has_own_secret(connection) else None
    if (connection, secret) not in _OPEN:
        _OPEN[connection, secret] = _steady(connection, secret)
    return _OPEN[connection, secret]


def _check_fork(connection: Connection) -> None:
    """Refuse the network in a child whose parent used it: the clients' own threads did not survive the fork."""
    if connection.kind not in _HERE and any(one.kind not in _HERE for one, _ in _LEFT_BEHIND):
        raise BadRequestError(
            "Storage was used before this process was forked.",
            hint="Start workers with spawn or forkserver: multiprocessing_context='spawn' in a DataLoader.",
        )


def _leave_behind() -> None:
    _LEFT_BEHIND.update(_OPEN)
    _OPEN.clear()


os.register_at_fork(after_in_child=_leave_behind)


def _steady(connection: Connection, secret: Secret | None) -> Steady:
    inner = open_backend(connection, secret)
    if connection.kind in _HERE:
        return Steady(inner, limiter_of(connection.root), LOCAL)
    account = connection.account or connection.endpoint or connection.path.partition("/")[0]
    return Steady(inner, limiter_of(account), REMOTE, partial(ended, connection, secret))


def writable(connection: Connection) -> Steady:
    """Return the open backend of a connection that may write.

    Raises
    ------
    DeniedError
        When the connection is read-only, or its kind is only read.
    """
    if connection.read_only:
        raise DeniedError(
            f"Connection {connection.name!r} is read-only.",
            hint=f"Set read_only = false for it in {connections.user_file()}.",
        )
    if connection.kind not in _WRITABLE:
        raise DeniedError(
            f"Connection {connection.name!r} is only read: {connection.root} cannot be written to here.",
            hint="Write to another connection.",
        )
    return _opened(connection)


def open_backend(connection: Connection, secret: Secret | None) -> Backend:
    """Return a new backend that nobody else has; who asked for it closes it."""
    match connection.kind:
        case "az":
            from jupyter_gpu_ext.storage.azure import AzureBackend

            return AzureBackend(connection, secret)
        case "s3":
            from jupyter_gpu_ext.storage.s3 import S3Backend

            return S3Backend(connection, secret)
        case "gs":
            from jupyter_gpu_ext.storage.gcs import GCSBackend

            return GCSBackend(connection, secret)
        case "http":
            from jupyter_gpu_ext.storage.http import HTTPBackend

            return HTTPBackend(connection)
        case "fsspec":
            from jupyter_gpu_ext.storage.generic import FsspecBackend

            return FsspecBackend(connection)
        case "memory":
            from jupyter_gpu_ext.storage.memory import MemoryBackend

            return MemoryBackend(connection.name, connection.root)
        case _:
            from jupyter_gpu_ext.storage.local import LocalBackend

            return LocalBackend(connection.name, connection.path)


async def _close() -> None:
    backends = list(_OPEN.values())
    _OPEN.clear()
    await asyncio.gather(*(one.close() for one in backends), return_exceptions=True)


@atexit.register
def close_all() -> None:
    """Close every backend of this process."""
    if _OPEN:
        LOOP.run(asyncio.wait_for(_close(), timeout=2))
