"""A sample is a store or a file that other libraries read, with the part of the values that was asked for."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import safetensors.numpy
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import (
    BadRequestError,
    DeniedError,
    ExistsError,
    GpuExtError,
    NotFoundError,
    TensorFormatError,
    TooLargeError,
    UnsupportedFormatError,
)
from jupyter_gpu_ext.storage import loop
from jupyter_gpu_ext.tensors import sample as sampling
from jupyter_gpu_ext.tensors.sample_files import described
from jupyter_gpu_ext.tensors.sample_part import choose_part, regions
from jupyter_gpu_ext.tensors.selection import count_of
from tests.tensors.hdf5_files import climate, written
from tests.tensors.zarr_stores import CORPUS, load, ramp, upload

if TYPE_CHECKING:
    from tests.conftest import Store

_FEW = [
    "v2 two filters", "v2 packbits", "v2 >M8[D]", "v2 F order, big endian, uncompressed", "v2 slash keys",
    "v2 missing chunks", "v2 NaN fill", "v2 0-d", "v3 datetime64[ns]", "v3 big endian", "v3 keys of v2",
    "v3 transpose of 3-d", "v3 numcodecs filter", "v3 0-size", "v3 sharded 3-d", "v3 sharded, index at the start",
    "v3 sharded, raw transposed chunks",
]  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[] if one in _FEW else [pytest.mark.prove]) for one in CORPUS]
)
def test_an_array_of_each_kind(tmp_path: Path, name: str) -> None:
    expected = CORPUS[name](tmp_path / "from.zarr")
    for select, step in (("", 1), (", ".join("1:" for _ in expected.shape), 1), ("::-2" if expected.ndim else "", -2)):
        if select and not expected.size:
            continue
        jg.sample(str(tmp_path / "from.zarr"), tmp_path / "to.zarr", select=select, overwrite=True)
        found = zarr.open_array(tmp_path / "to.zarr", mode="r")
        part = {"": tuple(map(slice, found.shape)), "::-2": np.s_[::-2]}.get(select, np.s_[1:,] * expected.ndim)
        assert found.dtype == expected.dtype
        assert np.asarray(found[...]).tobytes() == np.asarray(expected[part]).tobytes(), (select, step)
        assert about(tmp_path / "to.zarr") == about(tmp_path / "from.zarr")


def about(path: Path) -> dict[str, Any]:
    """Return all that an array's metadata says but its shape and the shape of its pieces."""
    document = next(path / name for name in ("zarr.json", ".zarray") if (path / name).exists())
    found = json.loads(document.read_text())
    for one in found.get("codecs", []):
        one.get("configuration", {}).pop("chunk_shape", None)
    return {key: one for key, one in found.items() if key not in ("shape", "chunks", "chunk_grid")}


def test_zeros_of_both_signs_and_every_nan_keep_their_bits(tmp_path: Path) -> None:
    bits = np.array([0x80000000, 0, 0x7FC00000, 0x7FC00001, 0xFF800001, 0x3F800000], "u4")
    for at, options in enumerate(({}, {"shards": (6,)}, {"zarr_format": 2}, {"fill_value": np.nan})):
        made = zarr.create_array(tmp_path / f"{at}", shape=(6,), chunks=(1,), dtype="f4", **options)
        made[...] = bits.view("f4")
        jg.sample(str(tmp_path / f"{at}"), tmp_path / f"to{at}", select=":")
        found = zarr.open_array(tmp_path / f"to{at}", mode="r")[...]
        kept = zarr.open_array(tmp_path / f"{at}", mode="r")[...]
        assert found.view("u4").tolist() == kept.view("u4").tolist()


def weather(path: Path, version: int, *, consolidated: bool, **encoding: Any) -> xr.Dataset:
    """Write what a person would sample: packed values, times, two more coordinates, a variable of text."""
    time = np.datetime64("2020-01-01", "ns") + np.arange(96) * np.timedelta64(6, "h")
    values = np.linspace(250, 310, 96 * 21 * 40, dtype="f4").reshape(96, 21, 40)
    values[3, 4, 5] = np.nan
    made = xr.Dataset(
        {
            "t2m": (("time", "latitude", "longitude"), values, {"units": "K", "long_name": "2 metre temperature"}),
            "u10": (("time", "latitude", "longitude"), values + 1),
            "crs": ((), np.int32(4326)),
        },
        {
            "time": time,
            "latitude": np.linspace(50, -50, 21),
            "longitude": np.arange(0, 360, 9.0),
            "height": (("latitude", "longitude"), np.arange(840.0).reshape(21, 40), {"units": "m"}),
        },
        {"title": "weather", "list": [1, 2]},
    )
    made["t2m"].attrs["grid_mapping"] = "crs"
    chunks = {"chunks": (24, 21, 20)}
    packed = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.to_zarr(
            path, zarr_format=version, consolidated=consolidated,
            encoding={"t2m": chunks | packed | encoding, "u10": chunks, "time": {"units": "hours since 1900-01-01"}},
        )  # fmt: skip
        return xr.open_zarr(path, consolidated=consolidated)


