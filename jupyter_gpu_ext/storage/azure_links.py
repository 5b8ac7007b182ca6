"""The many ways in which a place in Azure Blob Storage is written down."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import addresses, connection_string, sas
from jupyter_gpu_ext.storage.credentials import Secret
from jupyter_gpu_ext.storage.proposal import Proposal, join, split, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

# https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-endpoints
_HOST = re.compile(
    r"(?P<account>[a-z0-9]{3,24})(?P<middle>(-secondary)?(\.z\d+)?(\.privatelink)?)\."
    r"(?P<service>blob|dfs|file|queue|table)\."
    r"(?P<suffix>core\.windows\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net|storage\.azure\.net)"
)
_CONTAINER = re.compile(r"[a-z0-9](-?[a-z0-9]){2,62}|\$root|\$web|\$logs")
_ABFS = re.compile(r"(?P<container>[^@/]+)@(?P<host>[^@/:]+)(/(?P<path>.*))?")
_STORAGE_ACCOUNT = re.compile(r"/storageAccounts/([a-z0-9]{3,24})(?![a-z0-9])", re.IGNORECASE)
_PORTAL_CONTAINER = re.compile(r"/(?:containers|path)/([a-z0-9$-]{3,63})(?![A-Za-z0-9-])")

_BLOB_HINT = "Paste https://ACCOUNT.blob.core.windows.net/CONTAINER, or a Blob SAS URL."
_BY_ENVIRONMENT = (
    ("AZURE_STORAGE_SAS_TOKEN", "sas"),
    ("AZURE_STORAGE_ACCOUNT_KEY", "account-key"),
    ("AZURE_STORAGE_KEY", "account-key"),
)


def is_azure(parts: SplitResult) -> bool:
    """Tell whether an http(s) link is one of Azure Blob Storage, or signed as such."""
    return _HOST.fullmatch(str(parts.hostname)) is not None or sas.is_sas(parts.query)


def from_blob_url(parts: SplitResult) -> Proposal:
    """Read `https://account.blob.core.windows.net/container/path`, signed or not."""
    account, endpoint, path = _place(parts)
    container, _, below = unquote(path, errors="surrogateescape").partition("/")
    if container and not _CONTAINER.fullmatch(container):
        raise BadRequestError("The link names no container of its form.", hint=_BLOB_HINT)
    if not parts.query:
        return _proposal(account, endpoint, container, below, credential="default")
    if not sas.is_sas(parts.query):
        raise BadRequestError("The link has a query that is no signature.", hint="Leave out everything from ? on.")
    if parts.scheme == "http" and not addresses.is_loopback(str(parts.hostname)):
        raise BadRequestError(
            "This link would send its signature unencrypted.", hint="Paste it with https:// in place of http://."
        )
    return _signed(account, endpoint, container, below, sas.parse(parts.query))


def from_abfs(rest: str, scheme: str, environ: Mapping[str, str]) -> Proposal:
    """Read `abfss://container@account.dfs.core.windows.net/path`; without an account as `az://`."""
    match = _ABFS.fullmatch(rest)
    if match is None:
        return from_az(rest, environ)
    host = _HOST.fullmatch(match["host"].lower())
    if host is None or not _CONTAINER.fullmatch(match["container"]):
        raise BadRequestError(f"The {scheme} link names no storage account of its form.", hint=_BLOB_HINT)
    return _proposal(host["account"], _endpoint(host), match["container"], match["path"] or "", credential="default")


def from_az(rest: str, environ: Mapping[str, str]) -> Proposal:
    """Read `az://container/path`: the account is the environment's, as adlfs has it."""
    container, _, below = rest.partition("/")
    if container and not _CONTAINER.fullmatch(container):
        raise BadRequestError("The link names no container of its form.", hint=_BLOB_HINT)
    fields = _from_environment(environ)
    if not fields:
        raise BadRequestError(
            "az:// does not say the storage account, and AZURE_STORAGE_ACCOUNT_NAME is not set.", hint=_BLOB_HINT
        )
    folder, key = split(below)
    return Proposal(
        name=suggest(container, fields.get("account", "")),
        fields={"root": join("az", container, folder), **fields},
        key=key,
    )


