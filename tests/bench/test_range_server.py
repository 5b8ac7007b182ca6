"""The bench's server of ranges answers what the clients ask, and no more."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from bench.range_server import RangeServer, running_range_server
from jupyter_gpu_ext.errors import NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, KEY_VARIABLE, write_connections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served")
    (made / "in").mkdir()
    (made / "in" / "x y").write_bytes(DATA)
    (made / "empty").write_bytes(b"")
    (made.parent / "above").write_bytes(b"secret")
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RangeServer]:
    with running_range_server(folder, md5=True) as running:
        yield running


def ask(server: RangeServer, key: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        client.request(method, f"/{AZURITE_ACCOUNT}/models/{key}", headers=sent)
        reply = client.getresponse()
        return reply.status, dict(reply.headers), reply.read()
    finally:
        client.close()


RANGES = {
    "bytes=0-9": (206, slice(0, 10)),
    "bytes=2999990-": (206, slice(2_999_990, None)),
    "bytes=-5": (206, slice(-5, None)),
    "bytes=5-99999999": (206, slice(5, None)),
    "bytes=3000000-": (416, None),
    "bytes=9-5": (416, None),
}


@pytest.mark.parametrize("name", ["Range", "x-ms-range"])
@pytest.mark.parametrize("asked", RANGES)
def test_ranges(server: RangeServer, name: str, asked: str) -> None:
    status, part = RANGES[asked]
    got, headers, body = ask(server, "in/x%20y", **{name: asked})
    assert got == status
    if part is not None:
        assert body == DATA[part]
        start = part.indices(len(DATA))[0]
        assert headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/{len(DATA)}"


def test_whole_head_and_checksum(server: RangeServer) -> None:
    digest = base64.b64encode(hashlib.md5(DATA).digest()).decode()
    status, headers, body = ask(server, "in/x%20y")
    assert (status, body, headers["Content-MD5"]) == (200, DATA, digest)
    status, head, body = ask(server, "in/x%20y", "HEAD")
    assert (status, body, head["Content-Length"], head["ETag"]) == (200, b"", str(len(DATA)), headers["ETag"])
    assert ask(server, "in/x%20y", Range="bytes=0-9")[1]["x-ms-blob-content-md5"] == digest
    assert ask(server, "empty")[::2] == (200, b"")


@pytest.mark.parametrize(
    ("key", "method", "headers", "status"),
    [("none", "GET", {}, 404), ("none", "HEAD", {}, 404), ("in", "GET", {}, 404), ("in/x%20y", "PUT", {}, 405),
     ("in/x%20y", "GET", {"If_Match": '"0x1"'}, 412), ("in/x%20y?comp=list", "GET", {}, 405)],
)  # fmt: skip
def test_refusals(server: RangeServer, key: str, method: str, headers: dict[str, str], status: int) -> None:
    assert ask(server, key, method, **headers)[0] == status


@pytest.mark.parametrize("key", ["../above", "%2e%2e/above", "in/../../above", "/etc/passwd"])
def test_nothing_outside_the_folder(server: RangeServer, key: str) -> None:
    with pytest.raises(http.client.HTTPException):
        ask(server, key)


def test_many_connections(server: RangeServer) -> None:
    def part(index: int) -> bool:
        start = index * 20_000
        return ask(server, "in/x%20y", Range=f"bytes={start}-{start + 19_999}")[2] == DATA[start : start + 20_000]

    with ThreadPoolExecutor(128) as pool:
        assert all(pool.map(part, range(128)))


def test_latency_and_rate(folder: Path) -> None:
    with running_range_server(folder, latency_ms=50, rate_mbps=10) as slow:
        begun = time.monotonic()
        assert ask(slow, "in/x%20y")[2] == DATA
        assert time.monotonic() - begun > 0.05 + len(DATA) / 10e6 - 0.05


def test_our_reader(server: RangeServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    fields = {"root": "az://models", "account": AZURITE_ACCOUNT, "endpoint": server.endpoint}
    write_connections(
        tmp_path / "connections.toml",
        served={**fields, "credential": "account-key", "secret": f"env:{KEY_VARIABLE}"},
    )
    reader = LOOP.run(open_reader("served://in/x y"))
    assert LOOP.run(reader.read_all()) == DATA
    with pytest.raises(NotFoundError):
        LOOP.run(open_reader("served://none"))
    (folder / "changing").write_bytes(DATA)
    changing = LOOP.run(open_reader("served://changing"))
    (folder / "changing").write_bytes(DATA[::-1])
    with pytest.raises(ObjectChangedError):
        LOOP.run(changing.read(1_000_000, 1_000_100))
