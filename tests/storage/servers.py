"""Small real servers: a proxy that counts, stalls or runs a hook, and an endpoint that always answers the same."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Proxy:
    """A TCP proxy in front of `port`.

    Attributes
    ----------
    bytes_down : int
        What the server behind sent, headers included.
    connections : int
        How many the clients opened.
    stall_after : int or None
        From this many bytes on nothing more is passed to the client.
    stalled, client_closed : threading.Event
        Nothing more is passed on; and then the client has closed a connection.
    """

    def __init__(self, port: int | None, stall_after: int | None = None) -> None:
        self.stall_after = stall_after
        self.bytes_down = 0
        self.connections = 0
        self.stalled = threading.Event()
        self.client_closed = threading.Event()
        self._behind = port
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            self.connections += 1
            if self._behind is None:
                # A server that accepts and never answers.
                threading.Thread(target=self._swallow, args=(client,), daemon=True).start()
                continue
            server = socket.create_connection(("127.0.0.1", self._behind))
            self._open.append(server)
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _swallow(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while client.recv(65536):
                self.stalled.set()
        self.client_closed.set()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        if self.stalled.is_set():
            self.client_closed.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                with self._lock:
                    self.bytes_down += len(data)
                if self.stall_after is not None and self.bytes_down > self.stall_after:
                    self.stalled.set()
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy(port: int | None, stall_after: int | None = None) -> Iterator[Proxy]:
    """Run a proxy for the length of a block."""
    running = Proxy(port, stall_after)
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def endpoint(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[str]:
    """Run a web server that gives every request the same answer; yield its address."""

    class Same(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Same)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Recorder(Proxy):
    """A proxy that keeps what the client sent; `requests` are the lines 'METHOD path'."""

    def __init__(self, port: int) -> None:
        self.sent = bytearray()
        super().__init__(port)

    @property
    def requests(self) -> list[str]:
        found = re.findall(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n", bytes(self.sent))
        return [f"{method.decode()} {path.decode()}" for method, path in found]

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                with self._lock:
                    self.sent += data
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def recorder(port: int) -> Iterator[Recorder]:
    """Run a recording proxy for the length of a block."""
    running = Recorder(port)
    try:
        yield running
    finally:
        running.close()


class Lossy(Proxy):
    """A proxy that drops the answer to one request, and the connection with it; the server did its work."""

    def __init__(self, port: int) -> None:
        self.lost = threading.Event()
        self._method: bytes | None = None
        self._doomed: set[socket.socket] = set()
        super().__init__(port)

    def lose_next(self, method: bytes) -> None:
        self._method = method

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._method is not None and data.startswith(self._method):
                    self._method = None
                    self._doomed.add(server)
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                # The leave to send the body on is not yet the answer.
                if server in self._doomed and b" 100 " not in data[:16]:
                    self.lost.set()
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def lossy(port: int) -> Iterator[Lossy]:
    """Run a lossy proxy for the length of a block."""
    running = Lossy(port)
    try:
        yield running
    finally:
        running.close()
