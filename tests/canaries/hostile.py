"""A server that tells everyone what it was told: whatever it answers repeats the request, headers and all."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATUSES = {
    "404": 404, "403": 403, "401": 401, "expired": 403, "429": 429, "503": 503, "500": 500, "400": 400,
    "412": 412, "418": 418, "redirect": 307, "page": 200, "half a reply": 200, "cut": 200, "corrupt": 206,
}  # fmt: skip


class Hostile:
    """A running server; `asked` are the requests it got."""

    def __init__(self, fault: str, elsewhere: str = "") -> None:
        self.fault = fault
        self.elsewhere = elsewhere
        self.asked: list[str] = []
        self.ended = threading.Event()
        self.port = 0


class _Handler(BaseHTTPRequestHandler):
    hostile: Hostile
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = f"{self.command} {self.path} {unquote(self.path)} {dict(self.headers)} {body[:4000].decode('latin-1')}"
        self.hostile.asked.append(told)
        fault = self.hostile.fault
        if fault == "stall":
            self.hostile.ended.wait(30)
            self.close_connection = True
            return
        data = _body(fault, told, STATUSES[fault])
        echo = " ".join(told.split())[:3000].encode("latin-1", "replace").decode("latin-1")
        self.send_response(STATUSES[fault], echo)
        for name in ("ETag", "x-ms-error-code", "x-ms-request-id", "x-amz-request-id", "WWW-Authenticate", "Server"):
            self.send_header(name, '"1"' if name == "ETag" and fault == "corrupt" else echo)
        if fault == "redirect":
            self.send_header("Location", self.hostile.elsewhere + self.path)
        if fault == "corrupt":
            self.send_header("Content-Range", f"bytes 0-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) * (2 if fault == "cut" else 1)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = answer

    def log_message(self, *_: object) -> None:
        pass


def _body(fault: str, told: str, status: int) -> bytes:
    if fault == "corrupt":
        # What an object holds is the person's own, and is shown.
        return b"\xff" * 64
    safe = escape(told)
    code = {"expired": "ExpiredToken"}.get(fault, safe)
    if fault == "half a reply":
        return f'<?xml version="1.0"?><ListBucketResult><Contents><Key>{safe}'.encode()
    if fault == "page":
        return f"<html>{safe}</html>".encode()
    if "oogle" in told or "/storage/v1/" in told:
        return json.dumps({"error": {"code": status, "message": told, "errors": [{"reason": told}]}}).encode()
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{safe}</Message></Error>'.encode()


@contextlib.contextmanager
def hostile(fault: str, *, certificate: Path | None = None, elsewhere: str = "") -> Iterator[Hostile]:
    """Run a server for the length of a block; with a certificate over TLS."""
    told = Hostile(fault, elsewhere)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that has heard enough hangs up."""

    server = Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"hostile": told}))
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.with_name("server.pem"), certificate.with_name("key.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    told.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield told
    finally:
        told.ended.set()
        server.shutdown()
        server.server_close()
