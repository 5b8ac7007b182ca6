from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
import zarr
from jsonschema import ValidationError
from openapi_spec_validator import validate

from tests.conftest import azure_fields, write_connections
from tests.server.check_auth import verbs
from tests.server.contract import PATHS, SPEC, check, routes
from tests.server.live import Reply
from tests.tensors.hdf5_files import climate, written
from tests.tensors.zarr_stores import upload

MODEL = safetensors.numpy.save(
    {"layer.weight": np.zeros((4, 3), np.float32), "layer.bias": np.zeros(3, np.float16)},
    metadata={"made": "by a test"},
)


def torch_file() -> bytes:
    import io

    import torch

    file = io.BytesIO()
    torch.save({"weight": torch.zeros(4, 3), "step": 7}, file)
    return file.getvalue()


def test_the_contract_is_valid():
    validate(SPEC)


def test_every_route_is_in_the_contract_and_every_path_is_served(server):
    assert sorted(routes(server.app)) == sorted(PATHS)


def test_every_verb_is_in_the_contract_with_the_permission_it_asks_for(server):
    written = {(verb.handler, verb.name): f"{verb.action} {verb.resource}" for verb in verbs()}
    served = {
        (path, name): written.pop((handler.__name__, name))
        for path, handler in routes(server.app).items()
        for of, name in list(written)
        if of == handler.__name__
    }
    promised = {
        (path, name): verb["x-authorized"] for path, verbs in SPEC["paths"].items() for name, verb in verbs.items()
    }
    assert served == promised
    assert not written, "verbs that no route leads to"


def test_a_reply_with_more_or_less_than_promised_is_caught():
    good = b'{"connections": [], "found": [], "file": "", "example": ""}'
    check("/storage/connections", reply(good))
    for wrong in (b'{"connections": [], "found": [], "file": ""}', good.replace(b"{", b'{"secret": 1, ', 1)):
        with pytest.raises(ValidationError):
            check("/storage/connections", reply(wrong))


def reply(body: bytes) -> Reply:
    return Reply(200, {"Content-Type": "application/json"}, body)


def test_status_of_simulated_gpus_and_its_cursor(server):
    first = check("/gpu/status", server.get("/gpu/status"))
    assert (first["state"], first["simulated"], first["reason"]) == ("ok", True, "")
    assert [one["uuid"] for one in first["devices"]] == ["simulated-0", "simulated-1"]
    assert first["samples"][-1]["cursor"] == first["cursor"]
    later = check("/gpu/status", server.get("/gpu/status", since=first["cursor"]))
    assert all(sample["cursor"] > first["cursor"] for sample in later["samples"])
    # The panel's cursor outlives a restart of the server.
    assert check("/gpu/status", server.get("/gpu/status", since=2**53))["samples"]


def test_storage_and_tensors_of_each_kind_of_storage(server, store):
    store.put("models/a b#1.safetensors", MODEL)
    store.put("models/net.pt", torch_file())
    store.put("models/deep/x.bin", b"12")
    connections = check("/storage/connections", server.get("/storage/connections"))
    assert [one["name"] for one in connections["connections"]] == [store.name]
    page = check("/storage/list", server.get("/storage/list", connection=store.name, prefix="models/"))
    assert {one["key"] for one in page["entries"]} == {"models/a b#1.safetensors", "models/net.pt", "models/deep/"}
    for key in ("models/a b#1.safetensors", "models/net.pt"):
        entry = check("/storage/object", server.get("/storage/object", connection=store.name, key=key))
        info = check("/tensors/info", server.get("/tensors/info", connection=store.name, key=key))
        plan = check("/tensors/plan", server.get("/tensors/plan", connection=store.name, key=key, keys=["*weight"]))
        assert entry["size_bytes"] == info["size_bytes"]
        assert info["url"] == plan["url"] == f"{store.name}://{key}"
        assert (plan["tensor_count"], plan["bytes_used"]) == (1, 48)


