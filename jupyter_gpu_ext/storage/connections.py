"""Named connections: a TOML file that server, kernel and batch job read alike; it holds no secret."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NotFoundError
from jupyter_gpu_ext.storage.connection_string import account_of
from jupyter_gpu_ext.storage.kinds import check_kind
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE_NAME = "jupyter_gpu_connections.toml"

EXAMPLE = """\
[connections.weights]
root = "az://models"               # az://container/prefix, or a folder such as /mnt/data
account = "mystorage"
credential = "account-key"
secret = "env:WEIGHTS_KEY"         # or "file:/path" with mode 0600; never the key itself
read_only = true
"""

# Names that fsspec or a shell of URLs already gives a meaning to.
# fmt: off
PROTOCOLS = frozenset(
    {
        "abfs", "abfss", "adl", "az", "azure", "data", "dir", "file", "filecache",
        "ftp", "gcs", "git", "github", "gs", "hdfs", "hf", "http", "https",
        "jar", "libarchive", "local", "memory", "oci", "oss", "reference", "s3", "s3a",
        "sftp", "simplecache", "smb", "ssh", "tar", "wasb", "wasbs", "webdav", "webhdfs",
        "zip",
    }
)
# fmt: on

_NAME = re.compile(r"[a-z][a-z0-9-]+")
_VARIABLE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]{0,63}")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_ROOT = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]*)://(?P<path>.*)")
_KINDS = {"az": "az", "abfs": "az", "abfss": "az", "s3": "s3", "gs": "gs", "gcs": "gs"}
_KINDS |= {"http": "http", "https": "http", "memory": "memory", "file": "local"}
# fmt: off
CREDENTIALS = (
    "default", "managed-identity", "workload-identity", "azure-cli", "device-code",
    "connection-string", "sas", "account-key", "bearer", "anonymous",
)
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where objects lie and who asks for them.

    Attributes
    ----------
    root : str
        'az://container/prefix', 's3://bucket/prefix', 'gs://bucket/prefix', 'https://host/path',
        'memory://name', or an absolute folder; 'az://', 's3://' and 'gs://' mean all that the identity sees.
    endpoint : str
        The service's address where it does not follow from the root: an emulator, a private cloud.
    credential : str
        Who asks; the words differ from kind to kind, for Azure one of `CREDENTIALS`. Unused for a folder.
    secret : str
        Where the secret is: 'env:NAME' or 'file:PATH'. Never the secret.
    profile, region : str
        S3: the profile of the AWS configuration files, and the region where they do not say it.
    fsspec : str
        The protocol of `root` when it is to be read through fsspec: what is not named is never opened.
    ca_file : str
        The certificates of a private cloud or a proxy, PEM.
    """

    name: str
    root: str
    account: str = ""
    endpoint: str = ""
    credential: str = ""
    secret: str = ""
    profile: str = ""
    region: str = ""
    fsspec: str = ""
    ca_file: str = ""
    read_only: bool = True

    @property
    def is_azure(self) -> bool:
        """Whether the objects lie in Azure Blob Storage."""
        return self.kind == "az"

    @property
    def kind(self) -> str:
        """Whose objects they are: az, s3, gs, http, memory, local, fsspec; '' when the root says nothing known."""
        match = _ROOT.fullmatch(self.root)
        if self.fsspec:
            return "fsspec"
        return _KINDS.get(match["protocol"], "") if match else "local"

    @property
    def path(self) -> str:
        """The part of `root` after the protocol: 'container/prefix', or the folder."""
        match = _ROOT.fullmatch(self.root)
        if self.kind == "local" or match is None:
            return self.root.removeprefix("file://")
        return match["path"].strip("/")


@dataclass(frozen=True, slots=True)
class Registry:
    """The connections that were found, and what is wrong with those that could not be used."""

    connections: Mapping[str, Connection]
    problems: Mapping[str, GpuExtError]
    files: tuple[Path, ...]

    def find(self, name: str) -> Connection:
        """Return the connection of that name.

        Raises
        ------
        NotFoundError
            With the names that exist and the files that were read.
        """
        if name in self.problems:
            raise self.problems[name]
        if name in self.connections:
            return self.connections[name]
        for path in self.files:
            # The connection may well stand in the file that could not be read.
            if str(path) in self.problems:
                raise self.problems[str(path)]
        known = ", ".join(self.connections) or "none yet"
        raise NotFoundError(
            f"There is no connection {name!r} (connections: {known}).",
            hint=f"Add [connections.{name}] to {user_file()}.",
        )


def load(environ: Mapping[str, str] = os.environ) -> Registry:
    """Read every connections file; the first file that has a name wins.

    A wrong entry is kept as a problem, so that one mistake does not hide the other connections.
    """
    connections: dict[str, Connection] = {}
    problems: dict[str, GpuExtError] = {}
    found = tuple(path for path in search_path(environ) if path.is_file())
    for path in found:
        for name, entry in _entries(path, problems):
            if name in connections or name in problems:
                continue
            try:
                connections[name] = check(name, entry, path)
            except GpuExtError as error:
                problems[name] = error
    return Registry(connections, problems, found)


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file in which this user's connections belong."""
    return next(search_path(environ))


