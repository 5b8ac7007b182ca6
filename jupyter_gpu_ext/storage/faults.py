"""From the clients' exceptions to our errors.

The clients' own texts are never passed on: they hold URLs with signatures, and XML.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import (
    ArchivedError,
    BadStorageReplyError,
    DeniedError,
    ExpiredError,
    GpuExtError,
    NotFoundError,
    NotInstalledError,
    ObjectChangedError,
    RangeError,
    StorageTimeoutError,
    ThrottledError,
    UnreachableError,
)
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.storage.connections import Connection

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_NETWORK = re.compile(r"error sending request|connect error|dns error|tcp connect|Connection refused", re.IGNORECASE)


@contextmanager
def translated(connection: Connection, key: str) -> Iterator[None]:
    """Turn whatever a storage client raises inside into one of our errors."""
    try:
        yield
    except (GpuExtError, asyncio.CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 -- two clients, dozens of types: all end here, as one family
        raise fault(connection, key, error) from None


def fault(connection: Connection, key: str, error: Exception) -> GpuExtError:
    """Return our error for a client's exception."""
    if isinstance(error, ImportError):
        return NotInstalledError(f"A package is missing: {error.name}.", hint="pip install jupyter_gpu_ext again.")
    text = str(error)
    status = getattr(error, "status_code", None) or _number(_STATUS.search(text))
    code = getattr(error, "error_code", None) or _first(_CODE.search(text))
    if status is None and isinstance(error, FileNotFoundError):
        status = 404
    if status is not None:
        return from_status(connection, key, int(status), str(getattr(code, "value", code) or ""))
    if isinstance(error, TimeoutError) or "timed out" in text.lower() or "timeout" in type(error).__name__.lower():
        return StorageTimeoutError(
            f"{_place(connection)} made no progress in time.",
            hint="Run it again; if it stays, check the network.",
        )
    if _NETWORK.search(text) or "Request" in type(error).__name__ or isinstance(error, OSError):
        return UnreachableError(
            f"{_place(connection)} cannot be reached.",
            hint=f"Check account and endpoint of connection {connection.name!r}, and the network or proxy.",
        )
    return BadStorageReplyError(
        f"{_place(connection)} gave an answer that is not understood ({type(error).__name__}).",
        hint="Run it again; if it stays, the endpoint may not be a blob service.",
    )


def from_status(connection: Connection, key: str, status: int, code: str) -> GpuExtError:
    """Return our error for an HTTP status and a provider's error code.

    Codes: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
    """
    shown = f"{connection.name}://{printable(redact(key))}"
    detail = f" ({code})" if code else ""
    match status:
        case 404 if code == "ContainerNotFound":
            container = connection.path.partition("/")[0] or key.partition("/")[0]
            return NotFoundError(
                f"{_place(connection)} has no container {printable(container)!r}.",
                hint=f"Check root of connection {connection.name!r}.",
            )
        case 404:
            return NotFoundError(
                f"{shown} does not exist.", hint="`%blob ls` shows what is there; names are case-sensitive."
            )
        case 409 if code == "BlobArchived":
            return ArchivedError(f"{shown} is archived: cannot be read.", hint="Move it to the hot or cool tier first.")
        case 401 | 403 if "Expired" in code:
            return ExpiredError(
                f"The credential of {connection.name!r} has expired.", hint="Renew it, then run this again."
            )
        case 401 | 403:
            who = connection.credential.replace("-", " ")
            return DeniedError(
                f"{_place(connection)} refused the {who} of connection {connection.name!r}{detail}.",
                hint="Check that the secret belongs to this account and grants reading.",
            )
        case 412:
            return ObjectChangedError(f"{shown} was replaced while it was read.", hint="Run it again.")
        case 416:
            return RangeError(f"{shown} is shorter than the range that was asked for.", hint="Run it again.")
        case 429 | 503:
            return ThrottledError(
                f"{_place(connection)} is throttling{detail}.", hint="Wait a minute, then run it again."
            )
        case 408 | 504:
            return StorageTimeoutError(f"{_place(connection)} timed out{detail}.", hint="Run it again.")
    return BadStorageReplyError(f"{_place(connection)} answered {status}{detail}.", hint="Run it again.")


def _place(connection: Connection) -> str:
    return connection.account or connection.path


def _number(match: re.Match[str] | None) -> int | None:
    return int(match.group(1)) if match else None


def _first(match: re.Match[str] | None) -> str | None:
    return match.group(1) if match else None
