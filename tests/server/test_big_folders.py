"""Folders of many entries through the real route: what a page asks of storage, and what waits for nobody."""

from __future__ import annotations

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import formatdate
from urllib.parse import parse_qs, urlsplit

import pytest

from jupyter_gpu_ext.storage import backends, object_ranges
from jupyter_gpu_ext.storage.retry import Schedule
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, azure_fields, write_connections
from tests.server import asking, lag
from tests.server.live import wait_until
from tests.storage.blob_server import FLAT, FOLDERS, running_blob_server, signature
from tests.storage.servers import recorder


@pytest.fixture(scope="module")
def service():
    with running_blob_server() as running:
        yield running


@pytest.fixture
def big(service, tmp_path, monkeypatch):
    """The connections `big`, on the generated service, and `disk`."""
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x").write_bytes(b"1")
    write_connections(tmp_path / "connections.toml", big=service.fields, disk={"root": str(tmp_path / "disk")})
    return service


def listed(server, **arguments):
    reply = server.get("/storage/list", **arguments)
    assert reply.status == 200, reply.body
    return reply.json


def names(page):
    return [entry["name"] for entry in page["entries"]]


WRONG = {
    "no signature": ({}, "comp=list&restype=container", 403),
    "another parameter": (None, "comp=list&restype=container&start-after=x", 400),
    "another marker": (None, "comp=list&restype=container&marker=flat%2Fblob-000200.bin", 400),
    "a marker of another folder": (
        None,
        "comp=list&marker=Zm9sZGVycy9ydW4tMDAwMC9h&prefix=flat%2F&restype=container",
        400,
    ),
    "too many": (None, "comp=list&maxresults=5001&restype=container", 400),
    "none": (None, "comp=list&maxresults=0&restype=container", 400),
    "no listing": (None, "restype=container", 400),
}


@pytest.mark.parametrize("case", WRONG)
def test_service_refuses_what_azure_refuses(service, case):
    headers, query, status = WRONG[case]
    sent = http.client.HTTPMessage()
    sent["x-ms-version"], sent["x-ms-date"] = "2026-02-06", formatdate(usegmt=True)
    path = urlsplit(service.fields["endpoint"]).path + "/big"
    if headers is None:
        sent["Authorization"] = signature(path, query, sent)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("GET", f"{path}?{query}", headers=dict(sent))
    assert connection.getresponse().status == status
    connection.close()


@contextmanager
def counting(service, count):
    """Check that the block asks storage so often; give its questions' parameters afterwards."""
    before, asked = len(service.requests), []
    yield asked
    asked += [parse_qs(urlsplit(path).query) for path in service.requests[before:]]
    assert len(asked) == count, asked


@pytest.mark.parametrize("limit", [1, 200, 1000])
def test_first_page_is_one_request_for_what_it_shows(server, big, limit):
    with counting(big, 1) as asked:
        page = listed(server, connection="big", prefix="flat/", limit=limit)
    assert asked[0]["maxresults"] == [str(limit)]
    assert names(page) == [f"blob-{index:06}.bin" for index in range(limit)]
    assert page["next_token"]


def test_next_page_is_one_more(server, big):
    token = listed(server, connection="big", prefix="flat/", limit=300)["next_token"]
    with counting(big, 1):
        page = listed(server, connection="big", prefix="flat/", limit=300, page_token=token)
    assert names(page) == [f"blob-{index:06}.bin" for index in range(300, 600)]


@pytest.mark.parametrize(("search", "found"), [("blob-0999", 100), ("blob-0500", 100), ("blob-099999", 1), ("zzz", 0)])
def test_search_is_one_request(server, big, search, found):
    with counting(big, 1) as asked:
        page = listed(server, connection="big", prefix="flat/", search=search)
    assert asked[0]["prefix"] == [f"flat/{search}"]
    assert len(page["entries"]) == found
    assert all(name.startswith(search) for name in names(page))
    assert page["next_token"] is None


def test_folders_are_one_request(server, big):
    with counting(big, 1):
        page = listed(server, connection="big", prefix="folders/", limit=1000)
    assert names(page) == [f"run-{index:04}" for index in range(1000)]
    assert {entry["kind"] for entry in page["entries"]} == {"folder"}
    with counting(big, 1):
        assert names(listed(server, connection="big")) == ["flat", "folders"]


