"""From whatever a person pastes to a connection that could be made: pure, nothing is asked, nothing is opened."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import addresses, azure_links, connection_string, sas, url
from jupyter_gpu_ext.storage.proposal import Proposal, join, split, suggest
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

_LONGEST = 16_384
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# What people paste along: quotes, brackets of a chat, marks that have no width.
_WRAPPING = "\"'`<>“”‘’ \t\r\n\u200b\u2060\ufeff"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_AWS_HOST = re.compile(
    r"((?P<bucket>[a-z0-9][a-z0-9.-]*)\.)?s3([.-](?P<region>[a-z]{2}(-[a-z]+)+-\d))?\.amazonaws\.com(\.cn)?"
)
_MINIO_PORTS = frozenset({9000})
_SIGNED_ELSEWHERE = re.compile(r"(?i)(^|&)(x-amz-signature|x-goog-signature|signature)=")

WHAT = (
    "Paste a SAS link, a connection string, a link of the Azure portal, abfss://…, s3://…, gs://…, a MinIO address, "
    "a folder that starts with /, or a plain https link to a file."
)


def parse(text: str, environ: Mapping[str, str] = os.environ) -> Proposal:
    """Return the connection that a pasted text stands for.

    Parameters
    ----------
    text : str
        A link, a connection string or an absolute folder, with what people paste along.
    environ : mapping
        For `az://container`, whose account is the environment's.

    Raises
    ------
    BadRequestError
        With the reason and what to paste instead; secrets of the text are never repeated.
    """
    plain = _clean(text)
    if connection_string.is_connection_string(plain):
        return azure_links.from_connection_string(plain)
    if plain.startswith(("/", "~", "file:///")):
        return _folder(plain.removeprefix("file://"))
    _refuse_chain(plain)
    scheme, separator, rest = plain.partition("://")
    reader = _READERS.get(scheme.lower()) if separator else None
    if reader is None:
        raise _unknown(plain, scheme if separator else "")
    return reader(plain, scheme.lower(), rest, environ)


def has_secret(text: str) -> bool:
    """Tell whether a text is a link or a connection string that holds a secret."""
    return redact(text) != text or bool(sas.is_sas(text.partition("?")[2]))


def _clean(text: str) -> str:
    plain = text.strip(_WRAPPING)
    if not plain:
        raise BadRequestError("Nothing was pasted.", hint=WHAT)
    if len(plain) > _LONGEST:
        raise BadRequestError(f"The text is longer than {_LONGEST} characters.", hint=WHAT)
    if re.search(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]", plain):
        raise BadRequestError("The text has a line break or a control character in it.", hint="Copy one link.")
    return plain


def _refuse_chain(plain: str) -> None:
    # `simplecache::…`, `zip://…::…`, `reference:…` open a second place behind the first. Brackets hold IPv6.
    before_query = re.sub(r"//\[[^\]/]*\]", "//", plain).partition("?")[0]
    if "::" in before_query or re.match(r"(?i)(reference|simplecache|filecache|blockcache|dir|zip|tar):", plain):
        raise BadRequestError("Chained addresses (a::b) are not opened.", hint="Paste the link of the storage itself.")


def _unknown(plain: str, scheme: str) -> BadRequestError:
    if sas.is_sas(plain):
        return BadRequestError("This is a signature without its link.", hint="Copy the Blob SAS URL, not the token.")
    if re.fullmatch(r"[A-Za-z0-9+/]{86}==", plain):
        return BadRequestError("This is an account key without its account.", hint="Copy the connection string.")
    if _SCHEME.fullmatch(scheme):
        return BadRequestError(f"{scheme[:20]}:// is not one of the protocols that are read here.", hint=WHAT)
    return BadRequestError("This is no link, no connection string and no absolute folder.", hint=WHAT)


def _folder(path: str) -> Proposal:
    place = Path(path).expanduser()
    if not place.is_absolute() or ".." in place.parts:
        raise BadRequestError("The folder is not written in full.", hint="Paste its whole path, without '..'.")
    return Proposal(name=suggest(place.name, "disk"), fields={"root": str(place)})


def _from_az(_plain: str, _scheme: str, rest: str, environ: Mapping[str, str]) -> Proposal:
    return azure_links.from_az(rest, environ)


def _from_abfs(_plain: str, scheme: str, rest: str, environ: Mapping[str, str]) -> Proposal:
    return azure_links.from_abfs(rest, scheme, environ)


def _from_bucket(_plain: str, scheme: str, rest: str, _environ: Mapping[str, str]) -> Proposal:
    bucket, _, path = rest.partition("/")
    return _in_bucket("gs" if scheme in ("gs", "gcs") else "s3", bucket, path)


def _in_bucket(protocol: str, bucket: str, path: str, **fields: str) -> Proposal:
    if bucket and not _BUCKET.fullmatch(bucket):
        raise BadRequestError(
            "The link names no bucket of its form.", hint=f"For example {protocol}://my-bucket/folder."
        )
    url.check_key(path)
    folder, key = split(path)
    return Proposal(
        name=suggest(bucket, protocol),
        fields={"root": join(protocol, bucket, folder), "credential": "default", **fields},
        key=key,
    )


def _from_http(plain: str, _scheme: str, _rest: str, _environ: Mapping[str, str]) -> Proposal:
    parts = addresses.split_url(plain)
    host = str(parts.hostname)
    if host == "portal.azure.com":
        return azure_links.from_portal(parts)
    if azure_links.is_azure(parts):
        made = azure_links.from_blob_url(parts)
    elif _SIGNED_ELSEWHERE.search(parts.query):
        raise BadRequestError(
            "A presigned link of S3 or GCS opens one object for a short time, and cannot be connected.",
            hint="Connect the bucket: s3://BUCKET or gs://BUCKET.",
        )
    elif parts.query or parts.fragment:
        raise BadRequestError("The link has a query or a fragment.", hint="Leave out everything from ? or # on.")
    else:
        made = _by_host(parts, host)
    url.check_key(made.key)
    return made


def _by_host(parts: SplitResult, host: str) -> Proposal:
    path = unquote(parts.path.lstrip("/"), errors="surrogateescape")
    if aws := _AWS_HOST.fullmatch(host):
        bucket, _, below = (aws["bucket"], "", path) if aws["bucket"] else path.partition("/")
        return _in_bucket("s3", bucket, below, **({"region": aws["region"]} if aws["region"] else {}))
    if host == "storage.googleapis.com":
        bucket, _, below = path.partition("/")
        return _in_bucket("gs", bucket, below)
    if parts.port in _MINIO_PORTS or re.match(r"(minio|s3)\b", host):
        bucket, _, below = path.partition("/")
        return _in_bucket("s3", bucket, below, endpoint=f"{parts.scheme}://{parts.netloc}")
    # A file of the web: its folder is the root, so that the name-URL is short.
    folder, _, last = path.rpartition("/")
    return Proposal(
        name=suggest(host.removeprefix("www.").partition(".")[0], host),
        fields={"root": join(parts.scheme, parts.netloc, folder)},
        key=last,
        one_object=last or None,
    )


_READERS: Mapping[str, Callable[[str, str, str, Mapping[str, str]], Proposal]] = {
    "http": _from_http,
    "https": _from_http,
    **dict.fromkeys(("abfs", "abfss", "wasb", "wasbs"), _from_abfs),
    **dict.fromkeys(("az", "azure"), _from_az),
    **dict.fromkeys(("s3", "s3a", "gs", "gcs"), _from_bucket),
}