def search_path(environ: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Yield the files that are looked at: one named by the environment, or user, environment, system.

    The folders are Jupyter's configuration path (https://docs.jupyter.org/en/latest/use/jupyter-directories.html),
    found without Jupyter, so that a batch image resolves the same names.
    """
    if named := environ.get("JUPYTER_GPU_CONNECTIONS"):
        yield Path(named)
        return
    home = environ.get("JUPYTER_CONFIG_DIR") or str(Path.home() / ".jupyter")
    extra = [part for part in environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep) if part]
    system = ["/usr/local/etc/jupyter", "/etc/jupyter"]
    folders = [home, *extra, str(Path(sys.prefix) / "etc" / "jupyter"), *system]
    yield from (Path(folder) / FILE_NAME for folder in dict.fromkeys(folders))


def is_name(name: str) -> bool:
    """Tell whether a name can be a connection's: a URL scheme that has no other meaning."""
    return _NAME.fullmatch(name) is not None and name not in PROTOCOLS


def check(name: str, entry: Any, path: Path) -> Connection:
    """Return the connection that an entry of `path` describes.

    Raises
    ------
    BadRequestError
        For a name, a field or a value that is not of its form, and for a secret written into the file.
    """
    if not is_name(name):
        raise BadRequestError(
            f"{redact(name)!r} cannot name a connection.",
            hint="Use lower-case letters, digits and '-', two characters at least, and no protocol's name.",
        )
    if not isinstance(entry, dict) or not isinstance(entry.get("root"), str):
        raise BadRequestError(f"Connection {name!r} has no root.", hint=f'Add root = "az://container" to {path}.')
    _check_fields(name, entry, path)
    connection = Connection(name=name, **entry)
    if connection.is_azure:
        return _check_azure(connection, path)
    check_kind(connection, path)
    return connection


def _check_azure(connection: Connection, path: Path) -> Connection:
    if connection.credential not in CREDENTIALS:
        raise BadRequestError(
            f"Connection {connection.name!r} says no credential that is known: {redact(connection.credential)!r}.",
            hint=f"Set credential in {path} to one of: {', '.join(CREDENTIALS)}.",
        )
    if connection.endpoint and not re.fullmatch(r"https?://[^\s?#@]+", connection.endpoint):
        raise BadRequestError(
            f"Connection {connection.name!r} has an endpoint that is no plain http(s) address.",
            hint='For example endpoint = "https://mystorage.blob.core.windows.net".',
        )
    account = connection.account or account_of(connection.endpoint)
    # A connection string says the account itself.
    if not _ACCOUNT.fullmatch(account) and (account or connection.credential != "connection-string"):
        raise BadRequestError(f"Connection {connection.name!r} names no account.", hint=f'Add account = "…" to {path}.')
    return replace(connection, account=account)


def _check_fields(name: str, entry: dict[str, Any], path: Path) -> None:
    kinds = {field.name: bool if field.name == "read_only" else str for field in fields(Connection)}
    del kinds["name"]
    for key, value in entry.items():
        if key not in kinds:
            raise BadRequestError(
                f"Connection {name!r} has an unknown field {redact(key)!r}.",
                hint=f"Fields: {', '.join(kinds)}. A secret is named, never written down.",
            )
        if type(value) is not kinds[key]:
            raise BadRequestError(f"Connection {name!r}: {key} is not a {kinds[key].__name__}.", hint=f"See {path}.")
    secret = entry.get("secret", "")
    if secret and not secret.startswith(("env:", "file:")):
        raise BadRequestError(
            f"Connection {name!r} holds a secret in the file itself.",
            hint='Move it away and name its place: secret = "env:NAME" or secret = "file:/path" (mode 0600).',
        )
    # A message shows the place of a secret, so the place must not be the secret.
    if secret.startswith("env:") and not _VARIABLE.fullmatch(secret):
        raise BadRequestError(
            f"Connection {name!r} names no environment variable in secret.",
            hint='For example secret = "env:WEIGHTS_KEY": the variable\'s name, not its value.',
        )


def _entries(path: Path, problems: dict[str, GpuExtError]) -> list[tuple[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("connections", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # The parser's own message may quote the line, and the line may hold a secret.
        place = re.search(r"\(at .*\)", str(error))
        reason = f"not valid TOML {place.group() if place else ''}".strip()
        problems[str(path)] = BadRequestError(f"{path} cannot be read: {reason}.", hint="Correct the file.")
        return []
    if not isinstance(tables, dict):
        problems[str(path)] = BadRequestError(f"{path}: connections is no table.", hint="Write [connections.NAME].")
        return []
    return list(tables.items())
