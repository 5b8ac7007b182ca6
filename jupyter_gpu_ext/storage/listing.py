"""Pages of a folder; the token of the next one is signed, so that it cannot be made up or moved."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.backends import backend

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.models import Entry

MOST = 1000
USUAL = 200
_TOKEN_SECONDS = 3600
_KEY = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Page:
    """One page below a prefix; `next_token` is None when no entry is left."""

    connection: str
    prefix: str
    entries: tuple[Entry, ...]
    next_token: str | None


async def list_page(
    connection: Connection, prefix: str, *, token: str | None = None, limit: int = USUAL, search: str = ""
) -> Page:
    """Return one page of a folder, in one request, always fresh.

    Parameters
    ----------
    prefix : str
        '' or a folder's key, which ends with a slash.
    token : str, optional
        `next_token` of the page before.
    limit : int
        Entries, 1 to 1000.
    search : str
        Only entries whose name starts with it.
    """
    urls.check_key(prefix + search)
    if "/" in search:
        raise BadRequestError("search holds a slash.", hint="Open the folder, then search in it.")
    if not 1 <= limit <= MOST:
        raise BadRequestError(f"limit is {limit}.", hint=f"1 to {MOST}.")
    marker = None if token is None else _read_token(token, connection.name, prefix + search)
    page = await backend(connection).list_page(prefix, marker=marker, limit=limit, search=search)
    repeated = page.marker is not None and page.marker == marker
    following = None if page.marker is None or repeated else _write_token(connection.name, prefix + search, page.marker)
    return Page(connection.name, prefix, page.entries, following)


def _write_token(connection: str, prefix: str, marker: str) -> str:
    body = json.dumps([connection, prefix, marker, int(time.time())]).encode()
    return base64.urlsafe_b64encode(_sign(body) + body).decode()


def _read_token(token: str, connection: str, prefix: str) -> str:
    try:
        raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        signature, body = raw[:32], raw[32:]
        if not hmac.compare_digest(signature, _sign(body)):
            raise ValueError
        of, below, marker, written = json.loads(body)
        if (of, below) != (connection, prefix) or time.time() - written > _TOKEN_SECONDS:
            raise ValueError
    except ValueError:
        raise BadRequestError("The page's token is not valid any more.", hint="Refresh the listing.") from None
    return str(marker)


def _sign(body: bytes) -> bytes:
    return hmac.digest(_KEY, body, hashlib.sha256)