def opened(path: Path, **options: Any) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xr.open_zarr(path, **options)


@pytest.mark.parametrize(
    ("version", "consolidated", "encoding"),
    [(2, True, {}), (2, False, {}), (3, True, {"shards": (48, 21, 40)}), (3, False, {})],
    ids=["v2", "v2, many documents", "v3 with shards", "v3, many documents"],
)
def test_a_group_by_label(
    store: Store, tmp_path: Path, version: int, consolidated: bool, encoding: dict[str, Any]
) -> None:
    weather(tmp_path / "from.zarr", version, consolidated=consolidated, **encoding)
    upload(tmp_path / "from.zarr", store, "era5.zarr")
    said = jg.sample(
        f"{store.name}://era5.zarr",
        tmp_path / "to.zarr",
        keys=["t2m"],
        select="time=2020-01-03:2020-01-04, latitude=20:-10",
    )
    found = opened(tmp_path / "to.zarr")
    whole = opened(tmp_path / "from.zarr", decode_coords=True)
    part = whole[["t2m", "crs"]].sel(time=slice("2020-01-03", "2020-01-04"), latitude=slice(20, -10))
    xr.testing.assert_identical(found.load(), part.load())
    assert {name: one.dtype for name, one in found.variables.items()} == {
        name: one.dtype for name, one in part.variables.items()
    }
    raw = zarr.open_group(tmp_path / "to.zarr", mode="r")
    assert raw.metadata.zarr_format == version
    assert (raw.metadata.consolidated_metadata is not None) == consolidated
    before = zarr.open_group(tmp_path / "from.zarr", mode="r")["t2m"]
    assert raw["t2m"].dtype == before.dtype
    assert raw["t2m"].compressors == before.compressors
    assert raw["t2m"].attrs.asdict() == before.attrs.asdict()
    assert str(said).startswith(f"{tmp_path / 'to.zarr'}: 6 arrays, ")
    assert said.size_bytes == sum(raw[name].nbytes for name in raw.array_keys())
    assert jg.info(str(tmp_path / "to.zarr")).to_json()["consolidated"] == consolidated


def test_a_group_by_index_and_its_coordinates_follow(tmp_path: Path) -> None:
    whole = weather(tmp_path / "from.zarr", 3, consolidated=True)
    jg.sample(str(tmp_path / "from.zarr"), tmp_path / "to", keys="t2m", select="4, ::-2, 30:")
    part = whole[["t2m", "crs"]].isel(time=[4], latitude=slice(None, None, -2), longitude=slice(30, None))
    xr.testing.assert_identical(opened(tmp_path / "to").load(), part.load())
    with pytest.raises(BadRequestError, match=r"crs has 0 axes, the selection has 1"):
        jg.sample(str(tmp_path / "from.zarr"), tmp_path / "no", keys=["u10", "crs"], select="0:2")
    jg.sample(str(tmp_path / "from.zarr"), tmp_path / "two", keys=["u10", "t2m"], select="0:2")
    xr.testing.assert_identical(opened(tmp_path / "two").load(), whole.isel(time=slice(2)).load())


def test_without_a_selection_the_first_chunk_comes_and_is_said(tmp_path: Path) -> None:
    whole = weather(tmp_path / "from.zarr", 2, consolidated=True)
    said = jg.sample(str(tmp_path / "from.zarr"), tmp_path / "to")
    part = whole.isel(time=slice(24), longitude=slice(20))
    xr.testing.assert_identical(opened(tmp_path / "to").load(), part.load())
    (note,) = said.notes
    assert note == "the first chunk, as nothing was selected: time 0:24 of 96, longitude 0:20 of 40"
    small = jg.sample(str(tmp_path / "from.zarr"), tmp_path / "small", max_bytes=20_000)
    assert 2_000 < small.size_bytes <= 20_000
    assert opened(tmp_path / "small").sizes["time"] < 24


