"""Web addresses, against real servers: one that keeps the rules of ranges and several that do not."""

from __future__ import annotations

import asyncio
import hashlib
import re
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import (
    BadRequestError,
    BadStorageReplyError,
    DeniedError,
    GpuExtError,
    NotFoundError,
    ObjectChangedError,
    UnreachableError,
)
from jupyter_gpu_ext.storage import connections, http
from jupyter_gpu_ext.storage.backends import backend, writable
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.models import Version
from tests.conftest import free_port, write_connections
from tests.contracts.storage_backend import ODD_NAMES
from tests.storage.servers import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import Backend


class Site:
    """What a server holds and how it behaves."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.tag = '"{}"'
        self.ranges = True
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    site: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.site.asked.append(self.path)
        data = self.site.objects.get(unquote(self.path).removeprefix("/"))
        if data is None:
            return self.answer(404, b"", {})
        headers = {"ETag": self.site.tag.format(hashlib.sha256(data).hexdigest()[:16])} if self.site.tag else {}
        if self.headers.get("If-Match") not in (None, headers.get("ETag")):
            return self.answer(412, b"", {})
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        return self.part(data, wanted, headers) if wanted and self.site.ranges else self.answer(200, data, headers)

    def part(self, data: bytes, wanted: re.Match[str], headers: dict[str, str]) -> None:
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
        if start >= len(data):
            return self.answer(416, b"", headers)
        place = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        return self.answer(206, data[start:stop], {**headers, **place})

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(site: Site) -> Iterator[str]:
    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """A client that has read enough hangs up."""

    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"site": site}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def opened(site: Site, tmp_path: Path) -> Iterator[Backend]:
    with serving(site) as address:
        write_connections(tmp_path / "connections.toml", web={"root": f"{address}/data"})
        yield backend(connections.load().find("web"))


@pytest.mark.parametrize("tag", ['"{}"', 'W/"{}"', ""], ids=["strong", "weak", "none"])
def test_reading(opened: Backend, site: Site, tag: str) -> None:
    site.tag = tag
    site.objects["data/x"] = b"0123456789"
    data, version = LOOP.run(opened.first("x", 4))
    assert (data, version.size_bytes) == (b"0123", 10)
    assert len(site.asked) == 1
    assert version.etag.startswith('"') == (tag == '"{}"')
    assert ("size 10" in version.etag) == (tag != '"{}"'), "a version by size and time says so"
    out = bytearray(5)
    LOOP.run(opened.read_into("x", version, 3, memoryview(out)))
    assert out == b"34567"
    entry = LOOP.run(opened.head("x"))
    assert (entry.name, entry.size_bytes, entry.etag) == ("x", 10, version.etag)
    site.objects["data/x"] = b"another one"
    with pytest.raises(ObjectChangedError, match="before"):
        LOOP.run(opened.read_into("x", version, 3, memoryview(out)))


@pytest.mark.parametrize("size", [0, 1, 4, 5])
def test_first_of_a_short_object(opened: Backend, site: Site, size: int) -> None:
    site.objects["data/x"] = b"01234"[:size]
    assert LOOP.run(opened.first("x", 4))[0] == b"0123"[:size]
    assert LOOP.run(opened.first("x", 4))[1].size_bytes == size


def test_odd_names(opened: Backend, site: Site) -> None:
    for name in (*ODD_NAMES, "a//b", "dir/", "two\nlines", "back\\slash", "\u00e9"):
        site.objects[f"data/{name}"] = name.encode()
        assert LOOP.run(opened.first(name, 99))[0] == name.encode(), name


@pytest.mark.parametrize("key", ["../x", "a/../../x", "..", "./x", "a/."])
def test_root_is_a_wall(opened: Backend, site: Site, key: str) -> None:
    site.objects["x"] = b"outside"
    with pytest.raises(BadRequestError):
        LOOP.run(opened.first(key, 9))
    assert site.asked == []


def test_object_at_the_root_itself(site: Site, tmp_path: Path) -> None:
    site.objects["one.bin"] = b"content"
    with serving(site) as address:
        write_connections(tmp_path / "connections.toml", web={"root": f"{address}/one.bin"})
        opened = backend(connections.load().find("web"))
        assert LOOP.run(opened.first("", 9))[0] == b"content"
        assert LOOP.run(opened.head("")).name == "one.bin"


def test_what_the_web_has_not(opened: Backend, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="cannot be listed"):
        jg.ls("web://")
    with pytest.raises(NotFoundError):
        LOOP.run(opened.first("none", 9))
    with pytest.raises(DeniedError, match="read-only"):
        writable(connections.load().find("web"))


def test_server_without_ranges(opened: Backend, site: Site) -> None:
    site.ranges = False
    site.objects["data/x"] = b"0123456789" * 100_000
    data, version = LOOP.run(opened.first("x", 4))
    assert (data, version.size_bytes) == (b"0123", 1_000_000)
    with pytest.raises(BadStorageReplyError, match="whole objects only"):
        LOOP.run(opened.read_into("x", version, 3, memoryview(bytearray(5))))


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Range": "bytes 1-4/10"}, {"Content-Range": "bytes 0-3/*"}, {"Content-Range": "items 0-3/10"}],
)
def test_wrong_range(tmp_path: Path, headers: dict[str, str]) -> None:
    with endpoint(206, b"0123", headers) as address:
        write_connections(tmp_path / "connections.toml", web={"root": address})
        with pytest.raises(BadStorageReplyError, match="another range"):
            LOOP.run(backend(connections.load().find("web")).first("x", 4))


def test_redirect_is_followed(site: Site, tmp_path: Path) -> None:
    site.objects["there/x"] = b"content"
    with serving(site) as there, endpoint(302, b"", {"Location": f"{there}/there/x"}) as here:
        write_connections(tmp_path / "connections.toml", web={"root": here})
        assert LOOP.run(backend(connections.load().find("web")).first("x", 99))[0] == b"content"


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data", "http://2852039166/", "http://0xa9.0xfe.0xa9.0xfe/",
        "http://[::ffff:169.254.169.254]/", "http://metadata.google.internal/", "http://168.63.129.16/",
        "file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pass@127.0.0.1/", "//169.254.169.254/x",
    ],
)  # fmt: skip
def test_redirect_to_where_no_link_may_lead(tmp_path: Path, location: str) -> None:
    with endpoint(307, b"", {"Location": location}) as here:
        write_connections(tmp_path / "connections.toml", web={"root": here})
        with pytest.raises((BadRequestError, BadStorageReplyError)) as caught:
            LOOP.run(backend(connections.load().find("web")).first("x", 99))
    assert "user:pass" not in str(caught.value)


def test_redirect_without_end(tmp_path: Path) -> None:
    with endpoint(302, b"", {"Location": "/again"}) as here:
        write_connections(tmp_path / "connections.toml", web={"root": here})
        with pytest.raises(BadStorageReplyError, match="without end"):
            LOOP.run(backend(connections.load().find("web")).first("x", 99))


@pytest.mark.parametrize(("status", "kind"), [(401, DeniedError), (403, DeniedError), (500, BadStorageReplyError)])
def test_refusals(tmp_path: Path, status: int, kind: type[GpuExtError]) -> None:
    with endpoint(status, b"<html>sig=canary</html>") as here:
        write_connections(tmp_path / "connections.toml", web={"root": here})
        with pytest.raises(kind) as caught:
            LOOP.run(backend(connections.load().find("web")).first("x", 99))
    assert "canary" not in str(caught.value)


def test_nobody_there(tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", web={"root": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(UnreachableError):
        LOOP.run(backend(connections.load().find("web")).read_into("x", Version(9, '"x"'), 0, memoryview(bytearray(4))))


def test_a_name_that_leads_elsewhere_the_second_time_is_not_called(
    opened: Backend, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No name on this machine changes its address between two lookups, so the resolver's answers are set.
    site.objects["data/x"] = b"0123456789"
    asked: list[str] = []

    async def lookup(_loop: object, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lookup)
    backend_: Any = opened.inner  # type: ignore[attr-defined]
    backend_._connection = replace(backend_._connection, root=backend_._connection.root.replace("127.0.0.1", "a.name"))
    assert LOOP.run(backend_.first("x", 4))[0] == b"0123"
    LOOP.run(backend_.close())
    with pytest.raises(BadRequestError, match=r"a\.name leads to this machine's metadata service"):
        LOOP.run(backend_.first("x", 4))
    assert len(site.asked) == 1


@pytest.mark.parametrize("public", [True, False])
def test_the_web_does_not_lead_into_a_private_network(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, public: bool
) -> None:
    site.objects["there/x"] = b"content"
    # All that this machine reaches is private, so one of its names is said to be public.
    own = http._is_private

    async def private(host: str) -> bool:
        return host != "localhost" and await own(host)

    if public:
        monkeypatch.setattr(http, "_is_private", private)
    with serving(site) as there, endpoint(302, b"", {"Location": f"{there}/there/x"}) as here:
        write_connections(tmp_path / "connections.toml", web={"root": here.replace("127.0.0.1", "localhost")})
        opened = backend(connections.load().find("web"))
        if public:
            with pytest.raises(BadStorageReplyError, match="leads into a private network"):
                LOOP.run(opened.first("x", 99))
            assert site.asked == []
        else:
            assert LOOP.run(opened.first("x", 99))[0] == b"content"
