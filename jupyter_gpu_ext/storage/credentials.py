"""From the place of a secret to the secret, which never shows itself."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError, NoCredentialError
from jupyter_gpu_ext.storage import connection_string, sas
from jupyter_gpu_ext.storage.kinds import words
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.connections import Connection


_SECRET_WORDS = {
    "account-key": "account key",
    "sas": "SAS link",
    "connection-string": "connection string",
    "bearer": "token",
    "keys": "keys",
    "service-account": "service account",
}
_FORMS = {
    "account-key": "An account key is a text of 88 characters that ends with ==; copy all of it.",
    "sas": "A SAS is what follows the ? of a SAS link: sv=…&sig=…; copy all of it.",
    "connection-string": "It reads AccountName=…;AccountKey=…; copy all of it.",
    "bearer": "A token is one word; copy it without 'Bearer'.",
}
_KNOWN: dict[Connection, str] = {}
# The last second that a datetime can hold, less a day for time zones.
_LAST_SECOND = 253_402_200_000


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret string; `reveal` is the only way to it, and it does not pickle."""

    _value: str

    def reveal(self) -> str:
        """Return the secret, for a provider's client only."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not pickled; pickle the connection's name")


def identity(connection: Connection) -> str:
    """Return in words who asks storage for objects over this connection, as far as it is known by now."""
    if not connection.is_azure:
        return words(connection)
    place = connection.account or connection.path.partition("/")[0]
    if connection.credential == "anonymous":
        return f"anonymous on {place}"
    if kind := _SECRET_WORDS.get(connection.credential):
        return f"{kind} of {place}" if place else kind
    return _KNOWN.get(connection, connection.credential.replace("-", " "))


def remember(connection: Connection, who: str) -> None:
    """Note who it is that a connection's identity turned out to be: 'managed identity vm-gpu01'."""
    _KNOWN[connection] = who


def has_own_secret(connection: Connection) -> bool:
    """Tell whether the connection must name a secret; otherwise the provider's client finds who it is."""
    return connection.credential in _SECRET_WORDS


def expires_at(connection: Connection, secret: Secret | None = None) -> datetime | None:
    """Return when the connection's credential ends, UTC; None when it does not, or nobody knows.

    Parameters
    ----------
    secret : Secret, optional
        Looked up where it is not given.
    """
    if connection.credential not in ("sas", "bearer", "connection-string"):
        return None
    try:
        value = (secret or find_secret(connection)).reveal()
        if connection.credential == "bearer":
            return token_end(value)
        signed = value if connection.credential == "sas" else connection_string.parse(value).sas
        return sas.parse(signed).expires_at if signed else None
    except GpuExtError:
        return None


def token_end(token: str) -> datetime | None:
    """Return when a token ends by its own words; it is somebody else's, so it need not say."""
    end = claims(token).get("exp")
    return datetime.fromtimestamp(end, UTC) if isinstance(end, int | float) and 0 < end < _LAST_SECOND else None


def claims(token: str) -> dict[str, Any]:
    """Return what a JSON web token says, unchecked: for words that people read, never to decide by (RFC 7519)."""
    parts = token.split(".")
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def find_secret(connection: Connection, environ: Mapping[str, str] | None = None) -> Secret:
    """Return the secret that the connection names.

    Raises
    ------
    NoCredentialError
        When it is not there, or lies in a file that others can read.
    """
    kind, _, place = connection.secret.partition(":")
    if not place:
        raise NoCredentialError(
            f"Connection {connection.name!r} names no secret.",
            hint='Add secret = "env:NAME" or secret = "file:/path" to it.',
        )
    found = _from_environment(connection, place, environ) if kind == "env" else _from_file(connection, Path(place))
    # Of the other kinds the provider's client knows the form.
    if connection.is_azure and not _has_form(connection.credential, found):
        raise NoCredentialError(
            f"What connection {connection.name!r} finds in {redact(connection.secret)} is no "
            f"{connection.credential.replace('-', ' ')}.",
            hint=_FORMS[connection.credential],
        )
    return found


# Nothing below raises while a plain secret or the environment is among its variables: some tracebacks show those.
def _has_form(kind: str, secret: Secret) -> bool:
    value = secret.reveal()
    try:
        if kind == "account-key":
            base64.b64decode(value, validate=True)
        elif kind == "sas":
            sas.parse(value)
        elif kind == "connection-string":
            connection_string.parse(value)
    except ValueError:
        return False
    return kind != "bearer" or re.fullmatch(r"[\x21-\x7e]+", value) is not None


def _from_environment(connection: Connection, name: str, environ: Mapping[str, str] | None) -> Secret:
    if value := (os.environ if environ is None else environ).get(name, "").strip():
        return Secret(value)
    raise NoCredentialError(
        f"Connection {connection.name!r} takes its secret from {name}, which is not set here.",
        hint=f"Set {name} where Jupyter or the job starts, then restart it.",
    )


def _from_file(connection: Connection, path: Path) -> Secret:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        found = Secret(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        raise NoCredentialError(
            f"Connection {connection.name!r} takes its secret from {redact(str(path))}, which cannot be read.",
            hint="Write the secret there and set its mode to 0600.",
        ) from None
    if mode & 0o077:
        raise NoCredentialError(f"Others can read {path}; it was not used.", hint=f"chmod 600 {path}")
    if found == Secret(""):
        raise NoCredentialError(f"{path} is empty.", hint="Write the secret there.")
    return found
