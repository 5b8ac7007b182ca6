"""A container of generated names: List Blobs and nothing else, so that a hundred thousand cost nothing to make."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://learn.microsoft.com/rest/api/storageservices/list-blobs
_REPLY = (
    '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{blobs}</Blobs>'
    "<NextMarker>{marker}</NextMarker></EnumerationResults>"
)
_BLOB = (
    "<Blob><Name>{name}</Name><Properties><Last-Modified>Thu, 03 Dec 2026 14:02:00 GMT</Last-Modified>"
    "<Etag>0x8D1</Etag><Content-Length>{size}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
)


class Many(ThreadingHTTPServer):
    """Listens on 127.0.0.1; `asked` holds the first index of each page of all names, in the order of the requests.

    Whether a name is a folder too is asked by its prefix, and is no page of all names.
    """

    def __init__(self, count: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.names = [f"step-{index:06d}.pt" for index in range(count)]
        self.asked: list[int] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/generated"

    def page(self, query: dict[str, list[str]]) -> str:
        prefix = query.get("prefix", [""])[0]
        start, limit = int(query.get("marker", ["0"])[0]), int(query["maxresults"][0])
        if not prefix:
            self.asked.append(start)
        found = [name for name in self.names if name.startswith(prefix)]
        blobs = (_BLOB.format(name=name, size=1000 + index) for index, name in enumerate(found[start : start + limit]))
        end = start + limit
        return _REPLY.format(blobs="".join(blobs), marker=end if end < len(found) else "")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Many

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if query.get("comp") != ["list"]:
            self.send_error(404)
            return
        body = self.server.page(query).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running_many(count: int) -> Iterator[Many]:
    """Serve a container of `count` blobs."""
    with Many(count) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
