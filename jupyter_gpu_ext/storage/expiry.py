"""When a credential ends: one error that says so and how to renew it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import DeniedError, ExpiredError
from jupyter_gpu_ext.storage.credentials import expires_at
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.credentials import Secret

# What the services say where their code says only that the request was refused:
# https://learn.microsoft.com/troubleshoot/azure/azure-storage/blobs/authentication/storage-troubleshoot-403-errors
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_ENDED = re.compile(
    r"Signature not valid in the specified time frame|The (provided |access )?token (is|has) expired|"
    r"\b(ExpiredToken|TokenExpired|RequestExpired|ExpiredTokenException)\b|\bRequest has expired\b",
    re.IGNORECASE,
)
_STARTS = re.compile(r"Start \[([^\]]{1,40})\] - Expiry \[[^\]]*\] - Current \[([^\]]{1,40})\]")

_WORDS = {"sas": "link", "bearer": "token", "connection-string": "connection string"}
_CURES = {
    "bearer": "Put a new token where its secret is ({place})",
    "azure-cli": "Run `az login`",
    "keys": "Put new keys where its secret is ({place})",
    "profile": "Run `aws sso login`, or renew the profile",
}


def expired(connection: Connection, end: datetime | None = None) -> ExpiredError:
    """Return the error of a credential that has ended, at `end` where that is known."""
    what = _WORDS.get(connection.credential, "credential")
    when = f" at {end:%H:%M} UTC on {end.day} {end:%b %Y}" if end else ""
    return ExpiredError(
        f"The {what} behind {connection.name} expired{when}.",
        hint=f"{_cure(connection, what)}, then run this again.",
    )


def _cure(connection: Connection, what: str) -> str:
    if connection.credential in _CURES:
        return _CURES[connection.credential].format(place=redact(connection.secret))
    if connection.kind == "gs":
        return "Run `gcloud auth application-default login`"
    return f"Ask for a new {what}, give it to `%blob connect --name {connection.name} --renew`"


def ended(connection: Connection, secret: Secret | None) -> ExpiredError | None:
    """Return the error when, by its own words, this secret has ended by now; None otherwise.

    The services do not always say it: a refusal of an expired signature may read like any other.
    """
    end = expires_at(connection, secret) if secret is not None else None
    return expired(connection, end) if end is not None and end <= datetime.now(UTC) else None


def refused_for_time(connection: Connection, text: str) -> DeniedError | None:
    """Return the error when a refusal's own text says that the time is the reason; None otherwise."""
    if not _ENDED.search(text):
        return None
    if (times := _STARTS.search(text)) and _time(times[1]) > _time(times[2]):
        return DeniedError(
            f"The link behind {connection.name} is not valid before {times[1]}.", hint="Wait, or ask for another."
        )
    return expired(connection)


def _time(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