def walked(server, connection, prefix):
    """Return the names of all pages, and how many pages there were."""
    found, token, pages = [], "", 0
    while token is not None:
        page = listed(server, connection=connection, prefix=prefix, limit=1000, page_token=token)
        found, token, pages = found + names(page), page["next_token"], pages + 1
    return found, pages


def test_whole_folder_of_folders(server, big):
    with counting(big, FOLDERS // 1000):
        assert walked(server, "big", "folders/")[0] == [f"run-{index:04}" for index in range(FOLDERS)]


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.prove)])
def test_azurite(server, azurite, tmp_path, monkeypatch, count):
    container = azurite.new_container()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: container.upload_blob(f"many/{index:05}", b"x"), range(count)))
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    with recorder(azurite.port) as wire:
        address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
        write_connections(
            tmp_path / "connections.toml",
            weights={**azure_fields(azurite, container.container_name), "endpoint": address},
        )
        page = listed(server, connection="weights", prefix="many/", limit=200)
        assert names(page) == [f"{index:05}" for index in range(200)]
        assert len(wire.requests) == 1
        listed(server, connection="weights", prefix="many/", limit=200, page_token=page["next_token"])
        assert len(wire.requests) == 2
        found, pages = walked(server, "weights", "many/")
        assert found == [f"{index:05}" for index in range(count)]
        assert len(wire.requests) == 2 + pages == 2 + -(-count // 1000)


@contextmanager
def stalled(server, service, seconds):
    """Ask a service that never answers for a page; give the reply's place and check that it came afterwards."""
    replies = []

    def ask():
        arguments = "connection=big&prefix=flat/"
        replies.append(server.request("GET", "/jupyter-gpu-ext/api/storage/list", arguments, seconds=seconds))

    before = len(service.requests)
    service.stall()
    thread = threading.Thread(target=ask, daemon=True)
    try:
        thread.start()
        wait_until(lambda: len(service.requests) > before)
        yield replies
        thread.join(seconds)
        assert not thread.is_alive()
    finally:
        service.go_on()
        backends.close_all()


def others_answer(server, replies, seconds):
    """Ask for what the stalled service has no part in; nothing of it waits."""
    begun = time.monotonic()
    for _ in range(5):
        assert server.get("/gpu/status").json["state"] == "ok"
        assert names(listed(server, connection="disk")) == ["x"]
    assert time.monotonic() - begun < seconds
    assert not replies


def check_timeout(replies):
    assert replies[0].status == 504, replies[0].body
    assert replies[0].json["code"] == "storage_timeout"
    assert replies[0].json["hint"]


def test_stalled_service_holds_up_nobody_else(server, big, monkeypatch):
    monkeypatch.setattr(object_ranges, "STALL_SECONDS", 2)
    monkeypatch.setattr(backends, "REMOTE", Schedule(tries=2, first_seconds=0.1))
    backends.close_all()
    with stalled(server, big, 60) as replies:
        others_answer(server, replies, 4)
    check_timeout(replies)
    assert listed(server, connection="big")["entries"]


@pytest.mark.prove
@pytest.mark.timeout(300)
def test_stalled_service_ends_in_time(server, big):
    backends.close_all()
    begun = time.monotonic()
    with lag.measured(server) as late, stalled(server, big, 120) as replies:
        others_answer(server, replies, 10)
    check_timeout(replies)
    print(f"stalled service: refused after {time.monotonic() - begun:.0f} s, {late}")
    assert late.percentile(99) < 100


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_loop_is_free_while_folders_are_listed(server, big):
    listed(server, connection="big", prefix="flat/")
    with lag.measured(server) as late:
        first = [asking.pages(server, "big", "flat/", limit=200, most=1).page_seconds[0] for _ in range(20)]
        with counting(big, FLAT // 1000):
            assert asking.pages(server, "big", "flat/", limit=1000).entries == FLAT
    print(f"first page of {FLAT}: median {sorted(first)[10] * 1000:.0f} ms, most {max(first) * 1000:.0f} ms; {late}")
    assert max(first) < 1
    assert late.percentile(99) < 100
