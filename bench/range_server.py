"""A plain server of ranges, as fast as this machine sends files: what a client reaches against it is the client's own.

It answers as Azure answers Get Blob and Get Blob Properties, and as S3 answers GetObject and HeadObject, for the files
of a folder: `/account/container/KEY`. It checks no signature. Run it beside a bench, or by itself:

    python -m bench.range_server --folder DIR [--port N] [--tls CERT KEY] [--latency-ms 20] [--rate-mbps 60] [--md5]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import mmap
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote

from tests.conftest import AZURITE_ACCOUNT, free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_ASKED = "x-ms-client-request-id"
_PIECE_BYTES = 256 * 1024
_MOST_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is served, and how slowly.

    Attributes
    ----------
    latency_ms : float
        Between a request and its answer.
    rate_mbps : float or None
        Megabytes a second that one connection gets; None for what there is.
    md5 : bool
        Compute and send each file's MD5, as Azure does for what was uploaded with one.
    """

    folder: Path
    port: int
    tls: tuple[str, str] | None = None
    latency_ms: float = 0.0
    rate_mbps: float | None = None
    md5: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request's line and headers; the names of headers are in lower case."""

    method: str
    key: str
    query: str
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, head: bytes) -> Request:
        """Parse the bytes before the empty line.

        Raises
        ------
        ValueError
            When they are no request, or its path leads out of the folder.
        """
        line, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        # A client may name the host in the target as well (RFC 9112, 3.2.2).
        path, _, query = re.sub(r"^https?://[^/]*", "", target).partition("?")
        _, _, _, key = unquote(path).split("/", 3)
        if not key or ".." in key.split("/") or key.startswith("/") or "\0" in key:
            raise ValueError(key)
        pairs = (one.partition(":") for one in rest)
        return cls(method, key, query, {name.strip().lower(): value.strip() for name, _, value in pairs})

    def asked_range(self, size: int) -> range | None:
        """Return the bytes to send, None where the range lies outside; `size` is the file's."""
        match = _RANGE.fullmatch(self.headers.get("x-ms-range") or self.headers.get("range") or "bytes=0-")
        if match is None or match.group() == "bytes=-":
            return range(size)
        first, last = match.groups()
        if not first:
            return range(max(0, size - int(last)), size)
        span = range(int(first), min(size, int(last or size) + 1))
        return span if span or not size else None

    @property
    def is_ranged(self) -> bool:
        """Whether a part was asked for."""
        return "x-ms-range" in self.headers or "range" in self.headers


@dataclass
class Server:
    """One thread a connection: the copy itself happens in the kernel, or in OpenSSL, outside Python's lock."""

    options: Options
    context: ssl.SSLContext | None = None
    digests: dict[Path, str] = field(default_factory=dict)

    def serve(self) -> None:
        """Serve until the process ends."""
        if self.options.tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*self.options.tls)
        if self.options.md5:
            files = [path for path in self.options.folder.rglob("*") if path.is_file()]
            self.digests = {path: _md5(path) for path in files}
        with socket.create_server(("127.0.0.1", self.options.port), backlog=512) as listener:
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        with suppress(OSError, ValueError), closing(client):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is not None:
                client = self.context.wrap_socket(client, server_side=True)
            with closing(client), client.makefile("rb") as stream:
                while head := _head(stream):
                    self._answer(client, Request.parse(head))

    def _answer(self, client: socket.socket, request: Request) -> None:
        time.sleep(self.options.latency_ms / 1000)
        path = self.options.folder / request.key
        if request.method not in ("GET", "HEAD") or "comp=" in request.query:
            _refuse(client, 405, "UnsupportedHttpVerb")
        elif not path.is_file():
            _refuse(client, 404, "BlobNotFound", with_body=request.method == "GET")
        else:
            with path.open("rb") as file:
                self._send(client, request, file)

    def _send(self, client: socket.socket, request: Request, file: BinaryIO) -> None:
        found = os.fstat(file.fileno())
        etag = f'"0x{found.st_mtime_ns:X}{found.st_size:X}"'
        wanted = request.headers.get("if-match", "*")
        span = request.asked_range(found.st_size)
        if wanted not in ("*", etag, etag.strip('"')):
            _refuse(client, 412, "ConditionNotMet", with_body=request.method == "GET")
        elif span is None:
            _refuse(client, 416, "InvalidRange", with_body=request.method == "GET")
        else:
            partial = request.is_ranged and bool(span)
            lines = [
                f"Content-Length: {len(span)}",
                f"ETag: {etag}",
                f"Last-Modified: {formatdate(found.st_mtime, usegmt=True)}",
                *([f"Content-Range: bytes {span.start}-{span.stop - 1}/{found.st_size}"] if partial else []),
                *self._digest(Path(file.name), partial=partial),
                # Some clients check that the answer is theirs.
                *([f"{_ASKED}: {request.headers[_ASKED]}"] if _ASKED in request.headers else []),
            ]
            client.sendall(_reply(206 if partial else 200, lines))
            if request.method == "GET":
                self._body(client, file, span)

    def _digest(self, path: Path, *, partial: bool) -> list[str]:
        digest = self.digests.get(path)
        # Of a part, Content-MD5 would be the part's own.
        return [f"{'x-ms-blob-content-md5' if partial else 'Content-MD5'}: {digest}"] if digest else []

    def _body(self, client: socket.socket, file: BinaryIO, span: range) -> None:
        begun, at = time.monotonic(), span.start
        rate = (self.options.rate_mbps or 0) * 1e6
        whole = None if self.context is None or not span else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        most = _PIECE_BYTES if rate or whole else len(span)
        while at < span.stop:
            size = min(most, span.stop - at)
            at += _by_copy(client, whole, at, size) if whole else os.sendfile(client.fileno(), file.fileno(), at, size)
            if rate:
                time.sleep(max(0.0, begun + (at - span.start) / rate - time.monotonic()))