def from_connection_string(text: str) -> Proposal:
    """Read a connection string: the whole account, its containers at level one."""
    account = connection_string.parse(text)
    endpoint = addresses.split_url(account.endpoint) if account.endpoint else None
    if endpoint and (endpoint.query or endpoint.fragment):
        raise BadRequestError("BlobEndpoint has a query or a fragment.", hint="Leave out everything from ? or # on.")
    if endpoint and endpoint.scheme != "https" and not addresses.is_loopback(str(endpoint.hostname)):
        raise BadRequestError(
            "This connection string would send its secret unencrypted.", hint="Write DefaultEndpointsProtocol=https."
        )
    if account.sas:
        return _signed(account.name, account.endpoint, "", "", sas.parse(account.sas))
    return _proposal(account.name, account.endpoint, "", "", credential="account-key", secret=Secret(account.key))


def from_portal(parts: SplitResult) -> Proposal:
    """Read a link of portal.azure.com that shows a storage account or a container."""
    shown = unquote(unquote(f"{parts.path}#{parts.fragment}"))
    account, container = _STORAGE_ACCOUNT.search(shown), _PORTAL_CONTAINER.search(shown)
    if account is None:
        raise BadRequestError(
            "This portal link shows no storage account.", hint="Open the account or a container there, copy that link."
        )
    # The portal's own pages have names of the same form as containers.
    found = container[1] if container and _CONTAINER.fullmatch(container[1]) else ""
    return _proposal(account[1].lower(), "", found, "", credential="default")


def _place(parts: SplitResult) -> tuple[str, str, str]:
    host, port = str(parts.hostname), f":{parts.port}" if parts.port else ""
    path = parts.path.lstrip("/")
    if known := _HOST.fullmatch(host):
        if known["service"] not in ("blob", "dfs"):
            raise BadRequestError(f"This is a link of Azure {known['service'].capitalize()}s.", hint=_BLOB_HINT)
        return known["account"], f"{parts.scheme}://{host}{port}" if port else _endpoint(known), path
    shown = f"[{host}]" if ":" in host else host
    if addresses.check_host(host) is not None or "." not in host or addresses.is_loopback(host):
        # An emulator has the account in the path: http://127.0.0.1:10000/devstoreaccount1/container.
        account, _, path = path.partition("/")
        return account, f"{parts.scheme}://{shown}{port}/{account}", path
    return connection_string.account_of(f"https://{host}"), f"{parts.scheme}://{shown}{port}", path


def _endpoint(host: re.Match[str]) -> str:
    usual = not host["middle"] and host["suffix"] == "core.windows.net"
    return "" if usual else f"https://{host['account']}{host['middle']}.blob.{host['suffix']}"


def _signed(account: str, endpoint: str, container: str, below: str, signed: sas.Sas) -> Proposal:
    if not container and signed.scope != "account":
        raise BadRequestError("The link names no container.", hint=_BLOB_HINT)
    if signed.scope == "blob" and not below.strip("/"):
        raise BadRequestError("The link is for one blob and does not name it.", hint=_BLOB_HINT)
    return _proposal(account, endpoint, container, below, credential="sas", secret=Secret(signed.token), signed=signed)


def _proposal(
    account: str,
    endpoint: str,
    container: str,
    below: str,
    *,
    credential: str,
    secret: Secret | None = None,
    signed: sas.Sas | None = None,
) -> Proposal:
    if not account:
        raise BadRequestError("The link names no storage account.", hint=_BLOB_HINT)
    one_object = signed is not None and signed.scope == "blob"
    folder, key = (below.rpartition("/")[0], below.rpartition("/")[2]) if one_object else split(below)
    fields = {"root": join("az", container, folder), "account": account, "credential": credential}
    return Proposal(
        name=suggest(container, account),
        fields={**fields, "endpoint": endpoint} if endpoint else fields,
        key=key,
        secret=secret,
        one_object=key if one_object else None,
        grants=signed.grants if signed else sas.Grants(),
        starts_at=signed.starts_at if signed else None,
        expires_at=signed.expires_at if signed else None,
    )


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    if environ.get("AZURE_STORAGE_CONNECTION_STRING"):
        return {"credential": "connection-string", "secret": "env:AZURE_STORAGE_CONNECTION_STRING"}
    account = environ.get("AZURE_STORAGE_ACCOUNT_NAME") or environ.get("AZURE_STORAGE_ACCOUNT")
    if not account:
        return {}
    for variable, credential in _BY_ENVIRONMENT:
        if environ.get(variable):
            return {"account": account, "credential": credential, "secret": f"env:{variable}"}
    return {"account": account, "credential": "default"}
