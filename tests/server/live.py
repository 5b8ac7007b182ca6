"""A real Jupyter server with the extension, on a thread of its own; asked over HTTP, byte for byte."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

from jupyter_server.serverapp import ServerApp

from tests.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

TOKEN = "4f0c7a1e"
API = "/jupyter-gpu-ext/api"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class App(ServerApp):
    """The server less its signal handlers, which only a main thread may set."""

    def init_signal(self) -> None:
        pass


class Server:
    """A running server."""

    def __init__(self, app: ServerApp) -> None:
        self.app = app

    @property
    def extension(self) -> Any:
        return self.app.extension_manager.extension_points["jupyter_gpu_ext"].app

    def get(self, path: str, /, **arguments: Any) -> Reply:
        """GET a path of the API; an argument is text, bytes, or a list of them."""
        return self.request("GET", API + path, query(**arguments))

    def request(
        self,
        method: str,
        path: str,
        arguments: str = "",
        *,
        token: str | None = TOKEN,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = 60,
    ) -> Reply:
        sent = {**({"Authorization": f"token {token}"} if token else {}), **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.app.port, timeout=seconds)
        target = self.app.base_url.rstrip("/") + path + (f"?{arguments}" if arguments else "")
        try:
            connection.request(method, target, body, sent)
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def await_(self, work: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.app.io_loop.asyncio_loop).result(seconds)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function on the server's loop."""

        async def work() -> Any:
            return function()

        return self.await_(work())


def query(**arguments: Any) -> str:
    """Return a query string; lists repeat their name, bytes need be no UTF-8."""
    pairs = [
        (name, value) for name, given in arguments.items() for value in (given if isinstance(given, list) else [given])
    ]
    return "&".join(f"{name}={quote_from_bytes(_bytes(value), safe='')}" for name, value in pairs)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@contextmanager
def running(folder: Path, **config: Any) -> Iterator[Server]:
    """Run a server that takes nothing from this machine's configuration."""
    started = threading.Event()
    apps: list[ServerApp] = []
    thread = threading.Thread(target=_serve, args=(folder, config, apps, started), daemon=True)
    thread.start()
    assert started.wait(60), "the server did not start"
    try:
        yield Server(apps[0])
    finally:
        apps[0].stop()
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"


def _serve(folder: Path, config: dict[str, Any], apps: list[ServerApp], started: threading.Event) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    app = App(
        config_dir=str(_made(folder / "config")),
        data_dir=str(_made(folder / "data")),
        runtime_dir=str(_made(folder / "runtime")),
        root_dir=str(_made(folder / "root")),
        jpserver_extensions={"jupyter_gpu_ext": True},
        base_url="/a%40b/",
        port=free_port(),
        port_retries=0,
        ip="127.0.0.1",
        allow_root=True,
        open_browser=False,
        log_level=logging.DEBUG,
        **config,
    )
    app.config.IdentityProvider.token = TOKEN
    app.config.NotebookNotary.db_file = ":memory:"
    app.initialize(argv=[], find_extensions=False)
    apps.append(app)
    app.io_loop.add_callback(started.set)
    app.start()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wait_until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Return the condition's first truth; the limit is for a broken program, not for a slow machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("the condition did not come true")


class Log(logging.Handler):
    """Everything that anyone in this process logs, as text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def logged(app: ServerApp) -> Iterator[Log]:
    """Collect the server's and the root logger's lines, DEBUG included."""
    log, root = Log(), logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    for logger in (root, app.log):
        logger.addHandler(log)
    try:
        yield log
    finally:
        for logger in (root, app.log):
            logger.removeHandler(log)
        root.setLevel(level)


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set environment variables for a module's fixture."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
