"""A plan of a Zarr read is what happens: requests by class, bytes, missing chunks; on disk and on Azurite's wire."""

from __future__ import annotations

import itertools
import random
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, DeniedError, ObjectChangedError, TensorFormatError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors import forecast
from jupyter_gpu_ext.tensors.copies import HostCopies
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.objects import Objects
from jupyter_gpu_ext.tensors.prices import price
from jupyter_gpu_ext.tensors.slab_load import Results, lay_out, read_results
from jupyter_gpu_ext.tensors.zarr_cost import cost
from jupyter_gpu_ext.tensors.zarr_store import open_zarr, plan_arrays, read_arrays
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, azure_fields, write_connections
from tests.faults.proxy import fault_proxy
from tests.tensors.zarr_stores import ramp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jupyter_gpu_ext.tensors.zarr_cost import ZarrCost
    from tests.conftest import Azurite
    from tests.faults.proxy import FaultProxy

SHAPE = (24, 30, 18)


def _sharding(place: Any) -> ShardingCodec:
    return ShardingCodec(chunk_shape=(2, 5, 6), index_location=place, codecs=[BytesCodec(), ZstdCodec()])


V2, V3 = {"zarr_format": 2, "chunks": (8, 15, 8)}, {"chunks": (7, 10, 9)}
KINDS: dict[str, dict[str, Any]] = {
    "v2 dot": {**V2, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    "v2 slash": {**V2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "v3 slash": V3,
    "v3 dot": {**V3, "chunk_key_encoding": {"name": "default", "separator": "."}},
    "sharded, index at the end": {"chunks": (8, 15, 18), "serializer": _sharding("end"), "compressors": None},
    "sharded, index at the start": {"chunks": (8, 15, 18), "serializer": _sharding("start"), "compressors": None},
    # Chunks that no head of a shard holds, and gaps between those that are wanted.
    "large shards": {
        "shape": (24, 300, 180), "chunks": (2, 100, 60), "shards": (8, 300, 180),
        "compressors": [Crc32cCodec()], "separator": ".",
    },
    "many chunks": {"chunks": (2, 10, 8)},
}  # fmt: skip


def write(folder: Path) -> None:
    """Write an array of each kind in which some chunks and some objects were never written."""
    draw = random.Random(7)
    for name, options in KINDS.items():
        rest = {key: value for key, value in options.items() if key != "separator"}
        shape = rest.pop("shape", SHAPE)
        path = folder / f"{name}.zarr"
        array = zarr.create_array(path, shape=shape, dtype="f4", fill_value=-1, **rest)
        array[...] = ramp(shape, "f4") + np.random.default_rng(0).random(shape, "f4")
        # A chunk of fill values is not written.
        array[2:6, 5:15, 6:12] = -1
        chunks = sorted(one for one in path.rglob("*") if one.is_file() and one.name[0] not in "z.")
        for one in draw.sample(chunks, len(chunks) // 5):
            one.unlink()


def selection(draw: random.Random, shape: tuple[int, ...]) -> str:
    def item(size: int) -> str:
        if draw.random() < 0.2:
            return str(draw.randrange(-size, size))
        start, stop = sorted(draw.randrange(size + 1) for _ in range(2))
        step = draw.choice(["", "", "1", "2", "7", "-1", "-3"])
        return f"{stop}:{start}:{step}" if step.startswith("-") else f"{start}:{stop}:{step}"

    return ", ".join(item(size) for size in shape)


def planned(url: str, select: str) -> dict[str, Any]:
    async def run() -> ZarrCost:
        return await cost(await open_zarr(url), select=select)

    return LOOP.run(run()).to_json()


def read(url: str, select: str) -> Objects:
    async def run() -> Objects:
        node = await open_zarr(url)
        await read_arrays(await plan_arrays(node, (), select))
        assert node.objects.tally.retries == 0
        return node.objects

    return LOOP.run(run())


def check(said: dict[str, Any], objects: Objects) -> None:
    assert said["exact"]
    assert said["requests_by_class"] == {name: objects.asked[name] for name in ("list", "head", "get")}
    assert said["bytes_read"] + said["metadata_bytes"] == objects.bytes_read


def never_written(path: Path, select: str) -> int:
    """Count the chunks that a selection touches and that zarr-python reads as fill values alone."""
    array = zarr.open_array(path)
    values, wanted = np.asarray(array[...]), np.zeros(array.shape, bool)
    wanted[eval(f"np.s_[{select}]", {"np": np})] = True
    places = itertools.product(*(range(0, size, chunk) for size, chunk in zip(array.shape, array.chunks, strict=True)))
    cells = [tuple(slice(at, at + n) for at, n in zip(place, array.chunks, strict=True)) for place in places]
    return sum(bool(wanted[cell].any() and (values[cell] == -1).all()) for cell in cells)


def cases(count: int, seed: int) -> Iterator[tuple[str, str]]:
    draw, names = random.Random(seed), list(KINDS)
    for at in range(count):
        name = names[at % len(names)]
        yield name, selection(draw, KINDS[name].get("shape", SHAPE))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast")
    write(folder)
    return folder


def on_disk(written: Path, count: int, seed: int) -> None:
    for name, select in cases(count, seed):
        path = written / f"{name}.zarr"
        said = planned(str(path), select)
        check(said, read(str(path), select))
        assert said["missing_count"] == never_written(path, select), (name, select)


def test_any_selection_on_disk(written: Path) -> None:
    on_disk(written, 26, 1)


@pytest.mark.prove
def test_two_hundred_selections_on_disk(written: Path) -> None:
    on_disk(written, 200, 2)


@pytest.fixture
def wire(azurite: Azurite, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The stores in Azurite behind a proxy that counts; the connection is `weights://`."""
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    container = azurite.new_container()
    files = [path for path in written.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda path: container.upload_blob(path.relative_to(written).as_posix(), path.read_bytes()), files)
        )
    with fault_proxy(azurite.port) as proxy:
        fields = azure_fields(azurite, container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(proxy.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        yield proxy


def on_the_wire(wire: FaultProxy, count: int, seed: int) -> None:
    """The server's side: each request is one of its class, and the bodies that came are the bytes."""
    for name, select in cases(count, seed):
        url = f"weights://{name}.zarr"
        said = planned(url, select)
        wire.passed.clear()
        check(said, read(url, select))
        seen = Counter("list" if "comp=list" in line else line.split()[0].lower() for line, _, _ in wire.passed)
        assert seen == Counter(said["requests_by_class"]), (name, select)
        came = sum(size for line, answer, size in wire.passed if line.startswith("GET") and " 20" in answer)
        assert came == said["bytes_read"] + said["metadata_bytes"], (name, select)


def test_any_selection_on_the_wire(wire: FaultProxy) -> None:
    on_the_wire(wire, 24, 3)


@pytest.mark.prove
def test_two_hundred_selections_on_the_wire(wire: FaultProxy) -> None:
    on_the_wire(wire, 200, 4)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("ring", [6000, 200_000, 1 << 26])
def test_a_device_whose_buffers_are_small_opens_shards_again(written: Path, name: str, ring: int) -> None:
    async def run() -> None:
        node = await open_zarr(str(written / f"{name}.zarr"))
        plan = await plan_arrays(node, (), "1:, ::-1, 2:-1")
        layout = lay_out(plan, None, on_device=True, ring_bytes=ring)
        said = await forecast.forecast(plan, layout)
        gets, size = node.objects.asked["get"], node.objects.bytes_read
        await read_results(Results(plan, layout, HostCopies(), "cpu"), Progress(plan.size_bytes))
        assert (said.requests, said.bytes_read) == (node.objects.asked["get"] - gets, node.objects.bytes_read - size)

    LOOP.run(run())


def test_a_load_is_its_plan_and_says_that_the_metadata_is_the_same(written: Path) -> None:
    url = str(written / "sharded, index at the end.zarr")
    said = jg.plan(url, device="cpu", select="3:9")
    _, receipt = load_named(url, device="cpu", select="3:9")
    whole = said.to_json()
    assert sum(whole["requests_by_class"].values()) == receipt.requests
    assert whole["bytes_read"] + whole["metadata_bytes"] == receipt.bytes_read
    assert "1 document of metadata unchanged at the end" in str(receipt)
    assert f"({whole['missing_count']} of {whole['chunk_count']} chunks never written)" in str(said)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("of_group", [True, False])
def test_labels_are_in_the_plan(tmp_path: Path, of_group: bool) -> None:
    data = xr.Dataset({"x": (("time", "y"), np.random.default_rng(0).random((40, 8)))}, {"time": np.arange(40) * 0.5})
    data.to_zarr(tmp_path / "l.zarr", encoding={"x": {"chunks": (10, 8)}}, consolidated=True)
    url = str(tmp_path / "l.zarr") + ("" if of_group else "/x")
    options: dict[str, Any] = {"select": "time=2:6.5", "keys": ["x"] if of_group else []}
    said = jg.plan(url, **options).to_json()
    _, receipt = load_named(url, device="cpu", **options)
    assert said["object_count"] == 2
    assert sum(said["requests_by_class"].values()) == receipt.requests
    assert said["bytes_read"] + said["metadata_bytes"] == receipt.bytes_read


@pytest.mark.parametrize("name", ["v2 dot", "v3 slash", "sharded, index at the end"])
def test_a_store_that_changes_while_it_is_read(
    written: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shutil.copytree(written / f"{name}.zarr", tmp_path / "a.zarr")
    document = path / (".zarray" if "v2" in name else "zarr.json")
    chunks = 0

    def changing(inner: Callable[..., Any]) -> Callable[..., Any]:
        async def read(store: Objects, below: str, most: int) -> Any:
            nonlocal chunks
            chunks += not below.startswith((".z", "zarr"))
            if chunks == 2:
                document.write_bytes(document.read_bytes() + b" ")
            return await inner(store, below, most)

        return read

    for one in ("first", "whole"):
        monkeypatch.setattr(Objects, one, changing(getattr(Objects, one)))
    with pytest.raises(ObjectChangedError, match=f"was written to while it was read: {document.name} was") as caught:
        jg.load(str(path), device="cpu")
    assert caught.value.hint == "Run it again."


def test_a_damaged_index_is_named_by_the_plan_as_by_the_load(written: Path, tmp_path: Path) -> None:
    path = shutil.copytree(written / "sharded, index at the end.zarr", tmp_path / "a.zarr")
    shard = next(one for one in path.rglob("*") if one.is_file() and one.name != "zarr.json")
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    said = f"shard {shard.relative_to(path).as_posix()!r} is damaged"
    with pytest.raises(TensorFormatError, match=said):
        jg.plan(str(path))
    with pytest.raises(TensorFormatError, match=said):
        jg.load(str(path), device="cpu")


def test_many_shards_are_estimated_from_a_few(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "_MOST_ASKED", 4)
    monkeypatch.setattr(forecast, "SAMPLES", 3)
    url = str(written / "sharded, index at the end.zarr")
    said = planned(url, "1:20")
    objects = read(url, "1:20")
    assert (said["exact"], said["missing_count"], said["sampled_count"]) == (False, None, 3)
    assert 0 < said["bytes_read"] < 3 * objects.bytes_read
    assert "≈" in str(jg.plan(url, select="1:20"))


def test_who_may_not_list_gets_an_estimate(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any, **__: Any) -> Any:
        raise DeniedError("no list right")

    monkeypatch.setattr(Objects, "sizes", refused)
    assert not planned(str(written / "many chunks.zarr"), ":")["exact"]


def test_money_is_said_where_prices_are_set(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = str(written / "v3 slash.zarr")
    assert planned(url, "0")["price"] is None
    assert "costs" not in str(jg.plan(url))
    monkeypatch.setenv("JUPYTER_GPU_PRICES", "list=0.5, head=10000, get=20000, gb=0, currency=EUR")
    said = planned(url, "0")
    assert said["price"] == {
        "amount": said["requests_by_class"]["head"] + 2 * said["requests_by_class"]["get"],
        "currency": "EUR",
    }
    assert f"costs {said['price']['amount']:.4g} EUR" in str(jg.plan(url, select="0"))


@pytest.mark.parametrize("text", ["get", "get=", "get=-1", "get=nan", "get=a", "write=1", "get=1; head=2"])
def test_prices_that_are_none(text: str) -> None:
    with pytest.raises(BadRequestError, match="JUPYTER_GPU_PRICES") as caught:
        price({"JUPYTER_GPU_PRICES": text}, {}, 0)
    assert "10,000 requests" in caught.value.hint