def test_groups_keep_attributes_and_what_is_not_read_is_said(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "from", mode="w", attributes={"a": 1})
    root.create_array("deep/x", shape=(4,), chunks=(2,), dtype="i4", attributes={"b": 2})[...] = ramp((4,), "i4")
    root["deep"].attrs["c"] = 3
    root.create_group("empty", attributes={"d": 4})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root.create_array("words", shape=(2,), dtype=str)
    said = jg.sample(str(tmp_path / "from"), tmp_path / "to", select=":")
    found = zarr.open_group(tmp_path / "to", mode="r")
    assert found.attrs.asdict() == {"a": 1}
    assert found["deep"].attrs.asdict() == {"c": 3}
    assert found["deep/x"].attrs.asdict() == {"b": 2}
    assert found["empty"].attrs.asdict() == {"d": 4}
    assert said.notes == ("left out: words (its elements are of the type 'string')",)
    jg.sample(str(tmp_path / "from"), tmp_path / "one", keys="deep/*")
    assert sorted(zarr.open_group(tmp_path / "one", mode="r").group_keys()) == ["deep"]
    with pytest.raises(TensorFormatError, match="words cannot be loaded"):
        jg.sample(str(tmp_path / "from"), tmp_path / "no", keys="words")


def test_bfloat16_keeps_its_bits(tmp_path: Path) -> None:
    bits = np.arange(40, dtype="u2").reshape(8, 5) * 1001
    zarr.create_array(tmp_path / "from", shape=(8, 5), chunks=(3, 5), dtype="u2")[...] = bits
    path = tmp_path / "from" / "zarr.json"
    path.write_text(path.read_text().replace('"uint16"', '"bfloat16"'))
    jg.sample(str(tmp_path / "from"), tmp_path / "to", select="2:7")
    assert json.loads((tmp_path / "to" / "zarr.json").read_text())["data_type"] == "bfloat16"
    assert load(str(tmp_path / "to"))["to"].tolist() == bits[2:7].tolist()


def test_an_array_larger_than_a_region_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_REGION_BYTES", 500)
    for at, options in enumerate(({}, {"shards": (20, 12)})):
        values = ramp((50, 30), "i4")
        zarr.create_array(tmp_path / f"{at}", shape=(50, 30), chunks=(5, 6), dtype="i4", **options)[...] = values
        jg.sample(str(tmp_path / f"{at}"), tmp_path / f"to{at}", select="3:, 29:1:-3")
        assert np.array_equal(zarr.open_array(tmp_path / f"to{at}", mode="r")[...], values[3:, 29:1:-3])


def test_regions_are_whole_cells_that_cover_all() -> None:
    for shape, cell, most in [
        ((7, 9), (3, 4), 40),
        ((7, 9), (3, 4), 1),
        ((5,), (5,), 1),
        ((), (), 1),
        ((0, 3), (1, 1), 9),
    ]:
        covered = np.zeros(shape, int)
        for one in regions(shape, cell, 1, most):
            covered[one] += 1
            assert all(part.start % size == 0 for part, size in zip(one, cell, strict=True))
        assert (covered == 1).all()


def test_hdf5_becomes_zarr(store: Store, tmp_path: Path) -> None:
    raw = written(climate)
    store.put("climate.h5", raw)
    said = jg.sample(
        f"{store.name}://climate.h5", tmp_path / "to.zarr", select="time=1900-01-01T02:1900-01-01T09, x=0.5:"
    )
    found = zarr.open_group(tmp_path / "to.zarr", mode="r")
    with h5py.File(io.BytesIO(raw)) as file:
        # The first of its two names, in their order.
        part = {"same": np.s_[2:10, 15:], "time": np.s_[2:10], "x": np.s_[15:]}
        for name in ("same", "time", "x", "flag", "complex", "growing", "deep/deeper/big", "deep/deeper/scalar"):
            expected = file[name][part.get(name, ())]
            assert found[name].dtype == expected.dtype.newbyteorder("=")
            assert np.array_equal(found[name][...], expected)
    assert found["same"].metadata.dimension_names == ("time", "x")
    assert found["same"].attrs["units"] == "K"
    assert found.attrs["title"] == "a sample"
    assert found["deep"].attrs.asdict() == {"k": 1}
    assert "text (it holds text)" in said.notes[-1]


