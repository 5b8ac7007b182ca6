"""Open backends: one a connection and process, on the I/O loop, closed at exit."""

from __future__ import annotations

import asyncio
import atexit
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.connections import PROTOCOLS, Connection
from jupyter_gpu_ext.storage.credentials import Secret, find_secret
from jupyter_gpu_ext.storage.loop import LOOP

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.models import Backend
    from jupyter_gpu_ext.storage.url import ObjectURL

_OPEN: dict[tuple[Connection, Secret | None], Backend] = {}


def resolve(url: ObjectURL) -> tuple[Backend, str]:
    """Return the backend and the key that a URL means.

    The connections file is read each time, so that an edit counts at once.

    Raises
    ------
    NotFoundError
        When no connection has that name.
    BadRequestError
        For a protocol that needs a connection.
    """
    if url.scheme == "file":
        path = url.key.lstrip("/")
        return _opened(Connection(name="file", root="/")), path
    if url.scheme in PROTOCOLS:
        raise BadRequestError(
            f"{url.scheme}:// needs a connection, which says who asks.",
            hint=f"Add one to {connections.user_file()} and write its name: name://key.",
        )
    return backend(connections.load().find(url.scheme)), url.key


def backend(connection: Connection) -> Backend:
    """Return the open backend of a connection; its secret is looked up anew, so that a new one counts."""
    return _opened(connection)


def _opened(connection: Connection) -> Backend:
    secret = find_secret(connection) if connection.is_azure and connection.credential == "account-key" else None
    if (connection, secret) not in _OPEN:
        _OPEN[connection, secret] = _open(connection, secret)
    return _OPEN[connection, secret]


def _open(connection: Connection, secret: Secret | None) -> Backend:
    if connection.is_azure:
        from jupyter_gpu_ext.storage.azure import AzureBackend

        return AzureBackend(connection, secret)
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
