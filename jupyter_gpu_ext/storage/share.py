"""A link to one object that somebody else can open: short-lived, for reading, for this object alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.credentials import expires_at
from jupyter_gpu_ext.storage.signing import Signing, cannot_sign, check_outlives

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection

# What Azure, S3 and Google Cloud all allow.
MOST_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True, repr=False)
class SharedLink:
    """A link that grants; it is a secret, and shows itself only where it was asked for."""

    url: str
    expires_at: datetime


async def share(connection: Connection, key: str, *, minutes: int) -> SharedLink:
    """Sign a read-only link to one object; on the I/O loop.

    Parameters
    ----------
    minutes : int
        How long it is valid, a week at most.

    Raises
    ------
    BadRequestError
        For a span out of bounds.
    DeniedError
        When this connection's credential cannot sign, or ends sooner.
    """
    if not 1 <= minutes <= MOST_MINUTES:
        raise BadRequestError(f"{minutes} minutes are out of bounds.", hint=f"1 to {MOST_MINUTES}.")
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=minutes)
    check_outlives(connection, expires_at(connection), end)
    steady = backend(connection)
    inner = steady.inner
    if not isinstance(inner, Signing):
        raise cannot_sign(connection, "Azure, S3 and Google Cloud connections can.")
    return SharedLink(await steady.patiently(lambda: inner.signed(key, end)), end)
