"""From the clients' exceptions to our errors.

The clients' own texts are never passed on: they hold URLs with signatures, and XML.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import (
    BadStorageReplyError,
    BrokenReplyError,
    GpuExtError,
    NotInstalledError,
    StorageTimeoutError,
    UnreachableError,
    UntrustedError,
)
from jupyter_gpu_ext.storage.expiry import refused_for_time
from jupyter_gpu_ext.storage.retry import parse_retry_after
from jupyter_gpu_ext.storage.statuses import from_status, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.storage.connections import Connection

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_NETWORK = re.compile(r"error sending request|connect error|dns error|tcp connect|Connection refused", re.IGNORECASE)


_CUT = re.compile(
    r"response body error|decoding response body|incomplete ?(message|read)|connection (closed|reset)|broken pipe|"
    r"payload is not completed|server disconnected|unexpected (eof|end)",
    re.IGNORECASE,
)


_UNTRUSTED = re.compile(r"certificate.verify.failed|invalid peer certificate|InvalidCertificate\(", re.IGNORECASE)


class BrokenOffError(Exception):
    """A body ended early; `done_bytes` of it are there. Its cause is the client's exception, if there was one."""

    def __init__(self, done_bytes: int) -> None:
        super().__init__(f"broke off after {done_bytes} bytes")
        self.done_bytes = done_bytes


class OverlongError(Exception):
    """A body holds more than was asked for."""


@contextmanager
def translated(connection: Connection, key: str) -> Iterator[None]:
    """Turn whatever a storage client raises inside into one of our errors."""
    try:
        yield
    except (GpuExtError, asyncio.CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 -- two clients, dozens of types: all end here, as one family
        told = fault(connection, key, error)
        _let_frames_go(error)
        raise told from None


def _let_frames_go(error: BaseException | None) -> None:
    """Free what a client's exception holds: obstore keeps its last one, and with it the buffer of a read."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def fault(connection: Connection, key: str, error: Exception) -> GpuExtError:
    """Return our error for a client's exception."""
    if isinstance(error, BrokenOffError):
        told = fault(connection, key, error.__cause__) if isinstance(error.__cause__, Exception) else None
        if not isinstance(told, (StorageTimeoutError, UnreachableError)):
            told = _broken(connection)
        told.done_bytes = error.done_bytes
        return told
    told = _fault(connection, key, error)
    told.retry_after_seconds = asked_seconds(error)
    return told


def _fault(connection: Connection, key: str, error: Exception) -> GpuExtError:
    if isinstance(error, ImportError):
        return NotInstalledError(f"A package is missing: {error.name}.", hint="pip install jupyter_gpu_ext again.")
    text = str(error)
    status = getattr(error, "status_code", None) or _number(_STATUS.search(text))
    code = getattr(error, "error_code", None) or _first(_CODE.search(text))
    if status is None and isinstance(error, FileNotFoundError):
        status = 404
    if status is not None:
        if int(status) in (401, 403) and (told := refused_for_time(connection, text)) is not None:
            return told
        return from_status(connection, key, int(status), str(getattr(code, "value", code) or ""))
    if _UNTRUSTED.search(_chain(error)):
        return UntrustedError(
            f"{place_of(connection)} shows a certificate that is not trusted here.",
            hint=f"Name its authority's: ca_file of connection {connection.name!r}, or REQUESTS_CA_BUNDLE.",
        )
    if isinstance(error, TimeoutError) or "timed out" in text.lower() or "timeout" in type(error).__name__.lower():
        return StorageTimeoutError(
            f"{place_of(connection)} made no progress in time.",
            hint="Run it again; if it stays, check the network.",
        )
    if _CUT.search(_chain(error)) or "Response" in type(error).__name__ or "Incomplete" in type(error).__name__:
        return _broken(connection)
    if _NETWORK.search(text) or "Request" in type(error).__name__ or isinstance(error, OSError):
        return UnreachableError(
            f"{place_of(connection)} cannot be reached.",
            hint=f"Check account and endpoint of connection {connection.name!r}, and the network or proxy.",
        )
    return BadStorageReplyError(
        f"{place_of(connection)} gave an answer that is not understood ({type(error).__name__}).",
        hint="Run it again; if it stays, the endpoint may not be a blob service.",
    )


def _broken(connection: Connection) -> GpuExtError:
    return BrokenReplyError(
        f"{place_of(connection)} broke off in the middle of an answer.",
        hint="Run it again; if it stays, check the network or proxy.",
    )


def asked_seconds(error: Exception) -> float | None:
    """Return what the service's Retry-After asks for, where the client's exception shows the answer."""
    response = getattr(error, "response", None)
    # botocore's is a table.
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    headers = metadata.get("HTTPHeaders") or getattr(response, "headers", None) or {}
    return parse_retry_after(headers.get("Retry-After") or headers.get("retry-after"))


def _chain(error: BaseException) -> str:
    # A client wraps what the socket said in one or two of its own.
    texts = [str(error)]
    while (cause := error.__cause__ or error.__context__) is not None and len(texts) < 4:
        texts.append(f"{type(cause).__name__} {cause}")
        error = cause
    return "\n".join(texts)


def _number(match: re.Match[str] | None) -> int | None:
    return int(match.group(1)) if match else None


def _first(match: re.Match[str] | None) -> str | None:
    return match.group(1) if match else None
