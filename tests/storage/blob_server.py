"""A generated Azure service that only lists: a hundred thousand blobs without one being stored.

It answers as the service does and refuses what the service refuses: a wrong signature, a parameter that List
Blobs does not have, a marker that it never gave. A process of its own, so that what it costs is not measured.

https://learn.microsoft.com/rest/api/storageservices/list-blobs
https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import subprocess
import sys
import threading
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, KEY_VARIABLE, free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTAINER = "big"
FLAT, FOLDERS = 100_000, 5_000
_MOST = 5000
_SKEW = timedelta(minutes=15)
_PARAMETERS = {"restype", "comp", "prefix", "delimiter", "marker", "maxresults", "include"}
_INCLUDE = {"metadata", "snapshots", "uncommittedblobs", "copy", "deleted", "tags", "versions"}
_WHEN = "Fri, 02 Jan 2026 03:04:05 GMT"


def generated() -> list[str]:
    """Return the names in order: one folder of 100,000 blobs, one of 5,000 folders."""
    return [f"flat/blob-{index:06}.bin" for index in range(FLAT)] + [
        f"folders/run-{index:04}/{name}" for index in range(FOLDERS) for name in ("a", "b")
    ]


class Refused(Exception):
    """What the service answers to a wrong request."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Asked:
    """What a List Blobs request asks for."""

    prefix: str
    delimiter: str
    marker: str
    most: int

    @classmethod
    def parse(cls, query: str) -> Asked:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
        given = dict(pairs)
        if (
            len(given) < len(pairs)
            or given.keys() - _PARAMETERS
            or set(given.get("include", "copy").split(",")) - _INCLUDE
        ):
            raise Refused(400, "InvalidQueryParameterValue")
        if (given.get("restype"), given.get("comp")) != ("container", "list"):
            raise Refused(400, "InvalidUri")
        most = given.get("maxresults", str(_MOST))
        if not (most.isascii() and most.isdecimal() and 1 <= int(most) <= _MOST):
            raise Refused(400, "OutOfRangeQueryParameterValue")
        return cls(given.get("prefix", ""), given.get("delimiter", ""), given.get("marker", ""), int(most))


def page(names: Sequence[str], asked: Asked) -> tuple[list[str], str]:
    """Return the rows of a page, folders with the delimiter at their end, and the marker of the next one."""
    at, rows = _start(names, asked), list[str]()
    while at < len(names) and names[at].startswith(asked.prefix) and len(rows) < asked.most:
        below = names[at][len(asked.prefix) :]
        head, cut, _ = below.partition(asked.delimiter) if asked.delimiter else (below, "", "")
        rows.append(asked.prefix + head + cut)
        # After a folder comes the first name that does not start with it.
        at = bisect_left(names, rows[-1][:-1] + chr(ord(cut) + 1), at) if cut else at + 1
    more = at < len(names) and names[at].startswith(asked.prefix)
    return rows, base64.urlsafe_b64encode(names[at].encode()).decode() if more else ""


