"""Metrics for a Prometheus that asks this machine itself, where no Jupyter server runs: once, in a file, over HTTP."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, UsageError
from jupyter_gpu_ext.gpu.api import open_backend, status
from jupyter_gpu_ext.gpu.metrics import CONTENT_TYPE, exposition, families
from jupyter_gpu_ext.gpu.sampler import Sampler
from jupyter_gpu_ext.gpu.textfile import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOST = "127.0.0.1"
# A scraper comes every 15 seconds or more seldom; after a minute without one the sampler rests.
_INTERVAL_SECONDS = 5.0
_PATIENCE_SECONDS = 10


def metrics(*, output: str | None = None, serve: str | None = None) -> str | None:
    """Return the metrics of this moment as text, or give them where it is said to; the verb `gpu metrics`.

    Parameters
    ----------
    output : str or None
        The file that they replace.
    serve : str or None
        `[HOST:]PORT` to answer `GET /metrics` on, until SIGTERM or SIGINT; from the main thread.

    Raises
    ------
    UsageError
        The options do not fit together.
    BadRequestError
        The file cannot be written, the port cannot be listened on.
    """
    if output is not None and serve is not None:
        raise UsageError("--output does not go with --serve.", hint="Leave one.")
    if serve is not None:
        _serve(*address(serve))
        return None
    text = exposition(families(status()))
    if output is not None:
        replace(Path(output), text)
        return None
    return text.removesuffix("\n")


def address(text: str) -> tuple[str, int]:
    """Return host and port of `[HOST:]PORT`; without a host, this machine alone is answered.

    Examples
    --------
    >>> address("9400"), address("[::]:9400")
    (('127.0.0.1', 9400), ('::', 9400))
    """
    host, _, port = text.rpartition(":")
    # isdecimal takes digits of all scripts, as int does.
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--serve needs [HOST:]PORT, not {text!r}.", hint="For example --serve 9400.")
    return host.removeprefix("[").removesuffix("]") or _HOST, int(port)


def _serve(host: str, port: int) -> None:
    ends = {signal.SIGINT, signal.SIGTERM}
    # Before the threads start, which take the mask over: the signal waits for `sigwait`, and no thread is torn.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    try:
        with serving(host, port) as where:
            print(f"Metrics on {where}, until Ctrl-C.", file=sys.stderr, flush=True)  # noqa: T201 -- where they are
            signal.sigwait(ends)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def serving(host: str, port: int) -> Iterator[str]:
    """Answer `GET /metrics` while the block runs, and give the address; port 0 chooses one.

    Raises
    ------
    BadRequestError
        Nobody can listen there.
    """
    sampler = Sampler(open_backend, _INTERVAL_SECONDS)
    handler = type("Handler", (_Handler,), {"sampler": sampler})
    with _bound(host, port, handler) as server:
        sampler.start()
        thread = threading.Thread(target=server.serve_forever, name="jupyter-gpu-metrics", daemon=True)
        thread.start()
        try:
            yield _url(server)
        finally:
            server.shutdown()
            thread.join()
            sampler.stop()


class _Handler(BaseHTTPRequestHandler):
    """Answers one question; tells neither its program nor the time, and logs nobody."""

    sampler: Sampler
    timeout = _PATIENCE_SECONDS

    def do_GET(self) -> None:
        if self.path.partition("?")[0] == "/metrics":
            self._answer(200, CONTENT_TYPE, exposition(families(self.sampler.status())))
        else:
            self.send_error(404)

    def send_error(self, *_: Any, **__: Any) -> None:
        self._answer(404, "text/plain; charset=utf-8", "GET /metrics is all there is.\n")

    def _answer(self, code: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response_only(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, where: tuple[str, int], handler: type[_Handler]) -> None:
        self.address_family = family
        super().__init__(where, handler)

    def server_bind(self) -> None:
        # The base class asks the network for this machine's name, which may take long.
        TCPServer.server_bind(self)

    def handle_error(self, *_: Any) -> None:
        """Say nothing: a scraper that hangs up is its own affair."""


def _bound(host: str, port: int, handler: type[_Handler]) -> _Server:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return _Server(family, (host, port), handler)
    except OSError as error:
        hint = "Choose another port, and an address of this machine."
        raise BadRequestError(f"Nobody can listen on {host}:{port} ({error.strerror}).", hint=hint) from error


def _url(server: _Server) -> str:
    host, port = server.server_address[:2]
    name = f"[{host!s}]" if ip_address(str(host)).version == 6 else host
    return f"http://{name!s}:{port}/metrics"
