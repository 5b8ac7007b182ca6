"""Which certificates a connection's servers may show: the same for every client, listing and bytes alike.

Proxies need nothing here: each client follows HTTPS_PROXY, HTTP_PROXY and NO_PROXY by itself.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import NoCredentialError
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.connections import Connection

# What requests, botocore and OpenSSL are told by; the first that is set counts, for all clients.
_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def certificates(connection: Connection, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of the certificates to trust; None for the usual ones.

    Raises
    ------
    NoCredentialError
        When it is not there, or holds no certificate.
    """
    said = [(f"ca_file of connection {connection.name!r}", connection.ca_file)]
    said += [(name, environ.get(name, "")) for name in ("AWS_CA_BUNDLE",) * (connection.kind == "s3") + _VARIABLES]
    for where, place in said:
        if place:
            _check(connection, where, Path(place))
            return Path(place)
    return None


def pem(connection: Connection) -> bytes | None:
    """Return the certificates to trust as text, for a client that takes no file; None for the usual ones."""
    place = certificates(connection)
    return place.read_bytes() if place else None


def context(connection: Connection) -> ssl.SSLContext | None:
    """Return what aiohttp is to trust beside the usual certificates; None for these alone."""
    found = pem(connection)
    if found is None:
        return None
    made = ssl.create_default_context()
    made.load_verify_locations(cadata=found.decode("ascii", "ignore"))
    return made


def _check(connection: Connection, where: str, place: Path) -> None:
    hint = f"Correct {where}: a file of certificates in PEM."
    shown = redact(str(place))
    try:
        found = place.read_bytes()
    except OSError:
        raise NoCredentialError(
            f"The certificates of {connection.name!r}, {shown}, cannot be read.", hint=hint
        ) from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=found.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        raise NoCredentialError(f"{shown} holds no certificates for {connection.name!r}.", hint=hint) from None
