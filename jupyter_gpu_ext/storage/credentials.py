"""From the place of a secret to the secret, which never shows itself."""

from __future__ import annotations

import base64
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import NoCredentialError
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.connections import Connection


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
    """Return in words who asks storage for objects over this connection."""
    if not connection.is_azure:
        return "this machine's files"
    if connection.credential == "anonymous":
        return f"anonymous on {connection.account}"
    return f"account key of {connection.account}"


def find_secret(connection: Connection, environ: Mapping[str, str] = os.environ) -> Secret:
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
    try:
        base64.b64decode(found.reveal(), validate=True)
    except ValueError:
        raise NoCredentialError(
            f"What connection {connection.name!r} finds in {redact(connection.secret)} is no account key.",
            hint="An account key is a text of 88 characters that ends with ==; copy all of it.",
        ) from None
    return found


def _from_environment(connection: Connection, name: str, environ: Mapping[str, str]) -> Secret:
    if value := environ.get(name, "").strip():
        return Secret(value)
    raise NoCredentialError(
        f"Connection {connection.name!r} takes its secret from {name}, which is not set here.",
        hint=f"Set {name} where Jupyter or the job starts, then restart it.",
    )


def _from_file(connection: Connection, path: Path) -> Secret:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise NoCredentialError(
            f"Connection {connection.name!r} takes its secret from {redact(str(path))}, which cannot be read.",
            hint="Write the secret there and set its mode to 0600.",
        ) from None
    if mode & 0o077:
        raise NoCredentialError(f"Others can read {path}; it was not used.", hint=f"chmod 600 {path}")
    if not value:
        raise NoCredentialError(f"{path} is empty.", hint="Write the secret there.")
    return Secret(value)
