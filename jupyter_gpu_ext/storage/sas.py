"""What a shared access signature says of itself: rights, times, how far it reaches.

Fields: https://learn.microsoft.com/rest/api/storageservices/create-service-sas and create-account-sas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import unquote

from jupyter_gpu_ext.errors import BadRequestError

# What a link may carry beside its signature: how to call, not what is granted.
_CALL = frozenset({"restype", "comp", "timeout", "prefix", "delimiter", "maxresults", "include"})
_SNAPSHOT = frozenset({"snapshot", "versionid"})
_SCOPES = {"b": "blob", "bv": "blob", "bs": "blob", "c": "container", "d": "directory"}
_WHOLE = "Copy the whole link again (in the portal: Generate SAS › Blob SAS URL)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What a link or an identity may do; None is not known."""

    list: bool | None = None
    read: bool | None = None
    write: bool | None = None
    delete: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sas:
    """A shared access signature, read.

    Attributes
    ----------
    token : str
        The signed query string, as it must be sent.
    scope : {'blob', 'container', 'directory', 'account'}
    starts_at, expires_at : datetime or None
        UTC; None where a stored policy of the container decides.
    """

    token: str = field(repr=False)
    scope: Literal["blob", "container", "directory", "account"]
    grants: Grants
    starts_at: datetime | None
    expires_at: datetime | None


def is_sas(query: str) -> bool:
    """Tell whether a query string is signed for Azure."""
    names = {pair.partition("=")[0].lower() for pair in query.lstrip("?").split("&")}
    return "sig" in names and bool(names & {"sv", "se", "sp", "si", "sr", "srt"})


def parse(query: str) -> Sas:
    """Read a query string.

    Raises
    ------
    BadRequestError
        When it is cut, doubled, not for blobs, or names one old version of a blob.
    """
    pairs = [pair for pair in query.strip().lstrip("?").split("&") if pair]
    fields: dict[str, str] = {}
    kept = []
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name.lower() in _SNAPSHOT:
            raise BadRequestError("This link names one old version of a blob.", hint="Paste the blob's own link.")
        if name.lower() in _CALL:
            continue
        if name in fields:
            raise BadRequestError("The signature of this link is not whole: a part comes twice.", hint=_WHOLE)
        fields[name] = unquote(value)
        kept.append(pair)
    if len(fields.get("sig", "")) < 20 or not (fields.get("sr") or fields.get("srt")):
        raise BadRequestError("The signature of this link is not whole.", hint=_WHOLE)
    if "srt" in fields and "b" not in fields.get("ss", ""):
        raise BadRequestError("This signature is not for blobs.", hint="Ask for one with the Blob service ticked.")
    return Sas(
        token="&".join(kept),
        scope=_scope(fields),
        grants=_grants(fields),
        starts_at=_time(fields.get("st")),
        expires_at=_time(fields.get("se")),
    )


def _scope(fields: dict[str, str]) -> Literal["blob", "container", "directory", "account"]:
    if "srt" in fields:
        return "account"
    found = _SCOPES.get(fields["sr"])
    if found is None:
        raise BadRequestError("This signature is not for blobs.", hint="Ask for one on a container or a blob.")
    return found  # type: ignore[return-value]


def _grants(fields: dict[str, str]) -> Grants:
    if "sp" not in fields:
        return Grants()
    rights, reach = fields["sp"], fields.get("srt")
    on_objects = reach is None or "o" in reach
    one_blob = reach is None and fields["sr"].startswith("b")
    return Grants(
        list="l" in rights and not one_blob and (reach is None or "c" in reach),
        read="r" in rights and on_objects,
        write="w" in rights and on_objects,
        delete="d" in rights and on_objects,
    )


def _time(text: str | None) -> datetime | None:
    # Formats: https://learn.microsoft.com/rest/api/storageservices/formatting-datetime-values
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequestError("The times of this link are not of their form.", hint=_WHOLE) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
