"""Zarr arrays through the reader are what zarr-python reads, whoever wrote them and wherever they lie."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from jupyter_gpu_ext.errors import DeniedError, NotFoundError, ObjectChangedError, TensorFormatError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors import arrays
from jupyter_gpu_ext.tensors.zarr_store import find_zarr, open_zarr, plan_arrays, read_arrays, rows
from tests.conftest import Store, azure_fields, write_connections
from tests.faults.proxy import Fault, FaultProxy, Rule, fault_proxy
from tests.tensors.zarr_stores import CORPUS, load, loaded, ramp, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Azurite
    from tests.faults.proxy import Message


def same(found: np.ndarray, expected: np.ndarray) -> None:
    if expected.dtype.kind in "mM":
        expected = expected.astype(expected.dtype.newbyteorder("=")).view("i8")
    assert found.dtype == expected.dtype.newbyteorder("=")
    assert found.dtype.isnative
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", CORPUS)
def test_corpus(tmp_path: Path, name: str) -> None:
    path = tmp_path / "store.zarr"
    expected = CORPUS[name](path)
    node, plan, found = loaded(str(path))
    same(found["store.zarr"], expected)
    assert node.kind == "array"
    assert plan.size_bytes == expected.nbytes
    half = ", ".join("1:" for _ in expected.shape)
    same(load(str(path), select=half)["store.zarr"], expected[(slice(1, None),) * expected.ndim])


_SAMPLE = ["v2 blosc zstd", "v2 missing chunks", "v3 sharded", "v3 sharded, index at the start", "v3 crc32c"]


@pytest.mark.parametrize("name", _SAMPLE)
def test_corpus_on_azure(azure_store: Store, tmp_path: Path, name: str) -> None:
    expected = CORPUS[name](tmp_path / "written")
    upload(tmp_path / "written", azure_store, "deep/store.zarr")
    same(load("weights://deep/store.zarr/")["store.zarr"], expected)
    same(load("weights://deep/store.zarr", select="2:, ::-2")["store.zarr"], expected[2:, ::-2])


def tree(path: Path, version: int, *, consolidated: bool) -> dict[str, np.ndarray]:
    group = zarr.open_group(path, mode="w", zarr_format=version, attributes={"title": "t"})
    for name in ("a", "deep/b", "deep/deeper/c", "d"):
        group.create_array(name, shape=(6, 4), chunks=(2, 3), dtype="i4")[...] = ramp((6, 4), "i4")
    group.create_group("empty", attributes={"k": 1})
    if consolidated:
        zarr.consolidate_metadata(path)
    return {name: ramp((6, 4), "i4") for name in ("a", "d", "deep/b", "deep/deeper/c")}


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_tree(store: Store, tmp_path: Path, version: int, consolidated: bool) -> None:
    expected = tree(tmp_path / "written", version, consolidated=consolidated)
    upload(tmp_path / "written", store, "tree")
    node = LOOP.run(open_zarr(f"{store.name}://tree"))
    opening = node.requests
    assert (node.kind, node.version, node.consolidated) == ("group", version, consolidated)
    assert node.attributes == {"title": "t"}
    assert dict(node.root.groups) == {"deep": {}, "deep/deeper": {}, "empty": {"k": 1}}
    assert list(node.arrays) == list(expected)
    if consolidated:
        assert opening == 4 - version
    elif version == 3:
        nodes, groups = 8, 4
        # What lists below a folder at any depth shows all documents at once; on a disk each folder is looked into.
        assert opening == (nodes + groups if store.name == "disk" else 2 + nodes)
    found = load(f"{store.name}://tree")
    for name, values in expected.items():
        same(found[name], values)
    assert list(load(f"{store.name}://tree", ["deep/*", "!*c"])) == ["deep/b"]
    # A node inside is a store of its own.
    same(load(f"{store.name}://tree/deep/b")["b"], expected["deep/b"])
    assert list(load(f"{store.name}://tree/deep")) == ["b", "deeper/c"]


def test_tree_of_one_level_costs_one_request_more_than_its_nodes(local_store: Store) -> None:
    group = zarr.open_group(local_store.folder / "g", mode="w", zarr_format=3)
    for at in range(5):
        group.create_array(str(at), shape=(2,), dtype="i4")
    node = LOOP.run(open_zarr("disk://g"))
    assert node.requests == 1 + 6


def test_version_3_counts_where_both_are(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "s", shape=(2,), dtype="i4", zarr_format=2)[...] = 2
    zarr.create_array(tmp_path / "s3", shape=(2,), dtype="i4", zarr_format=3)[...] = 3
    (tmp_path / "s3" / "zarr.json").rename(tmp_path / "s" / "zarr.json")
    (tmp_path / "s3" / "c").rename(tmp_path / "s" / "c")
    assert load(str(tmp_path / "s"))["s"].tolist() == [3, 3]


def test_nothing_there(local_store: Store) -> None:
    local_store.put("folder/file.txt", b"x")
    local_store.put("refs.json", b'{"version": 1, "refs": {"zarr.json": "{}", "c/0": ["file:///etc/hostname"]}}')
    for url in ("disk://folder", "disk://none", "disk://refs.json", "disk://"):
        assert LOOP.run(find_zarr(url)) is None
        with pytest.raises(NotFoundError, match="no Zarr"):
            LOOP.run(open_zarr(url))


def gets(wire: FaultProxy, part: str) -> list[str]:
    return [line for line, _ in wire.log if line.startswith("GET") and part in line]


def test_requests_on_the_wire(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    """One request a chunk; two a shard of which a part is wanted, one where all of it is."""
    assert azure_store.container is not None
    plain = zarr.create_array(tmp_path / "plain", shape=(100, 100), chunks=(25, 50), dtype="f4", compressors=None)
    plain[...] = values = np.random.default_rng(1).random((100, 100), np.float32)
    shards = zarr.create_array(
        tmp_path / "shards", shape=(400, 400), chunks=(20, 50), shards=(200, 400), dtype="f8", compressors=None
    )
    shards[...] = many = np.random.default_rng(2).random((400, 400))
    for name in ("plain", "shards"):
        upload(tmp_path / name, azure_store, name)
    with fault_proxy(azurite.port) as wire:
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        node, plan, found = loaded("weights://plain", select="30:60, 10:20")
        same(found["plain"], values[30:60, 10:20])
        assert plan.chunk_count == plan.object_count == len(gets(wire, "plain/c/")) == 2
        # The one document is looked at once more at the end.
        assert node.requests == 1 + 2 + 1
        wire.log.clear()
        _, plan, found = loaded("weights://shards", select="0:10, 0:10")
        same(found["shards"], many[:10, :10])
        assert (plan.object_count, plan.chunk_count) == (1, 1)
        # The head of the shard brings its size, then its index, then the chunk in the head or not.
        assert len(gets(wire, "shards/c/")) == 2
        wire.log.clear()
        node, plan, found = loaded("weights://shards", select="200:")
        same(found["shards"], many[200:])
        assert (plan.object_count, plan.chunk_count) == (1, 80)
        assert len(gets(wire, "shards/c/")) == 1
        wire.log.clear()
        _, plan, found = loaded("weights://shards", select="150:390")
        same(found["shards"], many[150:390])
        # The lower half of one shard: head, index, one run of neighbours; all but the end of the other: the same.
        assert len(gets(wire, "shards/c/")) <= 6
        assert node.objects.tally.retries == 0


def test_chunks_are_asked_for_again(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    assert azure_store.container is not None
    values = np.random.default_rng(1).random((60, 50), np.float32)
    zarr.create_array(tmp_path / "a", shape=values.shape, chunks=(20, 50), dtype="f4")[...] = values
    upload(tmp_path / "a", azure_store, "a")
    broken = [Rule(Fault(kind, value), times=1, when=chunk) for kind, value in (("status", 503), ("fin", None))]
    with fault_proxy(azurite.port, *broken) as wire:
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        node, _, found = loaded("weights://a")
        same(found["a"], values)
        assert wire.broken() == node.objects.tally.retries == 2


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_forbidden_is_missing_where_something_else_is_there(
    azurite: Azurite, azure_store: Store, tmp_path: Path
) -> None:
    assert azure_store.container is not None
    expected = tree(tmp_path / "written", 2, consolidated=True)
    upload(tmp_path / "written", azure_store, "g")
    with fault_proxy(azurite.port, Rule(Fault("status", 403), when=lambda one: "/zarr.json" in one.line)) as wire:
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        same(load("weights://g", ["a"])["a"], expected["a"])
        with pytest.raises(DeniedError):
            load("weights://none")


def chunk(request: Message) -> bool:
    return request.line.startswith("GET") and "/a/c/" in request.line


def test_out_is_filled_in_place(tmp_path: Path) -> None:
    values = ramp((7, 9), "f4")
    zarr.create_array(tmp_path / "a", shape=values.shape, chunks=(3, 4), dtype="f4")[...] = values

    async def run(out: np.ndarray, progress: Progress) -> np.ndarray:
        plan = await plan_arrays(await open_zarr(str(tmp_path / "a")), (), "1:, :8")
        return (await read_arrays(plan, {"a": out}, progress))["a"]

    slab = np.full((20, 30), -1, "f4")
    strided = slab[2:14:2, 3:27:3]
    progress = Progress(strided.nbytes)
    assert LOOP.run(run(strided, progress)) is strided
    same(strided, values[1:, :8])
    assert progress.done_bytes == progress.total_bytes
    untouched = np.ones(slab.shape, bool)
    untouched[2:14:2, 3:27:3] = False
    assert (slab[untouched] == -1).all()
    for wrong in (np.empty((6, 9), "f4"), np.empty((6, 8), "f8")):
        with pytest.raises(ValueError, match="the buffer"):
            LOOP.run(run(wrong, progress))


def test_metadata_replaced_while_it_is_read(store: Store, tmp_path: Path) -> None:
    values = ramp((7, 9), "f4")
    zarr.create_array(tmp_path / "a", shape=values.shape, chunks=(3, 4), dtype="f4")[...] = values
    upload(tmp_path / "a", store, "a")
    raw = (tmp_path / "a" / "zarr.json").read_bytes()

    async def run() -> None:
        plan = await plan_arrays(await open_zarr(f"{store.name}://a"))
        store.put("a/zarr.json", raw + b" ")
        await read_arrays(plan)

    with pytest.raises(ObjectChangedError, match="written to"):
        LOOP.run(run())


def test_store_removed_while_it_is_read(local_store: Store) -> None:
    # Chunks that are gone are no fill values when the whole store is gone.
    values = ramp((7, 9), "f4")
    assert local_store.folder is not None
    zarr.create_array(local_store.folder / "a", shape=values.shape, chunks=(3, 4), dtype="f4")[...] = values

    async def run() -> None:
        plan = await plan_arrays(await open_zarr("disk://a"))
        (local_store.folder / "a").rename(local_store.folder / "b")
        await read_arrays(plan)

    with pytest.raises(ObjectChangedError, match="gone"):
        LOOP.run(run())


async def test_a_cancelled_read_waits_for_its_threads() -> None:
    # The caller's memory is not written to any more when the read has ended.
    started, release, done = threading.Event(), threading.Event(), list[int]()

    def work() -> None:
        started.set()
        assert release.wait(20)
        done.append(1)

    with ThreadPoolExecutor(1) as pool:
        task = asyncio.create_task(arrays._in_thread(pool, work))
        assert await asyncio.to_thread(started.wait, 20)
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert done == [1]


def test_rows(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "g", mode="w")
    made = group.create_array(
        "t2m", shape=(40, 20), chunks=(5, 5), shards=(20, 20), dtype="i2", dimension_names=("time", None),
        attributes={"units": "K", "long_name": "2 m\ntemperature", "scale_factor": 0.1, "odd": float("nan")},
    )  # fmt: skip
    made[...] = 1
    group.create_array("names", shape=(3,), dtype="U4")
    node = LOOP.run(open_zarr(str(tmp_path / "g")))
    names, t2m = rows(node)
    assert (t2m.name, t2m.dtype, t2m.shape, t2m.size_bytes) == ("t2m", "int16", (40, 20), 1600)
    assert (t2m.chunks, t2m.shards, t2m.codecs, t2m.dimensions) == ((5, 5), (20, 20), ("zstd",), ("time", None))
    assert (t2m.units, t2m.long_name, t2m.unreadable) == ("K", r"2 m\ntemperature", "")
    assert names.dtype == "fixed_length_utf32"
    assert "fixed_length_utf32" in names.unreadable
    assert json.loads(json.dumps(t2m.to_json(), allow_nan=False))["attributes"]["odd"] == "nan"
    with pytest.raises(TensorFormatError, match="names cannot be loaded") as caught:
        load(str(tmp_path / "g"))
    assert caught.value.hint == "--keys '!names' leaves it out."
    assert list(load(str(tmp_path / "g"), ["!names"])) == ["t2m"]


def test_bfloat16_keeps_its_bits(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(6,), chunks=(4,), dtype="uint16")
    array[:4] = np.arange(16_000, 16_004)
    path = tmp_path / "a" / "zarr.json"
    document = json.loads(path.read_text()) | {"data_type": "bfloat16", "fill_value": 1.0}
    path.write_text(json.dumps(document))
    _, plan, found = loaded(str(tmp_path / "a"))
    assert plan.arrays["a"].dtype == "bfloat16"
    assert found["a"].tolist() == [16_000, 16_001, 16_002, 16_003, 0x3F80, 0x3F80]


def test_large_chunks_come_in_pieces(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (5 << 20,), np.uint64)
    zarr.create_array(tmp_path / "a", shape=values.shape, chunks=(4 << 20,), dtype="u8", compressors=None)[:] = values
    node, _, found = loaded(str(tmp_path / "a"))
    np.testing.assert_array_equal(found["a"], values)
    # Two chunks of 32 MiB: the first 16 MiB come with the version, the rest is asked for.
    assert node.requests == 2 + 4
