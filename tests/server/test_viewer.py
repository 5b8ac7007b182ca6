"""The array viewer's three routes: what they promise, what they refuse, and what ends a read."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import re
import socket
import threading

import numpy as np
import pytest
import safetensors.numpy
import zarr

from jupyter_gpu_ext.errors import BusyError
from jupyter_gpu_ext.server.turns import Turns
from jupyter_gpu_ext.storage.loop import LOOP
from tests.conftest import azure_fields, write_connections
from tests.faults.proxy import Fault, Rule, fault_proxy
from tests.server.contract import check
from tests.server.live import API, TOKEN, logged, query, wait_until
from tests.tensors import test_bad_zarr
from tests.tensors.bounds import light, quick
from tests.tensors.zarr_stores import upload

ARRAY = np.arange(6 * 5 * 4, dtype="f4").reshape(6, 5, 4)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def value(reply):
    """Return the array that a reply is."""
    assert reply.status == 200, reply.body
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    shape = [int(one) for one in reply.headers["X-Jupyter-Gpu-Ext-Shape"].split(",") if one]
    return np.frombuffer(reply.body, reply.headers["X-Jupyter-Gpu-Ext-Dtype"]).reshape(shape)


def entity(server, connection, key, path="/", **more):
    return check("/tensors/entity", server.get("/tensors/entity", connection=connection, key=key, path=path, **more))


def test_a_store_and_a_file_of_each_kind_of_storage(server, store, tmp_path):
    group = zarr.open_group(tmp_path / "g", mode="w", attributes={"title": "t", "n": [1, float("nan")]})
    group.create_array("a b", shape=ARRAY.shape, dtype="f4", chunks=(2, 3, 4), shards=(4, 3, 4))[:] = ARRAY
    group.create_group("empty").create_group("deeper")
    upload(tmp_path / "g", store, "g.zarr")
    store.put("x.safetensors", safetensors.numpy.save({"w/1": ARRAY, "b": np.zeros(2, np.float16)}, {"made": "here"}))
    for key, path in (("g.zarr", "/a b"), ("g.zarr/a b", "/a b"), ("x.safetensors", "/w/1")):
        root = entity(server, store.name, key)
        assert path in [one["path"] for one in root["children"]]
        one = entity(server, store.name, key, path, version=root["version"])
        assert (one["kind"], one["shape"], one["value_dtype"]) == ("dataset", [6, 5, 4], "<f4")
        asked = {"connection": store.name, "key": key, "path": path, "version": root["version"]}
        for select, items in (("", ()), ("0", (0,)), ("::-2, 3", (slice(None, None, -2), 3)), ("1, 2, 3", (1, 2, 3))):
            np.testing.assert_array_equal(value(server.get("/tensors/value", select=select, **asked)), ARRAY[items])
        reply = server.get("/tensors/value", stride="3,1,2", **asked)
        np.testing.assert_array_equal(value(reply), ARRAY[::3, :, ::2])
        assert reply.headers["X-Jupyter-Gpu-Ext-Version"] == root["version"]
    assert entity(server, store.name, "g.zarr")["attributes"] == [
        {"name": "title", "dtype": "str", "shape": []},
        {"name": "n", "dtype": "json", "shape": []},
    ]
    reply = server.get("/tensors/attributes", connection=store.name, key="g.zarr", path="/")
    assert check("/tensors/attributes", reply) == {"title": "t", "n": [1, "nan"]}
    assert entity(server, store.name, "x.safetensors", "/b")["value_dtype"] == "<f4"
    assert entity(server, store.name, "g.zarr", "/empty")["children"] == [
        {
            "name": "deeper",
            "path": "/empty/deeper",
            "kind": "group",
            "dtype": None,
            "shape": None,
            "dimension_names": None,
        }
    ]


def test_children_come_in_pages(server, local_store):
    local_store.put("x.safetensors", safetensors.numpy.save({f"w{at:03}": np.zeros(1) for at in range(25)}))
    seen, start = [], 0
    while True:
        page = entity(server, "disk", "x.safetensors", start=start, limit=10)
        assert page["child_count"] == 25
        seen += [one["name"] for one in page["children"]]
        start += len(page["children"])
        if not page["more"]:
            break
    assert seen == [f"w{at:03}" for at in range(25)]


def test_attributes_are_bounded_and_valid_json(server, local_store, tmp_path):
    attributes = {
        "long": "x" * 100_000, "list": [float("inf")] * 5, "deep": {"a": [None, {"b": 1}]}, "html": "<script>",
        "one": 1, "half": 0.5, "both": [1, 2.5], "no": [], **{f"n{at}": at for at in range(1000)},
    }  # fmt: skip
    zarr.create_array(tmp_path / "a.zarr", shape=(2,), dtype="i4", attributes=attributes)
    upload(tmp_path / "a.zarr", local_store, "a.zarr")
    reply = server.get("/tensors/attributes", connection="disk", key="a.zarr", path="/a.zarr")
    found = check("/tensors/attributes", reply)
    assert len(found) == 500
    assert len(found["long"]) == 10_001
    assert found["list"] == ["inf"] * 5
    assert (found["html"], found["deep"]) == ("<script>", {"a": [None, {"b": 1}]})
    kinds = {
        one["name"]: (one["dtype"], one["shape"]) for one in entity(server, "disk", "a.zarr", "/a.zarr")["attributes"]
    }
    assert list(kinds) == list(found)
    assert (kinds["one"], kinds["half"], kinds["both"]) == (("int64", []), ("float64", []), ("float64", [2]))
    assert (kinds["deep"], kinds["list"], kinds["no"]) == (("json", []), ("str", [5]), ("json", []))


def test_more_than_the_budget_is_413_with_an_overview(server, local_store, tmp_path):
    zarr.create_array(tmp_path / "a", shape=(9000, 9000), dtype="f4", chunks=(500, 9000), fill_value=1)
    upload(tmp_path / "a", local_store, "a.zarr")
    asked = {"connection": "disk", "key": "a.zarr", "path": "/a.zarr"}
    reply = server.get("/tensors/value", **asked)
    said = check("/tensors/value", reply)
    assert (reply.status, said["code"], said["size_bytes"], said["most_bytes"]) == (
        413,
        "too_large",
        324_000_000,
        64 << 20,
    )
    found = server.get("/tensors/value", stride=",".join(map(str, said["stride"])), **asked)
    assert len(found.body) == said["stride_bytes"]
    assert int(found.headers["X-Jupyter-Gpu-Ext-Read"]) == said["read_bytes"]
    assert server.get("/tensors/value", most_bytes=(512 << 20) + 1, **asked).status == 400


def test_a_replaced_object_is_409_for_who_saw_the_old_one(server, store):
    store.put("x.npy", npy(ARRAY))
    old = entity(server, store.name, "x.npy")["version"]
    asked = {"connection": store.name, "key": "x.npy", "path": "/value"}
    store.put("x.npy", npy(ARRAY.astype("f8") + 1))
    for _ in range(2):
        reply = server.get("/tensors/value", version=old, **asked)
        assert (reply.status, check("/tensors/value", reply)["code"]) == (409, "object_changed")
    assert server.get("/tensors/entity", version=old, **asked).status == 409
    np.testing.assert_array_equal(value(server.get("/tensors/value", **asked)), ARRAY + 1)


def test_slices_of_a_version_read_no_header_again(server, azurite, tmp_path, monkeypatch):
    container = azurite.new_container()
    monkeypatch.setenv("TEST_KEY", _key())
    container.upload_blob("x.npy", npy(np.zeros((400, 1000))))
    with fault_proxy(azurite.port) as proxy:
        fields = {**azure_fields(azurite, container.container_name), "secret": "env:TEST_KEY"}
        fields["endpoint"] = f"http://127.0.0.1:{proxy.port}/devstoreaccount1"
        write_connections(tmp_path / "connections.toml", weights=fields)
        version = entity(server, "weights", "x.npy")["version"]
        before = len(proxy.log)
        asked = {"connection": "weights", "key": "x.npy", "path": "/value", "version": version}
        for at in range(20):
            value(server.get("/tensors/value", select=str(at), **asked))
        assert len(proxy.log) - before == 20
        # A closed connection ends the read: what is stalled is asked for by nobody any more.
        proxy.rules.append(Rule(Fault("stall body")))
        sock = socket.create_connection(("127.0.0.1", server.app.port))
        target = f"{server.app.base_url.rstrip('/')}{API}/tensors/value?{query(**asked)}"
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token {TOKEN}\r\n\r\n".encode())
        assert proxy.stalled.wait(20)
        running = LOOP.run(_tasks())
        sock.close()
        assert proxy.client_gone.wait(20)
        wait_until(lambda: LOOP.run(_tasks()) < running)
        proxy.rules.clear()
        assert value(server.get("/tensors/value", select="3", **asked)).shape == (1000,)


def _key():
    from tests.conftest import AZURITE_KEY

    return AZURITE_KEY


async def _tasks():
    return sum(not task.done() for task in asyncio.all_tasks())


def test_damage_behind_the_first_piece_makes_the_answer_short(server, local_store, tmp_path):
    chunks = (64, 65_536)
    array = zarr.create_array(tmp_path / "a", shape=(640, 65_536), dtype="u1", chunks=chunks)
    array[:] = np.random.default_rng(0).integers(0, 255, array.shape, "u1")
    upload(tmp_path / "a", local_store, "a.zarr")
    (local_store.folder / "a.zarr" / "c" / "9" / "0").write_bytes(b"garbage")
    asked = {"connection": "disk", "key": "a.zarr", "path": "/a.zarr"}
    with logged(server.app) as log, pytest.raises(http.client.IncompleteRead):
        server.get("/tensors/value", **asked)
    assert "given up" in log.text
    assert "Traceback" not in log.text
    reply = server.get("/tensors/value", select="600", **asked)
    assert (reply.status, check("/tensors/value", reply)["code"]) == (422, "unsupported_format")
    assert "c/9/0" in reply.json["message"]


ASKED = {
    "path of another": ({"path": "/none"}, 404), "no path": ({}, 400), "no slash": ({"path": "value"}, 404),
    "NUL": ({"path": "/a\0b"}, 404), "up": ({"path": "/../../etc/passwd"}, 404), "not UTF-8": ({"path": b"/\xff"}, 400),
    "twice": ({"path": ["/value", "/value"]}, 400), "long path": ({"path": "/" + "x" * 30_000}, 404),
    "select": ({"path": "/value", "select": "1:2:3:4"}, 400), "outside": ({"path": "/value", "select": "6"}, 400),
    "label": ({"path": "/value", "select": "time=2020"}, 400),
    "long select": ({"path": "/value", "select": "0," * 9999}, 400),
    "stride": ({"path": "/value", "stride": "1,2"}, 400), "stride 0": ({"path": "/value", "stride": "0,1,1"}, 400),
    "stride code": ({"path": "/value", "stride": "1,1,x"}, 400),
    "budget": ({"path": "/value", "most_bytes": "1e9"}, 400),
    "little budget": ({"path": "/value", "most_bytes": "479"}, 413), "raw": ({"path": "/value", "raw": "maybe"}, 400),
    "version": ({"path": "/value", "version": "forged"}, 409), "key": ({"path": "/value", "key": "../x"}, 400),
    "no key": ({"path": "/value", "key": "none.npy"}, 404),
    "connection": ({"path": "/value", "connection": "nobody"}, 404),
    "text": ({"path": "/value", "key": "notes.txt"}, 422),
}  # fmt: skip


@pytest.mark.parametrize(("more", "status"), ASKED.values(), ids=ASKED)
def test_what_cannot_be_asked_for(server, local_store, more, status):
    local_store.put("x.npy", npy(ARRAY))
    local_store.put("notes.txt", b"hello")
    reply = server.get("/tensors/value", **{"connection": "disk", "key": "x.npy", **more})
    assert reply.status == status
    assert check("/tensors/value", reply)["hint"]


def test_a_page_elsewhere_cannot_make_the_browser_read(server, local_store):
    local_store.put("x.npy", npy(ARRAY))
    signed_in = server.request("GET", "/api/status", f"token={TOKEN}")
    cookie = "; ".join(one.partition(";")[0] for one in signed_in.headers.get_all("Set-Cookie"))
    asked = query(connection="disk", key="x.npy", path="/value")
    for headers in ({"Cookie": cookie}, {"Cookie": cookie, "Referer": "http://evil.example/x"}):
        assert server.request("GET", f"{API}/tensors/value", asked, token=None, headers=headers).status in (403, 404)


def bad_zarr(folder, name):
    documents, _ = test_bad_zarr.BAD[name]
    for key, text in documents.items():
        path = folder / "bad.zarr" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        written = text if isinstance(text, str | bytes) else json.dumps(text)
        path.write_bytes(written if isinstance(written, bytes) else written.encode())


@pytest.mark.parametrize("name", test_bad_zarr.BAD)
def test_hostile_zarr_metadata_is_one_error_and_little_memory(server, local_store, name):
    bad_zarr(local_store.folder, name)
    asked = {"connection": "disk", "key": "bad.zarr"}
    statuses = set()
    for path in ("/", "/bad.zarr"):
        for route in ("/tensors/entity", "/tensors/attributes", "/tensors/value"):
            with quick():
                reply = server.get(route, path=path, **asked)
            statuses.add(reply.status)
            if reply.status != 200 or route != "/tensors/value":
                check(route, reply)
            assert reply.status in (200, 400, 404, 413, 422), (route, reply.json)
    assert statuses & {404, 413, 422}
    with light():
        server.get("/tensors/entity", path="/", **asked)
        server.get("/tensors/info", **asked)


WEIGHTS = safetensors.numpy.save({"w": ARRAY})
FILES = {
    "empty": b"", "7 bytes": b"1234567", "web page": b"<!DOCTYPE html>", "pickle": b"\x80\x04K\x01.",
    "lfs": b"version https://git-lfs.github.com/spec/v1\n", "header 2^63": (2**63).to_bytes(8, "little") + b"{}",
    "npy of objects": npy(np.zeros(3, "f8")).replace(b"<f8", b"|O8"),
    "npy of version 9": b"\x93NUMPY\x09\x00" + bytes(99),
    "cut npy": npy(ARRAY)[:-1], "npy and more": npy(ARRAY) + b"x",
    "cut safetensors": WEIGHTS[:-1], "safetensors and more": WEIGHTS + b"x",
}  # fmt: skip


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_hostile_files_are_one_error(server, local_store, data):
    local_store.put("bad.bin", data)
    for route in ("/tensors/entity", "/tensors/attributes", "/tensors/value"):
        with quick(), light():
            reply = server.get(route, connection="disk", key="bad.bin", path="/value")
        assert (reply.status, check(route, reply)["code"]) == (422, "unsupported_format")


def test_turns_are_given_in_bounds():
    async def run():
        turns = Turns(most_bytes=10, most_answers=2, most_waiting=1, wait_seconds=0.05)
        async with turns.hold(6), turns.hold(4):
            with pytest.raises(BusyError):
                async with turns.hold(0):
                    raise AssertionError
            waiting = asyncio.ensure_future(_held(turns))
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await _held(turns)
            with contextlib.suppress(BusyError):
                await waiting
        # Larger than all of it: alone.
        async with turns.hold(1000):
            pass
        await _held(turns)

    asyncio.run(run())


async def _held(turns):
    async with turns.hold(10):
        pass


def test_a_hundred_at_once_are_answered_or_told_to_wait(server, local_store):
    local_store.put("x.npy", npy(np.zeros(2_000_000)))
    statuses = []

    def ask():
        statuses.append(server.get("/tensors/value", connection="disk", key="x.npy", path="/value").status)

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 16
    assert re.fullmatch("ok", server.get("/gpu/status").json["state"])