def netcdf(file: h5py.File) -> None:
    """What xarray and netCDF write: fill values, times, and a dimension that is no variable."""
    for name, size in (("time", 12), ("x", 6)):
        file[name] = np.arange(size, dtype="f8")
        file[name].make_scale(name)
    file["time"].attrs["units"] = "days since 2020-01-01"
    file.create_dataset("member", shape=(3,), dtype="f4").make_scale(
        "This is a netCDF dimension but not a netCDF variable.         3"
    )
    values = np.arange(216, dtype="f4").reshape(12, 3, 6)
    values[1, 2, 3] = np.nan
    made = file.create_dataset("tas", data=values, chunks=(5, 3, 6), compression="gzip")
    made.attrs["_FillValue"] = np.array([np.nan], "f4")
    for axis, name in enumerate(("time", "member", "x")):
        made.dims[axis].attach_scale(file[name])
    counts = file.create_dataset("n", data=np.arange(12, dtype="i4"))
    counts.attrs["_FillValue"] = np.array([3], "i4")
    counts.dims[0].attach_scale(file["time"])


def test_netcdf_is_what_xarray_then_opens(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(written(netcdf))
    jg.sample(str(tmp_path / "a.nc"), tmp_path / "to", keys=["tas", "n"], select="time=2020-01-02:2020-01-08")
    found = opened(tmp_path / "to").load()
    assert sorted(found.variables) == ["n", "tas", "time", "x"]
    assert str(found.time.values[0])[:10] == "2020-01-02"
    expected = np.arange(216, dtype="f4").reshape(12, 3, 6)[1:8]
    expected[0, 2, 3] = np.nan
    assert np.array_equal(found.tas.values, expected, equal_nan=True)
    assert np.isnan(found.n.values).tolist() == [one == 3 for one in range(1, 8)]
    with pytest.raises(BadRequestError, match="'member' has no coordinates"):
        jg.sample(str(tmp_path / "a.nc"), tmp_path / "no", keys="tas", select="member=1")
    said = jg.sample(str(tmp_path / "a.nc"), tmp_path / "first", keys="tas")
    assert said.notes == ("the first chunk, as nothing was selected: time 0:5 of 12",)


def test_numpy_files_become_zarr(store: Store, tmp_path: Path) -> None:
    one, two = ramp((20, 30), ">f4"), np.asfortranarray(ramp((4, 5, 6), "i8"))
    target = io.BytesIO()
    np.save(target, one)
    store.put("one.npy", target.getvalue())
    jg.sample(f"{store.name}://one.npy", tmp_path / "one", select="5:, ::-3")
    assert np.array_equal(zarr.open_array(tmp_path / "one", mode="r")[...], one[5:, ::-3])
    for write in (np.savez, np.savez_compressed):
        write(target := io.BytesIO(), two=two, mask=one > 0)
        store.put("some.npz", target.getvalue())
        jg.sample(f"{store.name}://some.npz", tmp_path / "some", select="1:3", overwrite=True)
        found = zarr.open_group(tmp_path / "some", mode="r")
        assert np.array_equal(found["two"][...], two[1:3])
        assert np.array_equal(found["mask"][...], (one > 0)[1:3])
    jg.sample(f"{store.name}://some.npz", tmp_path / "few", keys="mask")
    assert list(zarr.open_group(tmp_path / "few", mode="r").array_keys()) == ["mask"]
    with pytest.raises(BadRequestError, match="has no dimension 'x'"):
        jg.sample(f"{store.name}://some.npz", tmp_path / "no", select="x=1")


def test_safetensors_stays_valid(store: Store, tmp_path: Path) -> None:
    tensors = {f"layer{at}.w": ramp((100, at + 1), "f4") for at in range(9)} | {"empty": np.zeros((0, 3), "i8")}
    store.put("m.safetensors", safetensors.numpy.save(tensors, {"format": "pt", "run": "7"}))
    url = f"{store.name}://m.safetensors"
    said = jg.sample(url, tmp_path / "keys.safetensors", keys=["layer[27].w", "empty"])
    found = safetensors.numpy.load_file(tmp_path / "keys.safetensors")
    assert {name: one.tolist() for name, one in found.items()} == {
        name: tensors[name].tolist() for name in ("layer2.w", "layer7.w", "empty")
    }
    assert said.notes == ()
    said = jg.sample(url, tmp_path / "few.safetensors", max_bytes=5000)
    few = safetensors.numpy.load_file(tmp_path / "few.safetensors")
    assert 0 < sum(one.nbytes for one in few.values()) <= 5000
    assert all(np.array_equal(one, tensors[name]) for name, one in few.items())
    assert said.notes == (f"the first that fit; {10 - len(few)} tensors left out",)
    with safetensors.safe_open(tmp_path / "few.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt", "run": "7"}
    jg.sample(url, tmp_path / "all.safetensors")
    assert len(safetensors.numpy.load_file(tmp_path / "all.safetensors")) == 10


def test_of_another_file_the_head_comes_and_is_said_to_be_one(store: Store, tmp_path: Path) -> None:
    text = b"step,loss\n" + b"1,0.5\n" * 400_000
    store.put("log.csv", text)
    said = jg.sample(f"{store.name}://log.csv", tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_bytes() == text[:1_000_000]
    assert "1.0 MB of 2.4 MB; read " in str(said)
    assert "head" in said.notes[0]
    assert jg.sample(f"{store.name}://log.csv", tmp_path / "b", max_bytes=7).size_bytes == 7
    store.put("small.txt", b"")
    assert jg.sample(f"{store.name}://small.txt", tmp_path / "c").notes[0] == "all of the file"
    assert (tmp_path / "c").read_bytes() == b""
    store.put("cut.safetensors", safetensors.numpy.save({"a": np.zeros(99)})[:300])
    said = jg.sample(f"{store.name}://cut.safetensors", tmp_path / "cut")
    assert said.kind == "head"
    assert "is cut off or damaged" in said.notes[1]
    torch_file = io.BytesIO()
    __import__("torch").save({"a": 1}, torch_file)
    store.put("x.pt", torch_file.getvalue())
    with pytest.raises(BadRequestError, match="--keys is for"):
        jg.sample(f"{store.name}://x.pt", tmp_path / "no", keys="a")
    assert jg.sample(f"{store.name}://x.pt", tmp_path / "d").kind == "head"


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 90)), min_size=1, max_size=4),
    st.sets(st.sampled_from(["abc", "ab", "a", "bc", "d", "ca"]), min_size=1),
    st.integers(40, 5000),
)
def test_what_comes_by_itself_has_room_and_the_arrays_fit_together(
    sizes: list[tuple[int, int]], names: set[str], most: int
) -> None:
    about = dict(zip("abcd", (sizes * 4)[:4], strict=True))
    arrays = {
        name: described(
            name, "float32", [about[one][0] for one in name], chunks=[about[one][1] for one in name],
            dimensions=tuple(name),
        )
        for name in sorted(names)
    }  # fmt: skip
    source = SimpleNamespace(shown="x", arrays=arrays)
    part = loop.LOOP.run(choose_part(source, (), "", most))
    lengths: dict[str, set[int]] = {}
    for name, axes in part.axes.items():
        for dimension, axis in zip(name, axes, strict=True):
            lengths.setdefault(dimension, set()).add(axis.count)
            assert axis.count <= about[dimension][0]
            assert axis.count or not about[dimension][0]
    assert all(len(one) == 1 for one in lengths.values())
    assert sum(4 * count_of(axes) for axes in part.axes.values()) <= most


