"""What may be signed away: a link reads one object, and never lives longer than the credential it is made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jupyter_gpu_ext.errors import DeniedError

if TYPE_CHECKING:
    from datetime import datetime

    from jupyter_gpu_ext.storage.connections import Connection


@runtime_checkable
class Signing(Protocol):
    """A backend whose provider knows signed links."""

    async def signed(self, key: str, end: datetime) -> str:
        """Return a link that reads this one object until `end`.

        Raises
        ------
        DeniedError
            When the credential cannot sign, or ends sooner.
        """


def cannot_sign(connection: Connection, hint: str) -> DeniedError:
    """Return the error of a connection whose credential makes no links."""
    return DeniedError(f"Connection {connection.name!r} cannot sign links.", hint=hint)


def check_outlives(connection: Connection, credential_end: datetime | None, end: datetime) -> None:
    """Refuse a link that would promise more time than its credential has; None has no end.

    Raises
    ------
    DeniedError
        With the time until which a link may last.
    """
    if credential_end is not None and credential_end < end:
        raise DeniedError(
            f"The credential behind {connection.name} ends at {credential_end:%H:%M} UTC on {credential_end.day} "
            f"{credential_end:%b %Y}, before the link would.",
            hint="Share it for a shorter time, or renew the credential first.",
        )
