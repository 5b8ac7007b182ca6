"""A link to one object that somebody else can open: short-lived, for reading, for this object alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from jupyter_gpu_ext.errors import BadRequestError, DeniedError
from jupyter_gpu_ext.storage.credentials import find_secret

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection

MOST_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True, repr=False)
class SharedLink:
    """A link that grants; it is a secret, and shows itself only where it was asked for."""

    url: str
    expires_at: datetime


def share(connection: Connection, key: str, *, minutes: int) -> SharedLink:
    """Sign a read-only link to one object.

    Parameters
    ----------
    minutes : int
        How long it is valid, a week at most.

    Raises
    ------
    BadRequestError
        For a span out of bounds.
    DeniedError
        When this connection's credential cannot sign.
    """
    if not 1 <= minutes <= MOST_MINUTES:
        raise BadRequestError(f"{minutes} minutes are out of bounds.", hint=f"1 to {MOST_MINUTES}.")
    if not connection.is_azure or connection.credential != "account-key":
        raise DeniedError(
            f"Connection {connection.name!r} cannot sign links.", hint="An Azure connection with an account key can."
        )
    return _azure(connection, key, datetime.now(UTC) + timedelta(minutes=minutes))


def _azure(connection: Connection, key: str, expires_at: datetime) -> SharedLink:
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas

    container, _, prefix = connection.path.partition("/")
    blob = f"{prefix}/{key}" if prefix else key
    if not container:
        container, _, blob = key.partition("/")
    endpoint = connection.endpoint or f"https://{connection.account}.blob.core.windows.net"
    signed = generate_blob_sas(
        connection.account,
        container,
        blob,
        account_key=find_secret(connection).reveal(),
        permission=BlobSasPermissions(read=True),
        expiry=expires_at,
        protocol="https" if endpoint.startswith("https://") else None,
    )
    return SharedLink(f"{endpoint}/{quote(container)}/{quote(blob)}?{signed}", expires_at)