def test_zarr_of_each_kind_of_storage(server, store, tmp_path):
    group = zarr.open_group(tmp_path / "g", mode="w", attributes={"title": "t", "n": [1, float("nan")]})
    attributes = {"units": "K", "odd": float("inf"), "deep": {"a": [None, True]}}
    group.create_array(
        "t2m", shape=(40, 20), chunks=(5, 5), shards=(20, 20), dtype="f4", dimension_names=("time", None),
        attributes=attributes,
    )[...] = 1  # fmt: skip
    group.create_array("plain", shape=(4,), dtype="i8")
    upload(tmp_path / "g", store, "deep/g.zarr")
    for key in ("deep/g.zarr", "deep/g.zarr/", "deep/g.zarr/t2m"):
        info = check("/tensors/info", server.get("/tensors/info", connection=store.name, key=key))
        assert (info["kind"], info["tensors"][-1]["shards"], info["tensors"][-1]["units"]) == ("zarr", [20, 20], "K")
        select = {"select": "0:4, :", "raw": "true", "keys": ["t2m"]}
        plan = check("/tensors/plan", server.get("/tensors/plan", connection=store.name, key=key, **select))
        assert (plan["object_count"], plan["bytes_used"], plan["tensors"][0]["shape"]) == (1, 320, [4, 20])
        assert (plan["exact"], plan["missing_count"], plan["price"], plan["advice"]) == (True, 0, None, [])
        path = "" if key.endswith("t2m") else "t2m"
        chunks = check("/tensors/chunks", server.get("/tensors/chunks", connection=store.name, key=key, path=path))
        assert (chunks["grid"], chunks["cell_shape"], chunks["stored_count"]) == ([2, 1], [20, 20], 2)
    for wrong in ({"path": "none"}, {"path": "t2m", "select": "99"}, {}):
        reply = server.get("/tensors/chunks", connection=store.name, key="deep/g.zarr", **wrong)
        assert check("/tensors/chunks", reply)["code"] == "bad_request"
    reply = server.get("/tensors/plan", connection=store.name, key="deep/g.zarr", select="0:", keys=["none"])
    assert check("/tensors/plan", reply)["code"] == "bad_request"
    assert server.get("/tensors/plan", connection=store.name, key="deep/g.zarr", raw="maybe").status == 400


def test_hdf5_of_each_kind_of_storage(server, store):
    store.put("deep/x.h5", written(climate))
    info = check("/tensors/info", server.get("/tensors/info", connection=store.name, key="deep/x.h5"))
    assert (info["kind"], info["tensor_count"], len(info["groups"]), len(info["links"])) == ("hdf5", 12, 2, 2)
    plan = check("/tensors/plan", server.get("/tensors/plan", connection=store.name, key="deep/x.h5"))
    assert plan["code"] == "unsupported_format"
    store.put("bad.h5", written(climate)[:5000])
    reply = server.get("/tensors/info", connection=store.name, key="bad.h5")
    assert (reply.status, check("/tensors/info", reply)["code"]) == (422, "unsupported_format")


def test_a_tree_without_consolidated_metadata_comes_a_group_at_a_time(server, store, tmp_path):
    zarr.open_group(tmp_path / "g", mode="w").create_array("a/b/x", shape=(2,), dtype="f4")
    upload(tmp_path / "g", store, "g.zarr")
    for key, deep, groups in (
        ("g.zarr", "false", ["a"]),
        ("g.zarr/a", "false", ["b"]),
        ("g.zarr", "true", ["a", "a/b"]),
    ):
        reply = server.get("/tensors/info", connection=store.name, key=key, deep=deep)
        info = check("/tensors/info", reply)
        assert [(one["name"], one["unread"]) for one in info["groups"]] == [(one, deep == "false") for one in groups]
    assert server.get("/tensors/info", connection=store.name, key="g.zarr", deep="maybe").status == 400


def test_pages_follow_each_other(server, store):
    for name in "abcde":
        store.put(f"{name}.txt", b"x")
    keys, token = [], ""
    for _ in range(5):
        page = check("/storage/list", server.get("/storage/list", connection=store.name, limit=2, page_token=token))
        keys += [one["key"] for one in page["entries"]]
        if (token := page["next_token"]) is None:
            break
    assert keys == ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]


def test_connections_that_cannot_be_used_are_listed_with_the_reason(server, azurite, tmp_path):
    fields = azure_fields(azurite, "none")
    write_connections(tmp_path / "connections.toml", good=fields, bad={**fields, "secret": "written down"})
    reply = check("/storage/connections", server.get("/storage/connections"))
    assert [(one["name"], one["problem"] is None) for one in reply["connections"]] == [("good", True), ("bad", False)]
    assert reply["file"] == str(tmp_path / "connections.toml")
    assert b"written down" not in server.get("/storage/connections").body


def test_no_connections_file_at_all(server):
    assert check("/storage/connections", server.get("/storage/connections"))["connections"] == []
