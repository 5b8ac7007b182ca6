"""Request bodies: small JSON objects with known keys of known types."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tornado.httputil import HTTPServerRequest

MOST_BYTES = 64_000


def read_body(
    request: HTTPServerRequest, required: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> dict[str, Any]:
    """Return the JSON object of a request.

    Parameters
    ----------
    required, optional : mapping of str to type
        The keys that must and that may be there, each with the exact type of its value.

    Raises
    ------
    TooLargeError
        Above 64 kB.
    BadRequestError
        For anything but an object of these keys and types.
    """
    raw = request.body
    if len(raw) > MOST_BYTES:
        raise TooLargeError("The request's body is larger than 64 kB.", hint="Send less at once.")
    # A form of another site can send text/plain without asking first.
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequestError("The request's body is not application/json.", hint="See openapi.yaml.")
    try:
        body = json.loads(raw, object_pairs_hook=_no_twins)
    except (ValueError, RecursionError):
        raise BadRequestError("The request's body is not valid JSON.", hint="See openapi.yaml.") from None
    if not isinstance(body, dict):
        raise BadRequestError("The request's body is no JSON object.", hint="See openapi.yaml.")
    known = {**required, **(optional or {})}
    for key in [key for key in required if key not in body]:
        raise BadRequestError(f"{key} is missing.", hint="See openapi.yaml.")
    for key, value in body.items():
        if key not in known or type(value) is not known[key]:
            raise BadRequestError(f"{key!r} is unknown or of the wrong type.", hint="See openapi.yaml.")
    return body


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) != len(pairs):
        raise ValueError("a key is given twice")
    return found