@pytest.fixture(scope="module")
def store_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("once") / "w.zarr"
    weather(path, 3, consolidated=True)
    return path


@pytest.fixture
def plain(tmp_path: Path, store_once: Path) -> Path:
    shutil.copytree(store_once, tmp_path / "w.zarr")
    (tmp_path / "words.txt").write_text("some words")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("x")
    (tmp_path / "file").write_text("kept")
    return tmp_path


@pytest.mark.parametrize(
    ("url", "local", "options", "error", "said"),
    [
        ("nowhere://x", "to", {}, NotFoundError, "nowhere"),
        ("w.zarr/none", "to", {}, NotFoundError, "does not exist"),
        ("folder", "to", {}, BadRequestError, "is a folder"),
        ("w.zarr", "file", {}, ExistsError, r"exists\. — Choose another name, or replace it: --overwrite"),
        ("w.zarr", "folder", {"overwrite": True}, ExistsError, "is a folder and no Zarr store; it is not replaced"),
        ("w.zarr", "no/to", {}, NotFoundError, "The folder .* does not exist"),
        ("w.zarr", "a" * 300, {}, BadRequestError, "cannot be written"),
        ("w.zarr/t2m", "w.zarr", {"overwrite": True}, BadRequestError, "would be replaced by a sample of itself"),
        ("w.zarr", "box://to", {}, BadRequestError, "not a path of this machine"),
        ("w.zarr", "", {}, BadRequestError, "names no file"),
        ("w.zarr", "to", {"select": "time=2020-06"}, BadRequestError, "holds none of its labels"),
        ("w.zarr", "to", {"select": "level=3"}, BadRequestError, "has no dimension 'level'"),
        ("w.zarr/t2m", "to", {"select": "100"}, BadRequestError, "there is no 100"),
        ("w.zarr/t2m", "to", {"select": "96:"}, BadRequestError, "holds nothing of t2m along axis 0"),
        ("w.zarr", "to", {"select": "time=?"}, BadRequestError, "is not a date"),
        ("w.zarr", "to", {"keys": "x*"}, BadRequestError, r"matches x\*"),
        ("w.zarr", "to", {"select": ":", "keys": "t2m", "max_bytes": 1000}, TooLargeError, "--max-bytes 1"),
        ("w.zarr", "to", {"max_bytes": 0}, BadRequestError, "max_bytes is a number"),
        ("words.txt", "to", {"select": "0"}, UnsupportedFormatError, "no tensor file"),
        ("w.zarr", "to", {"max_bytes": 10}, TooLargeError, "of values, 10 B at most"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_error_and_leaves_nothing(
    plain: Path, url: str, local: str, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    before = sorted(plain.rglob("*"))
    to = local if "://" in local or not local else str(plain / local)
    with pytest.raises(error, match=said) as caught:
        jg.sample(url if "://" in url else str(plain / url), to, **options)
    assert isinstance(caught.value, GpuExtError)
    assert sorted(plain.rglob("*")) == before
    assert (plain / "file").read_text() == "kept"


def test_a_folder_that_may_not_be_written_to(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shut = plain / "shut"
    shut.mkdir(mode=0o500)
    if os.access(shut, os.W_OK):
        # Root may write anywhere: the system's answer to anybody else.
        make = Path.mkdir

        def mkdir(path: Path, *given: Any, **options: Any) -> None:
            if path.parent == shut:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            make(path, *given, **options)

        monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(DeniedError, match="may not write"):
        jg.sample(str(plain / "w.zarr"), shut / "to")
    assert list(shut.iterdir()) == []


def test_a_secret_in_the_local_path_is_not_shown(plain: Path) -> None:
    with pytest.raises(BadRequestError) as caught:
        jg.sample(str(plain / "w.zarr"), "https://a.blob.core.windows.net/c/x?sig=abcdefghijklmnopqrstuvwx%3D")
    assert "abcdefgh" not in str(caught.value)


def test_a_damaged_chunk_leaves_nothing_and_the_old_store_stays(plain: Path) -> None:
    jg.sample(str(plain / "w.zarr"), plain / "to", keys="u10", select="0:1, 0:2, 0:2")
    for chunk in (plain / "w.zarr" / "t2m" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"no chunk")
    with pytest.raises(TensorFormatError, match="is damaged"):
        jg.sample(str(plain / "w.zarr"), plain / "to", keys="t2m", overwrite=True)
    assert list(opened(plain / "to").data_vars) == ["u10"]
    assert not list(plain.glob(".jgx*"))
    jg.sample(str(plain / "w.zarr"), plain / "to", keys="time", overwrite=True)
    assert sorted(opened(plain / "to").variables) == ["time"]


def test_a_path_that_leads_out_of_the_store_is_refused(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["x/../../out"] = np.arange(3)

    (tmp_path / "a.h5").write_bytes(written(fill))
    (tmp_path / "in").mkdir()
    with pytest.raises(TensorFormatError, match="names a node"):
        jg.sample(str(tmp_path / "a.h5"), tmp_path / "in" / "to", keys="x/../../out")
    assert list((tmp_path / "in").iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_TICK_SECONDS", 0.001)
    values = ramp((60, 50), "f4")
    zarr.create_array(tmp_path / "from", shape=values.shape, chunks=(4, 5), dtype="f4")[...] = values
    seen: list[int] = []

    def report(progress: Any) -> None:
        if progress.total_bytes and not seen:
            seen.append(progress.done_bytes)
            signal.raise_signal(signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        jg.sample(str(tmp_path / "from"), tmp_path / "to", select=":", report=report)
    assert seen
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from"]
