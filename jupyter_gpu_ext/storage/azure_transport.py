"""The connections of Azure's SDK client: the certificates to trust are read once, so that connections can stay open."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AioHttpTransport


def transport(certificates: str, *, connect_seconds: float, stall_seconds: float) -> AioHttpTransport:
    """Return what sends the client's requests; to be called on the loop that uses it.

    Parameters
    ----------
    certificates : str
        The file or folder of certificates to trust; empty for the system's.
    connect_seconds, stall_seconds : float
        How long a connection may take, and how long nothing may come.

    Raises
    ------
    OSError
        When the certificates cannot be read.
    """
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector
    from azure.core.pipeline.transport import AioHttpTransport

    # Given the file's name, the SDK reads it for every request, and a connection with another set of certificates
    # is another connection: none would be used twice.
    trusted: Any = _trusted(certificates) if certificates else True
    session = ClientSession(
        connector=TCPConnector(ssl=trusted), cookie_jar=DummyCookieJar(), trust_env=True, auto_decompress=False
    )
    return AioHttpTransport(session=session, connection_timeout=connect_seconds, read_timeout=stall_seconds)


def _trusted(certificates: str) -> ssl.SSLContext:
    if Path(certificates).is_dir():
        return ssl.create_default_context(capath=certificates)
    return ssl.create_default_context(cafile=certificates)
