"""The connections of Azure's SDK client: the certificates to trust are read once, so that connections can stay open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from azure.core.pipeline.transport import AioHttpTransport


def transport(trusted: ssl.SSLContext | None, *, connect_seconds: float, stall_seconds: float) -> AioHttpTransport:
    """Return what sends the client's requests; to be called on the loop that uses it.

    Parameters
    ----------
    trusted : ssl.SSLContext or None
        What the service may show; None for what the system trusts.
    connect_seconds, stall_seconds : float
        How long a connection may take, and how long nothing may come.
    """
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector
    from azure.core.pipeline.transport import AioHttpTransport

    # Given the file's name, the SDK reads it for every request, and a connection with another set of certificates
    # is another connection: none would be used twice.
    session = ClientSession(
        connector=TCPConnector(ssl=True if trusted is None else trusted),
        cookie_jar=DummyCookieJar(),
        trust_env=True,
        auto_decompress=False,
    )
    return AioHttpTransport(session=session, connection_timeout=connect_seconds, read_timeout=stall_seconds)
