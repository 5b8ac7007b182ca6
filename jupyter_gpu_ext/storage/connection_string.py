"""Azure's connection string: `Name=value;Name=value`.

Format: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from jupyter_gpu_ext.errors import BadRequestError

# What Azure's emulator is called and signs with, published for everyone:
# https://learn.microsoft.com/azure/storage/common/storage-use-azurite
_EMULATOR_ACCOUNT = "devstoreaccount1"
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR_ENDPOINT = f"http://127.0.0.1:10000/{_EMULATOR_ACCOUNT}"

_FIELDS = re.compile(
    r"(?i)(^|;)\s*(AccountName|AccountKey|BlobEndpoint|SharedAccessSignature|UseDevelopmentStorage|"
    r"DefaultEndpointsProtocol|EndpointSuffix)\s*="
)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_WHOLE = "Copy the whole connection string (in the portal: storage account › Access keys)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a connection string says; one of `key` and `sas` is set.

    Attributes
    ----------
    endpoint : str
        Empty where it follows from the account's name.
    """

    name: str
    endpoint: str
    key: str = field(default="", repr=False)
    sas: str = field(default="", repr=False)


def is_connection_string(text: str) -> bool:
    """Tell whether a text looks like a connection string."""
    return _FIELDS.search(text) is not None and not re.match(r"[a-z][a-z0-9+.-]*://", text)


def parse(text: str) -> Account:
    """Read a connection string.

    Raises
    ------
    BadRequestError
        When the account, or what signs, is missing; no part of the text is repeated in the message.
    """
    fields = dict(_pair(part) for part in text.split(";") if part.strip())
    if fields.get("usedevelopmentstorage", "").lower() == "true":
        return Account(name=_EMULATOR_ACCOUNT, endpoint=_EMULATOR_ENDPOINT, key=_EMULATOR_KEY)
    endpoint = fields.get("blobendpoint", "").rstrip("/")
    name = fields.get("accountname") or account_of(endpoint)
    suffix = fields.get("endpointsuffix", "core.windows.net")
    protocol = fields.get("defaultendpointsprotocol", "https").lower()
    if not _NAME.fullmatch(name):
        raise BadRequestError("This connection string names no account.", hint=_WHOLE)
    if not endpoint and (suffix != "core.windows.net" or protocol != "https"):
        endpoint = f"{protocol}://{name}.blob.{suffix}"
    key, sas = fields.get("accountkey", ""), fields.get("sharedaccesssignature", "").lstrip("?")
    if not key and not sas:
        raise BadRequestError("This connection string holds neither AccountKey nor SharedAccessSignature.", hint=_WHOLE)
    return Account(name=name, endpoint=endpoint, key=key, sas="" if key else sas)


def account_of(endpoint: str) -> str:
    """Return the account that a blob endpoint belongs to: its host's first label, or its path on an emulator."""
    host, _, path = endpoint.partition("://")[2].partition("/")
    name = path.partition("/")[0] or host.partition(".")[0].removesuffix("-secondary")
    return name if _NAME.fullmatch(name) else ""


def _pair(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals:
        raise BadRequestError("This connection string is not whole.", hint=_WHOLE)
    return name.strip().lower(), value.strip()
