"""What rows are: by name, by a small request each, counted; what is refused and what fails quietly."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from typing import get_args

import numpy as np
import pytest
import safetensors.numpy
import torch
import torch.distributed.checkpoint as dcp
import zarr

from jupyter_gpu_ext.errors import DeniedError, ThrottledError
from jupyter_gpu_ext.storage.limiter import Limiter
from jupyter_gpu_ext.storage.models import Entry, RawPage, Version
from jupyter_gpu_ext.storage.steady import Steady
from jupyter_gpu_ext.tensors import kind_cache, kinds
from jupyter_gpu_ext.tensors.kind_cache import Answer, Kinds, Row
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Store, azure_fields, write_connections
from tests.faults.proxy import Fault, Rule, fault_proxy
from tests.server.contract import SPEC, check
from tests.server.live import API, wait_until
from tests.tensors.hdf5_files import climate, written
from tests.tensors.zarr_stores import upload

# As storage lists them; no storage has them.
NAMED = {
    "a/model.safetensors": "safetensors", "W.SafeTensors": "safetensors", "x.npy": "npy", "x.npz": "npz",
    "net.pt": "pt", "net.pth": "pt", "e.h5": "hdf5", "e.nc4": "hdf5", "e.hdf5": "hdf5", "t2m.zarr/": "zarr",
    "model.safetensors.index.json": "sharded", "pytorch_model.bin.index.json": "sharded",
    "notes.txt": None, "pt": None, "x.zarr": None, "x.index.json": None, "a.npy.gz": None,
}  # fmt: skip


def saved(save):
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def npy():
    return saved(lambda file: np.save(file, np.zeros(3)))


def torch_file(**options):
    return saved(lambda file: torch.save({"w": torch.zeros(3)}, file, **options))


def archive():
    def write(file):
        with zipfile.ZipFile(file, "w") as found:
            found.writestr("readme.txt", "no tensors")

    return saved(write)


HEADS = {
    "zip.bin": (torch_file, "pt"),
    "legacy.ckpt": (lambda: torch_file(_use_new_zipfile_serialization=False), "pt"),
    "weights.bin": (lambda: safetensors.numpy.save({"w": np.zeros(3)}), "safetensors"),
    "array.bin": (npy, "npy"),
    "arrays.bin": (lambda: saved(lambda file: np.savez(file, a=np.zeros(3))), "npz"),
    "old.nc": (lambda: b"CDF\x01" + b"\0" * 60, "netcdf3"),
    "archive.bin": (archive, None),
    "page.bin": (lambda: b"<!DOCTYPE html>", None),
    "empty.ckpt": (lambda: b"", None),
}


def ask(server, connection, rows, headers=None, raw=None):
    given = [{"key": row, "etag": None} if isinstance(row, str) else row for row in rows]
    body = raw if raw is not None else json.dumps({"connection": connection, "rows": given}).encode()
    headers = headers or {"Content-Type": "application/json"}
    return server.request("POST", f"{API}/tensors/kinds", body=body, headers=headers)


def answer(server, connection, rows):
    reply = ask(server, connection, rows)
    assert reply.status == 200, reply.body
    return check("/tensors/kinds", reply, "post")


def listed(server, connection, prefix=""):
    """Return the rows of a folder, as the browser hands them on."""
    page = server.get("/storage/list", connection=connection, prefix=prefix).json
    return [{"key": one["key"], "etag": one["etag"]} for one in page["entries"]]


def fill(store, tmp_path):
    """Write folders of every kind under ordinary names; return what each is."""
    for version in (2, 3):
        group = zarr.open_group(tmp_path / f"g{version}", mode="w", zarr_format=version)
        group.create_array("t2m", shape=(4,), dtype="f4", chunks=(2,))[:] = 1
        upload(tmp_path / f"g{version}", store, f"run {version}")
    dcp.save({"w": torch.zeros(3)}, checkpoint_id=tmp_path / "dcp")
    upload(tmp_path / "dcp", store, "step-10")
    store.put("llama/model.safetensors.index.json", b"{}")
    store.put("llama/model-00001-of-00002.safetensors", b"")
    # A name that another program gives as well, a name that is a folder, and one in a folder below.
    store.put("flutter/.metadata", b"version:")
    store.put("odd/zarr.json/x", b"")
    store.put("above/run/zarr.json", b"{}")
    return {
        "run 2/": "zarr2_group", "run 2/t2m/": "zarr2_array", "run 3/": "zarr3", "run 3/t2m/": "zarr3",
        "step-10/": "distributed", "llama/": "sharded", "flutter/": None, "odd/": None, "above/": None, "gone/": None,
    }  # fmt: skip


def test_each_kind_of_each_kind_of_storage(server, store, tmp_path):
    wanted = fill(store, tmp_path)
    for name, (make, kind) in HEADS.items():
        store.put(name, make())
        wanted[name] = kind
    store.put("c.nc", written(climate))
    found = answer(server, store.name, [*wanted, "c.nc", *NAMED])
    assert found == {"kinds": {**wanted, "c.nc": "hdf5", **NAMED}, "later": []}


def test_the_root_of_a_connection_is_a_folder(server, local_store, tmp_path):
    zarr.open_group(local_store.folder, mode="w", zarr_format=3)
    assert answer(server, "disk", [""])["kinds"] == {"": "zarr3"}


@pytest.fixture
def counted(azurite, tmp_path, monkeypatch):
    """The connection `weights://` behind a proxy that counts and breaks; give both."""
    container = azurite.new_container()
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    with fault_proxy(azurite.port) as proxy:
        fields = azure_fields(azurite, container.container_name)
        fields["endpoint"] = f"http://127.0.0.1:{proxy.port}/devstoreaccount1"
        write_connections(tmp_path / "connections.toml", weights=fields)
        yield Store("weights", container=container), proxy


def test_what_is_asked_of_storage(server, counted, tmp_path):
    store, proxy = counted
    fill(store, tmp_path)
    store.put("net.bin", torch_file())
    rows = [row for row in listed(server, "weights") if row["key"] != "gone/"]
    proxy.log.clear()
    named = [f"{at}-{name}" for at in range(5) for name in NAMED]
    answer(server, "weights", named)
    assert proxy.log == [], "names say it"
    found = answer(server, "weights", rows)["kinds"]
    assert (found["run 3/"], found["net.bin"]) == ("zarr3", "pt")
    assert len(proxy.log) == len(rows), "one request a folder, one for the .bin"
    assert sum("comp=list" in line for line, _ in proxy.log) == len(rows) - 1
    assert answer(server, "weights", rows)["kinds"] == found
    assert len(proxy.log) == len(rows), "remembered"
    store.put("net.bin", b"something else")
    changed = [row for row in listed(server, "weights") if row["key"] == "net.bin"]
    assert answer(server, "weights", changed)["kinds"] == {"net.bin": None}, "another version is another file"


def test_where_a_listing_is_cut_off_one_name_more_is_asked_for(server, counted, monkeypatch):
    store, proxy = counted
    monkeypatch.setattr(kind_cache, "_PAGE", 5)
    for at in range(1, 8):
        for key in (f"model/model-{at:05}-of-00007.safetensors", f"v2/0.{at}", f"v3/c.{at}", f"plain/a{at}"):
            store.put(key, b"")
    for key in ("model/model.safetensors.index.json", "v2/.zarray", "v3/zarr.json"):
        store.put(key, b"{}")
    wanted = {"model/": "sharded", "v2/": "zarr2_array", "v3/": "zarr3", "plain/": None}
    assert answer(server, "weights", list(wanted))["kinds"] == wanted
    asked = [line for line, _ in proxy.log]
    assert (sum("comp=list" in one for one in asked), len(asked)) == (4, 7)


def test_a_storage_that_fails_costs_its_badges_only(server, counted, tmp_path):
    store, proxy = counted
    store.put("a.bin", torch_file())
    store.put("b/.zgroup", b"{}")
    store.put("c.bin", npy())
    proxy.rules.append(Rule(Fault("status", 403), when=lambda asked: "a.bin" in asked.line))
    refused = answer(server, "weights", ["a.bin", "b/", "c.bin", "d.npy"])
    assert refused == {"kinds": {"a.bin": None, "b/": "zarr2_group", "c.bin": "npy", "d.npy": "npy"}, "later": []}
    proxy.rules[:] = [Rule(Fault("stall body"))]
    stalled = answer(server, "weights", ["e.bin", "d.npy", "f/"])
    assert stalled == {"kinds": {"e.bin": None, "d.npy": "npy", "f/": None}, "later": ["e.bin", "f/"]}
    wait_until(proxy.client_gone.is_set)


GOOD = {"key": "a", "etag": None}
BAD = {
    "101 rows": {"connection": "disk", "rows": [GOOD] * 101},
    "no rows": {"connection": "disk"},
    "rows are text": {"connection": "disk", "rows": "a"},
    "a row is text": {"connection": "disk", "rows": ["a"]},
    "no etag": {"connection": "disk", "rows": [{"key": "a"}]},
    "etag is a number": {"connection": "disk", "rows": [{"key": "a", "etag": 1}]},
    "key is null": {"connection": "disk", "rows": [{"key": None, "etag": None}]},
    "more": {"connection": "disk", "rows": [{**GOOD, "kind": "object"}]},
    "NUL": {"connection": "disk", "rows": [{"key": "a\0b", "etag": None}]},
    "too long": {"connection": "disk", "rows": [{"key": "k" * 4097, "etag": None}]},
    "half a surrogate": {"connection": "disk", "rows": [{"key": "\ud800/", "etag": None}]},
    "a link": {"connection": "disk", "rows": [GOOD], "link": "https://x"},
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_what_is_refused(server, local_store, body):
    reply = ask(server, "", [], raw=json.dumps(body).encode())
    assert reply.status == 400
    said = check("/tensors/kinds", reply, "post")
    assert said["code"] == "bad_request"
    assert said["hint"]


def test_who_asks_rightly_for_what_is_not_there(server, local_store, tmp_path):
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / ".zgroup").write_bytes(b"{}")
    (local_store.folder / "out").symlink_to(tmp_path / "beside")
    nothing = dict.fromkeys(("../beside/", "/etc/", "out/", "a//b/", "none.bin"))
    assert answer(server, "disk", list(nothing)) == {"kinds": nothing, "later": []}
    assert answer(server, "disk", []) == {"kinds": {}, "later": []}
    assert ask(server, "unknown", ["a"]).status == 404
    assert ask(server, "disk", ["a"], headers={"Content-Type": "text/plain"}).status == 400
    assert ask(server, "disk", ["k" * 4000] * 20).status == 413


class Fake:
    """Storage that does what a test says; not what is tested."""

    def __init__(self):
        self.asked, self.at_once, self.most_at_once, self.fault, self.wait = 0, 0, 0, None, None

    async def _answer(self):
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await (self.wait.wait() if self.wait else asyncio.sleep(0))
            if self.fault:
                raise self.fault
        finally:
            self.at_once -= 1

    async def list_page(self, prefix, *, marker, limit, search=""):
        await self._answer()
        return RawPage((Entry(kind="object", name=".zgroup", key=f"{prefix}.zgroup"),), None)

    async def first(self, key, length):
        await self._answer()
        return b"\x93NUMPY", Version(6, "one")


def test_how_long_what_is_known_counts():
    async def run():
        now, storage = [0.0], Fake()
        backend = Steady(storage, Limiter("fake"))
        found = Kinds(short_seconds=30, clock=lambda: now[0])
        rows = [Row("a/"), Row("b.bin", "one"), Row("c.bin", "older")]
        wanted = {"a/": "zarr2_group", "b.bin": "npy", "c.bin": "npy"}
        assert (await found.of(backend, rows)).kinds == wanted
        await found.of(backend, rows)
        assert storage.asked == 4, "what was read of c.bin is not the version that was asked for"
        now[0] = 31
        await found.of(backend, rows[:2])
        assert storage.asked == 5, "a folder is looked at again, a version of a file is not"
        storage.fault = DeniedError("no")
        for _ in range(2):
            assert await found.of(backend, [Row("d/")]) == Answer({"d/": None}, ())
        assert storage.asked == 6, "who may not look is not asked again at once"

    asyncio.run(run())


def test_a_deadline_leaves_what_is_slow_and_nothing_running():
    async def run():
        storage = Fake()
        backend, found = Steady(storage, Limiter("fake")), Kinds(deadline_seconds=0.05)
        rows = [Row(f"{at}/") for at in range(20)]
        storage.wait = asyncio.Event()
        slow = await found.of(backend, [*rows, Row("x.npy")])
        assert slow.later == tuple(row.key for row in rows)
        assert slow.kinds["x.npy"] == "npy"
        assert (storage.most_at_once, storage.at_once) == (8, 0)
        storage.wait.set()
        assert set((await found.of(backend, rows)).kinds.values()) == {"zarr2_group"}
        storage.fault = ThrottledError("slow down")
        assert (await found.of(backend, [Row("new/")])).later == ("new/",)
        storage.fault = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            await found.of(backend, [Row("bug/")])

    asyncio.run(run())


def test_the_kinds_are_those_of_the_contract():
    assert [*get_args(kinds.Kind), None] == SPEC["components"]["schemas"]["RowKind"]["enum"]