def _by_copy(client: socket.socket, whole: mmap.mmap, at: int, size: int) -> int:
    client.sendall(memoryview(whole)[at : at + size])
    return size


def _head(stream: BinaryIO) -> bytes:
    """Return a request up to its empty line, b'' when the client is gone."""
    lines, size = [], 0
    while (line := stream.readline(_MOST_HEADER_BYTES)) not in (b"\r\n", b""):
        lines.append(line)
        size += len(line)
        if size > _MOST_HEADER_BYTES:
            return b""
    return b"".join(lines).removesuffix(b"\r\n") if line else b""


def _refuse(client: socket.socket, status: int, code: str, *, with_body: bool = True) -> None:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code></Error>'.encode()
    lines = [f"Content-Length: {len(body)}", "Content-Type: application/xml", f"x-ms-error-code: {code}"]
    client.sendall(_reply(status, lines) + (body if with_body else b""))


def _reply(status: int, lines: list[str]) -> bytes:
    usual = [
        "Accept-Ranges: bytes",
        "Content-Type: application/octet-stream",
        "x-ms-version: 2026-02-06",
        "x-ms-blob-type: BlockBlob",
        "x-ms-server-encrypted: true",
        f"Date: {formatdate(usegmt=True)}",
    ]
    own = {line.partition(":")[0] for line in lines}
    kept = [line for line in usual if line.partition(":")[0] not in own]
    return "\r\n".join([f"HTTP/1.1 {status} -", *lines, *kept, "", ""]).encode()


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return base64.b64encode(digest.digest()).decode()


@dataclass(frozen=True, slots=True)
class RangeServer:
    """A server that runs in a process of its own."""

    port: int
    pid: int
    tls: bool

    @property
    def endpoint(self) -> str:
        """The address as a connection to Azure has it; a container's name is whatever is asked."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/{AZURITE_ACCOUNT}"


@contextmanager
def running_range_server(
    folder: Path,
    *,
    tls: tuple[str, str] | None = None,
    latency_ms: float = 0.0,
    rate_mbps: float | None = None,
    md5: bool = False,
) -> Iterator[RangeServer]:
    """Run a server for the length of a block.

    Parameters
    ----------
    folder : Path
        A blob is the file of its key below it.
    tls : tuple of str, optional
        The files of a certificate and its key.
    latency_ms, rate_mbps, md5
        See `Options`.
    """
    port = free_port()
    words = ["--folder", str(folder), "--port", str(port), "--latency-ms", str(latency_ms)]
    words += ["--tls", *tls] if tls else []
    words += ["--rate-mbps", str(rate_mbps)] if rate_mbps else []
    words += ["--md5"] if md5 else []
    process = subprocess.Popen([sys.executable, "-m", "bench.range_server", *words])
    try:
        wait_for_port(port, process)
        yield RangeServer(port, process.pid, tls is not None)
    finally:
        process.terminate()
        process.wait(10)


def _options() -> Options:
    parser = argparse.ArgumentParser(description="Serve the files of a folder by ranges, on 127.0.0.1.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--latency-ms", type=float, default=0.0, help="between a request and its answer")
    parser.add_argument("--rate-mbps", type=float, help="megabytes a second for each connection")
    parser.add_argument("--md5", action="store_true", help="compute and send each file's MD5")
    given = parser.parse_args()
    tls = (given.tls[0], given.tls[1]) if given.tls else None
    return Options(
        folder=given.folder.resolve(),
        port=given.port,
        tls=tls,
        latency_ms=given.latency_ms,
        rate_mbps=given.rate_mbps,
        md5=given.md5,
    )


if __name__ == "__main__":
    Server(_options()).serve()
