"""What every handler shares: arguments, answers, and the one table of errors."""

from __future__ import annotations

import json
import traceback
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import ensure_async
from tornado.web import HTTPError

from jupyter_gpu_ext.errors import (
    ArchivedError,
    BadRequestError,
    BadStorageReplyError,
    BusyError,
    DeniedError,
    DeviceError,
    ExistsError,
    ExportRefusedError,
    GpuExtError,
    NotFoundError,
    NotInstalledError,
    NotLinkedError,
    ObjectChangedError,
    RangeError,
    StorageTimeoutError,
    ThrottledError,
    TooLargeError,
    UnreachableError,
    UnsupportedFormatError,
    UntrustedError,
)
from jupyter_gpu_ext.text import redact

# The most specific class of an error's family decides. A refusal by the provider is 424: 401 and 403 are
# Jupyter's own, and would send the person to a login page.
STATUS: dict[type[GpuExtError], int] = {
    BadRequestError: 400,
    NotFoundError: 404,
    ObjectChangedError: 409,
    ExistsError: 409,
    ArchivedError: 409,
    NotLinkedError: 409,
    TooLargeError: 413,
    RangeError: 416,
    UnsupportedFormatError: 422,
    ExportRefusedError: 422,
    DeviceError: 422,
    DeniedError: 424,
    ThrottledError: 429,
    BusyError: 429,
    NotInstalledError: 501,
    BadStorageReplyError: 502,
    UnreachableError: 502,
    UntrustedError: 502,
    StorageTimeoutError: 504,
    GpuExtError: 500,
}

# What Jupyter Server and tornado refuse by themselves; their own texts may quote the request.
_REFUSALS = {
    400: ("bad_request", "The request is not of its form.", "See openapi.yaml."),
    403: ("forbidden", "You are not signed in, or may not do this here.", "Sign in again, or ask the administrator."),
    404: ("not_found", "There is no such page here.", "See openapi.yaml."),
    405: ("method_not_allowed", "This page does not take that method.", "See openapi.yaml."),
}
_REFUSED = ("refused", "The server refused the request.", "The server's log has more.")


class Handler(APIHandler):
    """A JSON handler; errors become `{code, message, hint}`."""

    # An open panel polls; it must not keep an idle server from being culled.
    _track_activity = False

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse strangers before any method runs; a CORS preflight never says who asks."""
        await super().prepare()
        if self.current_user is None and self.request.method != "OPTIONS":
            raise HTTPError(403)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with our error, or with what tornado refused; never with a traceback."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, GpuExtError):
            self.set_status(status_of(error))
            self._answer(error.code, error.message, error.hint, **error.details)
        elif error is None or isinstance(error, HTTPError):
            self._answer(*_REFUSALS.get(status_code, _REFUSED))
        else:
            message = f"Something went wrong here (error {self._log_surprise(error)})."
            self._answer("internal", message, "The server's log has more.")

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what tornado refused; an error of ours says all itself, a surprise is logged with its id."""
        if isinstance(value, HTTPError):
            super().log_exception(typ, value, tb)

    def _log(self) -> None:
        # The server logs the address of a request; somebody may have put a link where a name belongs.
        plain = unquote(unquote(self.request.uri or ""))
        if redact(plain) != plain:
            self.request.uri = redact(self.request.path) + "?***"
        super()._log()

    def _log_surprise(self, error: BaseException) -> str:
        # A provider's exception may quote a URL with its signature.
        mark = uuid4().hex[:8]
        self.log.error("jupyter_gpu_ext error %s\n%s", mark, redact("".join(traceback.format_exception(error))))
        return mark

    def _answer(self, code: str, message: str, hint: str, **details: object) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"code": code, "message": redact(message), "hint": redact(hint), **details}))

    def send(self, body: Any) -> None:
        """Finish with JSON that has no NaN, and that nobody caches."""
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(body, allow_nan=False))

    async def check_may(self, action: str, resource: str) -> None:
        """Refuse who may not do that either; for what a request needs beside its verb's own permission."""
        if not await ensure_async(self.authorizer.is_authorized(self, self.current_user, action, resource)):
            raise HTTPError(403)

    def text_argument(self, name: str, default: str | None = None) -> str:
        """Return a query argument exactly as it was sent: spaces and control characters are part of a key."""
        values = self.text_arguments(name)
        if len(values) > 1:
            raise BadRequestError(f"{name} is given twice.", hint="Leave one.")
        if not values and default is None:
            raise BadRequestError(f"{name} is missing.", hint="See openapi.yaml.")
        return values[0] if values else str(default)

    def text_arguments(self, name: str) -> list[str]:
        """Return each value of a query argument that may be repeated, exactly as it was sent."""
        try:
            return [value.decode() for value in self.request.query_arguments.get(name, [])]
        except UnicodeDecodeError:
            raise BadRequestError(f"{name} is not UTF-8.", hint="Encode it as UTF-8.") from None

    def flag_argument(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        found = self.text_argument(name, "true" if default else "false")
        if found not in ("true", "false"):
            raise BadRequestError(f"{name} is neither true nor false.", hint="See openapi.yaml.")
        return found == "true"

    def integer_argument(self, name: str, default: int, *, most: int) -> int:
        """Return a whole number from 0 to `most`."""
        text = self.text_argument(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) <= most):
            raise BadRequestError(f"{name} is no whole number from 0 to {most}.", hint="See openapi.yaml.")
        return int(text)


def status_of(error: GpuExtError) -> int:
    """Return the HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
