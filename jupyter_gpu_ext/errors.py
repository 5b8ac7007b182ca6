"""One family of errors: a sentence that says what happened and a hint that says what to do next."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


class GpuExtError(Exception):
    """Base of every error that jupyter_gpu_ext raises on purpose.

    Parameters
    ----------
    message : str
        What happened, one sentence, free of secrets.
    hint : str
        What to do next; empty when there is nothing to do.

    Attributes
    ----------
    retry_after_seconds : float or None
        What the provider asked to wait, where it did and the client shows it.
    done_bytes : int
        How much of a read arrived before it failed; the rest is asked for from there.
    details : mapping of str to object
        What a program wants to know beside the sentences.
    """

    code: ClassVar[str] = "internal"
    retry_after_seconds: float | None = None
    done_bytes: int = 0
    details: Mapping[str, object] = MappingProxyType({})

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} — {self.hint}" if self.hint else self.message

    def about(self, what: str) -> Self:
        """Say before the message what it is about; return the error itself."""
        self.message = f"{what}: {self.message}"
        self.args = (self.message,)
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[GpuExtError], message: str, hint: str) -> GpuExtError:
    return kind(message, hint=hint)


class BadRequestError(GpuExtError, ValueError):
    """A name, an option or a value is not of its form."""

    code = "bad_request"


class UsageError(BadRequestError):
    """A command line is wrong; shown as one line, never as a traceback."""


class NotFoundError(GpuExtError, FileNotFoundError):
    """The object, the container or the connection does not exist."""

    code = "not_found"


class ObjectChangedError(GpuExtError):
    """The object was replaced while it was being read; names both versions."""

    code = "object_changed"


class ExistsError(GpuExtError, FileExistsError):
    """The target exists and overwriting was not asked for."""

    code = "exists"


class TooLargeError(GpuExtError):
    """More bytes or entries than the stated limit."""

    code = "too_large"


class RangeError(GpuExtError):
    """A range lies outside the object."""

    code = "range"


class UnsupportedFormatError(GpuExtError):
    """The bytes are of a kind that is not read here."""

    code = "unsupported_format"


class TensorFormatError(UnsupportedFormatError):
    """A tensor file is broken, or holds what must not be loaded."""


class ArchivedError(GpuExtError):
    """The object lies in an archive tier and cannot be read."""

    code = "archived"


class ThrottledError(GpuExtError):
    """The storage account asks for fewer requests."""

    code = "throttled"


class BadStorageReplyError(GpuExtError):
    """Storage answered something other than what was asked for."""

    code = "bad_storage_reply"


class BrokenReplyError(BadStorageReplyError):
    """The service failed, or its answer broke off: the same question may be answered a moment later."""


class UnreachableError(GpuExtError, ConnectionError):
    """No connection to the storage endpoint."""

    code = "unreachable"


class UntrustedError(GpuExtError, ConnectionError):
    """The storage endpoint shows a certificate that nobody trusted here; asking again does not help."""

    code = "unreachable"


class StorageTimeoutError(GpuExtError, TimeoutError):
    """Storage made no progress within the time limit."""

    code = "storage_timeout"


class DeniedError(GpuExtError, PermissionError):
    """The provider refused this identity, or the connection is read-only."""

    code = "denied"


class UnauthenticatedError(DeniedError):
    """The service did not take the token: wrong, or no longer valid."""


class ExpiredError(DeniedError):
    """The credential was valid once."""

    code = "expired"


class NoCredentialError(DeniedError):
    """The connection's secret is not there."""

    code = "no_credential"


class ExportRefusedError(GpuExtError):
    """The notebook cannot become a script that gives the same result."""

    code = "export_refused"


class NotInstalledError(GpuExtError, ImportError):
    """An optional part is missing."""

    code = "not_installed"


class DeviceError(GpuExtError):
    """The device does not exist, cannot be used or has no room."""

    code = "device"


class NotLinkedError(GpuExtError):
    """The notebook has not loaded the extension, so its kernel cannot be asked."""

    code = "not_linked"


class BusyError(GpuExtError):
    """Nobody answered in time, and may later."""

    code = "busy"


# Not of one object but of all of them: what is asked for next would fail as well.
OF_THE_STORE = (
    UnreachableError, UntrustedError, StorageTimeoutError, NoCredentialError, ExpiredError, UnauthenticatedError
)  # fmt: skip
