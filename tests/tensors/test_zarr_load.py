"""Zarr arrays as tensors: what zarr-python and xarray read, wherever the store lies; what is refused; what is said."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import (
    BadRequestError,
    GpuExtError,
    NotFoundError,
    TensorFormatError,
    TooLargeError,
    UnsupportedFormatError,
)
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors import forecast, slabs
from jupyter_gpu_ext.tensors.copies import HostCopies
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.objects import Objects
from jupyter_gpu_ext.tensors.slab_load import Results, lay_out, read_results
from jupyter_gpu_ext.tensors.zarr_load import open_either
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
from jupyter_gpu_ext.tensors.zarr_store import open_zarr, plan_arrays
from tests.conftest import azure_fields, write_connections
from tests.faults.proxy import fault_proxy
from tests.tensors.files import torch_bytes
from tests.tensors.zarr_stores import CORPUS, ramp, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Azurite, Store


def same(found: torch.Tensor, expected: np.ndarray) -> None:
    if expected.dtype.kind in "mM":
        expected = expected.astype(expected.dtype.newbyteorder("=")).view("i8")
    native = np.array(expected, expected.dtype.newbyteorder("="), order="C")
    assert tuple(found.shape) == expected.shape
    assert torch.equal(found, torch.from_numpy(native)) or np.array_equal(found.numpy(), native, equal_nan=True)
    assert found.dtype == torch.from_numpy(native).dtype


@pytest.mark.parametrize("name", [one for one in CORPUS if "filter" not in one and "blosc" not in one])
def test_corpus(tmp_path: Path, name: str) -> None:
    expected = CORPUS[name](tmp_path / "store.zarr")
    same(jg.load(str(tmp_path / "store.zarr"), device="cpu"), expected)


def era5(path: Path, version: int = 3) -> xr.Dataset:
    """Write packed temperatures with coordinates, some missing, as weather archives have them."""
    time = np.datetime64("2020-01-01T00") + np.arange(200) * np.timedelta64(6, "h")
    values = np.random.default_rng(0).random((200, 13, 24)) * 40 + 250
    values[3, 4] = np.nan
    data = xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), values, {"units": "K", "long_name": "2 metre temperature"})},
        {"time": time, "latitude": np.linspace(60, 30, 13), "longitude": np.arange(24) * 15.0},
        {"title": "a sample", "levels": [1, 2]},
    )
    packed = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 270.0, "_FillValue": -9999, "chunks": (30, 5, 12)}
    data.to_zarr(path, mode="w", zarr_format=version, encoding={"t2m": packed}, consolidated=True)
    return data


SELECTED: dict[str, dict[str, Any]] = {
    "time=2020-01-03:2020-02": {"time": slice("2020-01-03", "2020-02")},
    "latitude=55:42.5, longitude=15:200:3": {"latitude": slice(55, 42.5), "longitude": slice(15, 200, 3)},
    "time=2020-01-02T12, latitude=60": {"time": "2020-01-02T12", "latitude": 60},
}


@pytest.mark.filterwarnings("ignore:Consolidated metadata", "ignore:Numcodecs codecs")
@pytest.mark.parametrize("version", [2, 3])
def test_as_xarray_reads(store: Store, tmp_path: Path, version: int) -> None:
    era5(tmp_path / "written", version)
    upload(tmp_path / "written", store, "deep/t2m.zarr")
    url = f"{store.name}://deep/t2m.zarr"
    read = xr.open_zarr(tmp_path / "written", decode_times=False)
    whole = jg.load(url, device="cpu")
    assert list(whole) == ["latitude", "longitude", "t2m", "time"]
    for name in whole:
        same(whole[name], read[name].values)
    dated = xr.open_zarr(tmp_path / "written")
    for select, labels in SELECTED.items():
        found = jg.load(url, device="cpu", keys=["t2m"], select=select)
        same(found["t2m"], dated["t2m"].sel(labels).values)
    raw = jg.load(f"{url}/t2m", device="cpu", select="5:, ::-1", raw=True)
    same(raw, zarr.open_array(tmp_path / "written" / "t2m")[5:][:, ::-1])
    half = jg.load(f"{url}/t2m", device="cpu", dtype="float16")
    same(half, read["t2m"].values.astype(np.float16))


def test_bfloat16_and_dates_are_said(tmp_path: Path) -> None:
    numbers = zarr.create_array(tmp_path / "b.zarr", shape=(6,), chunks=(4,), dtype="uint16")
    numbers[:] = torch.arange(6).bfloat16().view(torch.uint16).numpy()
    path = tmp_path / "b.zarr" / "zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_type": "bfloat16", "fill_value": 0.0}))
    value, receipt = load_named(str(tmp_path / "b.zarr"), device="cpu", select="::-1")
    assert torch.equal(value, torch.arange(5, -1, -1).bfloat16())
    assert str(receipt).startswith("tensor 6 bfloat16 on cpu, 12 B (")
    assert torch.equal(jg.load(str(tmp_path / "b.zarr"), device="cpu", dtype="fp32"), torch.arange(6.0))
    dates = np.arange("2020-01", "2020-03", dtype="M8[D]").astype("M8[ns]")
    zarr.create_array(tmp_path / "d.zarr", shape=dates.shape, chunks=(9,), dtype="M8[ns]")[:] = dates
    value, receipt = load_named(str(tmp_path / "d.zarr"), device="cpu", dtype="float16")
    same(value, dates)
    assert str(receipt).endswith("; d.zarr counts ns since 1970-01-01")
    data = xr.Dataset(
        {"x": ("time", np.arange(3.0))}, {"time": np.array(["2020-01-01", "2020-01-02", "2020-01-05"], "M8[ns]")}
    )
    data.to_zarr(tmp_path / "x.zarr", consolidated=False)
    value, receipt = load_named(str(tmp_path / "x.zarr"), device="cpu")
    assert value["time"].tolist() == [0, 1, 4]
    assert "; time counts days since 2020-01-01" in str(receipt)
    assert "days since 2020-01-01" in str(jg.plan(str(tmp_path / "x.zarr")))


@st.composite
def reads(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    shape = tuple(draw(st.lists(st.integers(1, 12), min_size=1, max_size=3)))
    chunks = tuple(draw(st.integers(1, size)) for size in shape)
    options: dict[str, Any] = {"shape": shape, "chunks": chunks, "dtype": draw(st.sampled_from(["f4", "i2", "c8"]))}
    if draw(st.booleans()):
        options["shards"] = tuple(size * draw(st.integers(1, 3)) for size in chunks)
    ends = st.one_of(st.just(""), st.integers(-14, 14).map(str))
    step = st.sampled_from(["", "1", "2", "5", "-1", "-3"])
    items = [
        draw(
            st.one_of(
                st.integers(-size, size - 1).map(str), st.builds(lambda a, b, c: f"{a}:{b}:{c}", ends, ends, step)
            )
        )
        for size in shape
    ]
    return options, ", ".join(items)


@settings(max_examples=60, deadline=None)
@given(read=reads(), ring=st.sampled_from([64, 300, 2000, 1 << 20]), dtype=st.sampled_from([None, "float64"]))
def test_any_selection_in_slabs_of_any_size(
    tmp_path_factory: pytest.TempPathFactory, read: tuple[dict[str, Any], str], ring: int, dtype: str | None
) -> None:
    options, select = read
    folder = tmp_path_factory.mktemp("any") / "a"
    values = ramp(options["shape"], options["dtype"])
    zarr.create_array(folder, **options)[...] = values
    expected = values[eval(f"np.s_[{select}]", {"np": np})]

    async def run() -> Results:
        plan = await plan_arrays(await open_zarr(str(folder)), (), select)
        layout = lay_out(plan, dtype, on_device=True, ring_bytes=ring)
        results = Results(plan, layout, HostCopies(), "cpu")
        await read_results(results, progress := Progress(plan.size_bytes))
        assert progress.done_bytes == plan.size_bytes
        check_cuts(plan.arrays["a"], layout.slab_bytes)
        return results

    (found,) = LOOP.run(run()).storages.values()
    wanted = expected.astype("f8") if dtype and options["dtype"] == "f4" else expected
    assert found.numpy().tobytes() == np.ascontiguousarray(wanted).tobytes()


def check_cuts(plan: Any, most_bytes: int) -> None:
    """Each entry of the result lies in one slab, each slab begins where it says and is no larger than it has to be."""
    seen = np.zeros(plan.shape, int)
    flat = np.arange(seen.size).reshape(plan.shape)
    cuts = list(slabs.cut(plan, most_bytes))
    largest, are_stretches = slabs.largest(plan, most_bytes)
    assert (len(cuts), largest) == (slabs.count(plan, most_bytes), max((one.size_bytes for one in cuts), default=0))
    for slab in cuts:
        seen[slab.place] += 1
        part = flat[slab.place]
        assert part.shape == slab.plan.shape
        assert slab.size_bytes <= max(most_bytes, plan.array.chunk_bytes)
        first = int(part.flat[0]) * plan.numpy_dtype.itemsize
        is_stretch = part.size == 1 or bool((np.diff(part.reshape(-1)) == 1).all())
        assert slab.start_bytes == (first if is_stretch else None)
        assert is_stretch or not are_stretches
    assert (seen == 1).all()
    # No chunk is decoded twice.
    parts = [part.place for slab in cuts for read in slab.plan.objects for part in read.parts]
    assert len(parts) == len(set(parts)) == plan.chunk_count


@pytest.fixture
def disk(local_store: Store) -> Path:
    assert local_store.folder is not None
    folder = local_store.folder
    group = zarr.open_group(folder / "g.zarr", mode="w", zarr_format=3)
    group.create_array("x", shape=(6, 4), chunks=(2, 3), dtype="f4")[...] = ramp((6, 4), "f4")
    group.create_array("names", shape=(3,), dtype="U4")
    zarr.create_array(folder / "huge.zarr", shape=(1 << 24, 1 << 24), chunks=(1 << 14, 1 << 14), dtype="f8")
    zarr.create_array(folder / "x.zarr", shape=(6, 4), chunks=(2, 3), dtype="f4")[...] = ramp((6, 4), "f4")
    (folder / "empty").mkdir()
    (folder / "net.pt").write_bytes(torch_bytes({"w": torch.ones(3)}))
    (folder / "notes.txt").write_bytes(b"hello")
    return folder


REFUSED: list[tuple[str, dict[str, Any], type[GpuExtError], str]] = [
    ("g.zarr", {}, TensorFormatError, "names cannot be loaded: .*fixed_length_utf32"),
    ("g.zarr", {"keys": ["y"]}, BadRequestError, "matches y"),
    ("g.zarr/names", {}, TensorFormatError, "fixed_length_utf32"),
    ("g.zarr/y", {}, NotFoundError, "does not exist"),
    ("x.zarr", {"select": "0:2, :, :"}, BadRequestError, "2 axes, the selection has 3"),
    ("x.zarr", {"select": "9"}, BadRequestError, "there is no 9"),
    ("x.zarr", {"select": "a:b"}, BadRequestError, "no range of indices"),
    ("x.zarr", {"select": "time=2020"}, BadRequestError, "no dimension 'time'"),
    ("x.zarr", {"dtype": "int8"}, BadRequestError, "no floating point type"),
    ("x.zarr", {"device": "gpu"}, BadRequestError, "no device"),
    ("x.zarr", {"cache": True}, BadRequestError, "chunks are not kept"),
    ("huge.zarr", {}, TooLargeError, "chunks would be read"),
    ("huge.zarr", {"select": "0:1000000, 0:1000000"}, TooLargeError, "of memory are free"),
    ("net.pt", {"select": "0:2"}, BadRequestError, "--select is for Zarr arrays"),
    ("net.pt", {"raw": True}, BadRequestError, "--raw is for Zarr arrays"),
    ("notes.txt", {}, UnsupportedFormatError, "no tensor file"),
    ("empty", {}, BadRequestError, "is a folder"),
    ("none.zarr", {}, NotFoundError, "none.zarr does not exist"),
    ("none", {}, NotFoundError, "none does not exist"),
]


@pytest.mark.parametrize(("key", "options", "kind", "said"), REFUSED)
def test_refused_before_any_chunk_is_read(
    disk: Path, key: str, options: dict[str, Any], kind: type[GpuExtError], said: str
) -> None:
    for chunk in disk.rglob("c/*"):
        if chunk.is_file():
            chunk.write_bytes(b"no chunk")
    with pytest.raises(kind, match=said) as caught:
        jg.load(f"disk://{key}", **{"device": "cpu"} | options)
    assert caught.value.hint


def test_names_and_kinds(disk: Path) -> None:
    assert isinstance(jg.load("disk://x.zarr", device="cpu"), torch.Tensor)
    assert isinstance(jg.load("disk://g.zarr/x/", device="cpu"), torch.Tensor)
    assert list(jg.load("disk://g.zarr", device="cpu", keys=["!names"])) == ["x"]
    assert list(jg.load("disk://x.zarr", device="cpu", keys=["x*"])) == ["x.zarr"]
    # Folders whose names say nothing, and paths of this machine.
    (disk / "x.zarr").rename(disk / "plain")
    same(jg.load("disk://plain", device="cpu"), ramp((6, 4), "f4"))
    same(jg.load(str(disk / "plain"), device="cpu", select="-1"), ramp((6, 4), "f4")[-1])


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_requests_of_opening(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    assert azure_store.container is not None
    era5(tmp_path / "written")
    for prefix in ("era5.zarr", "era5"):
        upload(tmp_path / "written", azure_store, prefix)
    azure_store.put("stub.zarr", b"")
    upload(tmp_path / "written", azure_store, "stub.zarr")
    azure_store.put("net.pt", torch_bytes({"w": torch.ones(3)}))
    with fault_proxy(azurite.port) as wire:
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        # The name says what it is; else two more: the object that is not there, and a folder of shards that is none.
        for key, most in (("era5.zarr", 1), ("era5", 3), ("stub.zarr", 1), ("era5.zarr/t2m", 1), ("net.pt", 1)):
            wire.log.clear()
            found = jg.info(f"weights://{key}")
            assert len(wire.log) == most, key
            assert found.to_json()["kind"] == ("torch" if key == "net.pt" else "zarr")
        wire.log.clear()
        cost = jg.plan("weights://era5.zarr", keys=["t2m"], select="0:10, 0:5, 0:12")
        assert len(wire.log) == 1 + 1
        stored = (tmp_path / "written" / "t2m" / "c" / "0" / "0" / "0").stat().st_size
        assert (cost.to_json()["bytes_read"], cost.to_json()["sampled_count"]) == (stored, 1)
        assert "≈" not in str(cost)


def test_info(disk: Path) -> None:
    found = jg.info("disk://g.zarr")
    shown = str(found)
    assert "zarr 3 group, 2 arrays" in shown
    assert "not read: " in shown
    assert "metadata only" in shown
    names, x = found.to_json()["tensors"]
    assert (x["name"], x["dtype"], x["shape"], x["chunks"], x["codecs"]) == ("x", "float32", [6, 4], [2, 3], ["zstd"])
    assert names["unreadable"]
    era5(disk / "e.zarr")
    found = jg.info("disk://e.zarr")
    assert "K, 2 metre temperature" in str(found)
    assert found.to_json()["metadata"] == {"title": "a sample", "levels": "[1, 2]"}


def test_plan_is_what_a_load_does(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((400, 100, 50), np.float32)
    zarr.create_array(disk / "p.zarr", shape=values.shape, chunks=(4, 100, 50), dtype="f4")[...] = values
    cost = jg.plan("disk://p.zarr", select="10:390").to_json()
    node = LOOP.run(open_either("disk://p.zarr"))
    assert isinstance(node, ZarrNode)
    _, receipt = load_named("disk://p.zarr", device="cpu", select="10:390")
    metadata = node.objects.bytes_read
    assert cost["object_count"] == cost["requests"] == 96
    # More than are asked one by one: one listing tells all sizes.
    assert (cost["sampled_count"], cost["exact"]) == (96, True)
    assert cost["metadata_bytes"] == metadata
    assert cost["bytes_read"] == receipt.bytes_read - metadata
    assert sum(cost["requests_by_class"].values()) == receipt.requests
    assert cost["bytes_used"] == cost["bytes_on_device"] == receipt.size_bytes == 380 * 100 * 50 * 4
    monkeypatch.setattr(forecast, "_MOST_LISTED", 50)
    about = jg.plan("disk://p.zarr", select="10:390").to_json()
    assert (about["requests"], about["sampled_count"], about["exact"]) == (96, 16, False)
    assert about["missing_count"] is None
    assert math.isclose(about["bytes_read"], cost["bytes_read"], rel_tol=0.02)
    assert "reads ≈ " in str(jg.plan("disk://p.zarr"))


def test_chunks_larger_than_the_room_are_said(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")
    values = np.zeros((6 << 20,), "f4")
    zarr.create_array(disk / "p.zarr", shape=values.shape, chunks=values.shape, dtype="f4")[...] = values
    value, receipt = load_named("disk://p.zarr", device="cpu", select="::-1")
    assert not value.any()
    assert "of host memory, as its chunks are large" in str(receipt)
    assert "large" not in str(load_named("disk://x.zarr", device="cpu")[1])


def test_few_bytes_are_in_flight(azure_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")
    values = np.random.default_rng(0).integers(0, 99, (20, 1 << 19), np.int32)
    zarr.create_array(tmp_path / "a", shape=values.shape, chunks=(1, 1 << 19), dtype="i4", compressors=None)[:] = values
    upload(tmp_path / "a", azure_store, "a.zarr")
    inner, now, most = Objects.whole, 0, 0

    async def whole(store: Objects, below: str, most_bytes: int) -> memoryview | None:
        nonlocal now, most
        now += below.startswith("c/")
        most = max(most, now)
        try:
            return await inner(store, below, most_bytes)
        finally:
            now -= below.startswith("c/")

    monkeypatch.setattr(Objects, "whole", whole)
    same(jg.load("weights://a.zarr", device="cpu"), values)
    # Chunks of 2 MiB in 16 MiB; not all twenty.
    assert 2 <= most <= 8