def _start(names: Sequence[str], asked: Asked) -> int:
    if not asked.marker:
        return bisect_left(names, asked.prefix)
    try:
        name = base64.b64decode(asked.marker, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refused(400, "InvalidQueryParameterValue") from None
    at = bisect_left(names, name)
    if not name.startswith(asked.prefix) or at == len(names) or names[at] != name:
        raise Refused(400, "InvalidQueryParameterValue")
    return at


def page_xml(asked: Asked, rows: list[str], marker: str) -> bytes:
    """Return the page as the service writes it, byte order mark included."""
    blobs = "".join(_folder(row) if asked.delimiter and row.endswith(asked.delimiter) else _blob(row) for row in rows)
    return (
        '\ufeff<?xml version="1.0" encoding="utf-8"?>'
        f'<EnumerationResults ServiceEndpoint="https://{AZURITE_ACCOUNT}.blob.core.windows.net/" '
        f'ContainerName="{CONTAINER}"><Prefix>{escape(asked.prefix)}</Prefix><Marker>{asked.marker}</Marker>'
        f"<MaxResults>{asked.most}</MaxResults><Delimiter>{escape(asked.delimiter)}</Delimiter>"
        f"<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    ).encode()


def _folder(name: str) -> str:
    return f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"


def _blob(name: str) -> str:
    return (
        f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{_WHEN}</Creation-Time>"
        f"<Last-Modified>{_WHEN}</Last-Modified><Etag>0x8DE49A1B2C3D4E5</Etag><Content-Length>1048576</Content-Length>"
        "<Content-Type>application/octet-stream</Content-Type><Content-Encoding /><Content-Language /><Content-CRC64 />"
        "<Content-MD5>ttgbNgpWctgMJ0MPORU+LA==</Content-MD5><Cache-Control /><Content-Disposition />"
        "<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred>"
        "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted>"
        "</Properties><Metadata /><OrMetadata /></Blob>"
    )


def signature(path: str, query: str, headers: http.client.HTTPMessage) -> str:
    """Return what the `Authorization` of a GET without a body must be."""
    own = sorted(
        (name.lower(), " ".join(value.split())) for name, value in headers.items() if name.lower().startswith("x-ms-")
    )
    pairs = sorted((name.lower(), value) for name, value in parse_qsl(query, keep_blank_values=True))
    lines = ["GET", *[""] * 11, *(f"{name}:{value}" for name, value in own), f"/{AZURITE_ACCOUNT}{path}"]
    text = "\n".join([*lines, *(f"{name}:{value}" for name, value in pairs)])
    digest = hmac.digest(base64.b64decode(AZURITE_KEY), text.encode(), hashlib.sha256)
    return f"SharedKey {AZURITE_ACCOUNT}:{base64.b64encode(digest).decode()}"


class Service(ThreadingHTTPServer):
    """The names, the requests so far, and whether answers may go out."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Answers)
        self.names = generated()
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()


class Answers(BaseHTTPRequestHandler):
    """`/account/container` is the service; `/-/…` is for the test: the requests so far, stall, go on."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path.startswith("/-/"):
            self._reply(200, self._control(place.path.removeprefix("/-/")), "application/json")
            return
        self.server.asked.append(self.path)
        self.server.may_answer.wait()
        try:
            self._reply(200, self._page(place.path, place.query), "application/xml")
        except Refused as refused:
            body = f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>{refused.code}</Code></Error>'
            self._reply(refused.status, body.encode(), "application/xml", {"x-ms-error-code": refused.code})

    def _page(self, path: str, query: str) -> bytes:
        try:
            self._check_access(path, query)
            asked = Asked.parse(query)
        except ValueError:
            raise Refused(400, "InvalidUri") from None
        if unquote(path) != f"/{AZURITE_ACCOUNT}/{CONTAINER}":
            raise Refused(404, "ContainerNotFound")
        return page_xml(asked, *page(self.server.names, asked))

    def _check_access(self, path: str, query: str) -> None:
        if not self.headers["x-ms-version"]:
            raise Refused(400, "MissingRequiredHeader")
        sent = parsedate_to_datetime(self.headers["x-ms-date"] or "")
        if abs(datetime.now(UTC) - sent) > _SKEW or self.headers["Authorization"] != signature(
            path, query, self.headers
        ):
            raise Refused(403, "AuthenticationFailed")

    def _control(self, word: str) -> bytes:
        if word == "stall":
            self.server.may_answer.clear()
        elif word == "go-on":
            self.server.may_answer.set()
        return json.dumps(self.server.asked).encode()

    def _reply(self, status: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "x-ms-version": "2026-02-06", **(more or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class BlobServer:
    """The running service."""

    port: int

    @property
    def fields(self) -> dict[str, object]:
        """The fields of a connection to its container."""
        return {
            "root": f"az://{CONTAINER}",
            "account": AZURITE_ACCOUNT,
            "endpoint": f"http://127.0.0.1:{self.port}/{AZURITE_ACCOUNT}",
            "credential": "account-key",
            "secret": f"env:{KEY_VARIABLE}",
        }

    @property
    def requests(self) -> list[str]:
        """The paths of the requests so far."""
        return self._tell("requests")

    def stall(self) -> None:
        """Take requests from now on and answer none."""
        self._tell("stall")

    def go_on(self) -> None:
        """Answer again."""
        self._tell("go-on")

    def _tell(self, word: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/-/{word}")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def running_blob_server() -> Iterator[BlobServer]:
    """Run one for the length of a block."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.storage.blob_server", str(port)])
    try:
        wait_for_port(port, process)
        yield BlobServer(port)
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    Service(int(sys.argv[1])).serve_forever()
