"""What each kind of connection must say, may say, and says about who asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection

# The words for `credential`, the first is meant when none is said.
CREDENTIALS = {
    "s3": ("default", "profile", "keys", "anonymous"),
    "gs": ("default", "service-account", "anonymous"),
    "http": ("anonymous",),
    "fsspec": ("default",),
    "memory": (),
    "local": (),
}

# fsspec protocols that open other URLs, local files or code, or that have a backend of their own here.
_NEVER = frozenset(
    {
        "abfs", "az", "asynclocal", "blockcache", "cached", "dask", "data", "dir", "file", "filecache",
        "gcs", "generic", "gs", "http", "https", "libarchive", "local", "reference", "s3", "s3a",
        "simplecache", "tar", "zip",
    }
)  # fmt: skip
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_ENDPOINT = re.compile(r"https?://[^\s?#@]+")
_HOST = re.compile(r"https?://[^\s/?#@]+(/[^?#]*)?")
_WORD = re.compile(r"[\w.@+-]{1,128}")


def check_kind(connection: Connection, path: Path) -> None:
    """Refuse a connection that its provider could not open.

    Raises
    ------
    BadRequestError
        Naming the field of the file `path` that is to be corrected.
    """
    kind = connection.kind
    if kind not in CREDENTIALS or (kind == "local" and not Path(connection.path).is_absolute()):
        raise BadRequestError(
            f"Connection {connection.name!r} has a root that is neither az://… nor an absolute folder.",
            hint=f"Correct root in {path}; s3://…, gs://…, https://… and memory://… can be connected too.",
        )
    if (words := CREDENTIALS[kind]) and connection.credential not in ("", *words):
        raise BadRequestError(
            f"Connection {connection.name!r} says no credential that is known: {redact(connection.credential)!r}.",
            hint=f"Set credential in {path} to one of: {', '.join(words)}.",
        )
    if connection.endpoint and not _ENDPOINT.fullmatch(connection.endpoint):
        raise BadRequestError(
            f"Connection {connection.name!r} has an endpoint that is no plain http(s) address.",
            hint='For example endpoint = "https://minio.example:9000".',
        )
    if kind in ("s3", "gs"):
        _check_bucket(connection, path)
    elif kind == "http":
        _check_host(connection)
    elif kind == "fsspec":
        _check_protocol(connection)


def words(connection: Connection) -> str:
    """Return who asks over a connection, for people."""
    match connection.kind:
        case "s3" if connection.profile:
            return f"AWS profile {connection.profile}"
        case "s3":
            return {"keys": "AWS access key", "anonymous": "anonymous on AWS"}.get(
                connection.credential, "AWS credentials of this machine"
            )
        case "gs":
            return {"service-account": "Google service account", "anonymous": "anonymous on Google Cloud"}.get(
                connection.credential, "Google credentials of this machine"
            )
        case "http":
            return "anonymous"
        case "memory":
            return "this process's memory"
        case "fsspec":
            return f"{connection.fsspec} of this machine"
    return "this machine's files"


def _check_bucket(connection: Connection, path: Path) -> None:
    bucket = connection.path.partition("/")[0]
    if bucket and not _BUCKET.fullmatch(bucket):
        raise BadRequestError(
            f"Connection {connection.name!r} names no bucket.",
            hint=f'Write root = "{connection.kind}://bucket" in {path}.',
        )
    if (connection.credential == "profile") != bool(connection.profile):
        raise BadRequestError(
            f"Connection {connection.name!r}: credential and profile do not fit.",
            hint='Write credential = "profile" and profile = "NAME", or neither.',
        )
    for field in ("profile", "region"):
        if (value := getattr(connection, field)) and not _WORD.fullmatch(value):
            raise BadRequestError(f"Connection {connection.name!r} has a {field} that is no name.", hint=f"See {path}.")


def _check_host(connection: Connection) -> None:
    if not _HOST.fullmatch(connection.root):
        raise BadRequestError(
            f"Connection {connection.name!r} has a root that is no plain http(s) address.",
            hint='For example root = "https://example.org/data"; no user, no "?", no "#".',
        )


def _check_protocol(connection: Connection) -> None:
    protocol = connection.root.partition("://")[0]
    if connection.fsspec != protocol or "::" in connection.root or protocol in _NEVER:
        raise BadRequestError(
            f"Connection {connection.name!r} cannot be read through fsspec.",
            hint='Name the protocol of the root: root = "sftp://host/folder" and fsspec = "sftp"; '
            "nothing chained, no reference or cache, no kind that has a connection of its own.",
        )
