"""From an HTTP status and a provider's error code to our error.

Codes: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import (
    ArchivedError,
    BadStorageReplyError,
    BrokenReplyError,
    DeniedError,
    GpuExtError,
    NotFoundError,
    ObjectChangedError,
    RangeError,
    StorageTimeoutError,
    ThrottledError,
    UnauthenticatedError,
)
from jupyter_gpu_ext.storage.credentials import has_own_secret, identity
from jupyter_gpu_ext.storage.expiry import expired
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection

# What a code looks like: BlobNotFound, SlowDown, InvalidMD5.
_WORD = re.compile(r"(?=.{3,64}$)([A-Z]{1,4}[a-z]+\d*)+[A-Z0-9]{0,4}")

Row = tuple[type[GpuExtError], str, str]

_CONTAINER: Row = (NotFoundError, "{place} has no {noun} {container!r}.", "Check root of connection {name!r}.")
_ARCHIVED: Row = (
    ArchivedError,
    "{shown} is archived: cannot be read.",
    "Move it to the hot or cool tier, or restore it, first.",
)
_REFUSED: Row = (DeniedError, "{place} refused {who!r}, by which {name!r} asks{detail}.", "{cure}")
_REPLACED: Row = (ObjectChangedError, "{shown} was replaced while it was read.", "Run it again.")
_BUSY: Row = (ThrottledError, "{place} is throttling{detail}.", "Wait a minute, then run it again.")
_LATE: Row = (StorageTimeoutError, "{place} timed out{detail}.", "Run it again.")
_FAILED: Row = (BrokenReplyError, "{place} answered {status}{detail}.", "Run it again.")
_ODD: Row = (BadStorageReplyError, "{place} answered {status}{detail}.", "Run it again.")

# A code counts more than its status.
_BY_CODE: dict[tuple[int, str], Row] = {
    (404, "ContainerNotFound"): _CONTAINER,
    (404, "NoSuchBucket"): _CONTAINER,
    (403, "InvalidObjectState"): _ARCHIVED,
    (409, "InvalidObjectState"): _ARCHIVED,
    (403, "BlobArchived"): _ARCHIVED,
    (409, "BlobArchived"): _ARCHIVED,
    # A condition that failed: Azure's `If-None-Match: *`, and two writers at the same time on S3.
    (409, "BlobAlreadyExists"): _REPLACED,
    (409, "ConditionalRequestConflict"): _REPLACED,
}
_BY_STATUS: dict[int, Row] = {
    401: (UnauthenticatedError, *_REFUSED[1:]),
    403: _REFUSED,
    404: (
        NotFoundError,
        "{shown} does not exist.",
        "`%blob ls {name}://` shows what is there; names are case-sensitive.",
    ),
    408: _LATE,
    412: _REPLACED,
    416: (RangeError, "{shown} is shorter than the range that was asked for.", "Run it again."),
    429: _BUSY,
    500: _FAILED,
    502: _FAILED,
    503: _BUSY,
    504: _LATE,
}


def from_status(connection: Connection, key: str, status: int, code: str) -> GpuExtError:
    """Return our error for an HTTP status and a provider's error code, '' where there is none."""
    # What an endpoint sends in its place may be anything.
    code = code if _WORD.fullmatch(code) else ""
    # AWS answers 400 to a session that has ended.
    if status in (400, 401, 403) and "Expired" in code:
        return expired(connection)
    kind, message, hint = _BY_CODE.get((status, code)) or _BY_STATUS.get(status, _ODD)
    container = connection.path.partition("/")[0] or key.partition("/")[0]
    said = {
        "shown": f"{connection.name}://{printable(redact(key))}",
        "place": place_of(connection),
        "noun": "container" if connection.is_azure else "bucket",
        "container": printable(container),
        "name": connection.name,
        "who": identity(connection),
        "detail": f" ({code})" if code else "",
        "cure": _cure(connection),
        "status": status,
    }
    return kind(message.format_map(said), hint=hint.format_map(said))


def place_of(connection: Connection) -> str:
    """Return whose service it is, for messages."""
    return connection.account or connection.endpoint or connection.root


def _cure(connection: Connection) -> str:
    if has_own_secret(connection) or connection.credential == "anonymous" or connection.kind != "az":
        return "Check that the secret belongs to this account and grants this."
    container = connection.path.partition("/")[0]
    where = f"container {container}" if container else f"account {connection.account}"
    return f"It needs the role Storage Blob Data Reader on {where} (Owner is not enough)."
