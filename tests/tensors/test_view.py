"""What an array viewer gets is what zarr-python, xarray, numpy, torch and safetensors read."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.torch
import torch
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError, ObjectChangedError, TooLargeError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors import dense, view_file, view_zarr
from jupyter_gpu_ext.tensors.models import ITEM_BYTES, Block, Stored, Tensor, TensorFile, Whole
from jupyter_gpu_ext.tensors.overview import MOST_BYTES, ValueTooLargeError
from jupyter_gpu_ext.tensors.selection import by_index, count_of, parse_selection, shape_of
from jupyter_gpu_ext.tensors.sent import held_dtype, sent_dtype, widened
from jupyter_gpu_ext.tensors.value import Value, open_value
from jupyter_gpu_ext.tensors.view import View, open_view
from jupyter_gpu_ext.tensors.view_cache import Views
from jupyter_gpu_ext.tensors.view_json import attributes_json, entity_json
from tests.tensors.files import torch_bytes
from tests.tensors.zarr_stores import CORPUS, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store


async def _values(value: Value) -> np.ndarray:
    pieces = [piece.tobytes() async for piece in value.pieces]
    data = b"".join(pieces)
    assert len(data) == value.size_bytes
    return np.frombuffer(data, value.dtype).reshape(value.shape)


def values(view: View, path: str, select: str = "", **options: Any) -> np.ndarray:
    async def run() -> np.ndarray:
        return await _values(await open_value(view, path, select=select, **options))

    return LOOP.run(run())


def opened(url: str) -> View:
    return LOOP.run(open_view(url))


def entity(view: View, path: str = "/", **options: Any) -> dict[str, Any]:
    return LOOP.run(entity_json(view, path, **options))


def selections(shape: tuple[int, ...], count: int, seed: int = 0) -> list[tuple[str, tuple[Any, ...]]]:
    """Return random selections as text and as numpy's."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        items: list[Any] = []
        for size in shape:
            start, stop = sorted((draw.randrange(size + 1), draw.randrange(size + 1)))
            step = draw.choice([1, 1, 1, 2, 3])
            back = slice(stop - 1 if stop else None, start - 1 if start else None, -step)
            one = draw.choice([slice(None), slice(start, stop, step), back if stop else slice(0, 0)])
            items.append(draw.randrange(-size, size) if size and draw.random() < 0.3 else one)
        found.append((", ".join(map(_text, items)), tuple(items)))
    return found


def _text(item: Any) -> str:
    if not isinstance(item, slice):
        return str(item)
    return ":".join("" if one is None else str(one) for one in (item.start, item.stop, item.step))


def same(found: np.ndarray, expected: Any) -> None:
    expected = np.asarray(expected)
    assert found.dtype == sent_dtype(expected.dtype.name)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected.astype(found.dtype))


@pytest.mark.parametrize("name", CORPUS)
def test_zarr_of_each_layout(tmp_path: Path, name: str) -> None:
    expected = CORPUS[name](tmp_path / "store.zarr")
    if expected.dtype.kind in "mM":
        return
    view = opened(str(tmp_path / "store.zarr"))
    same(values(view, "/store.zarr", raw=True), expected)
    for text, items in selections(expected.shape, 4):
        same(values(view, "/store.zarr", text, raw=True), expected[items])


def group(path: Path) -> xarray.Dataset:
    """Write what a climate store has: packed values, dates, a falling latitude, and one more group."""
    times = np.datetime64("2020-01-01", "ns") + np.arange(24) * np.timedelta64(6, "h")
    data = xarray.Dataset(
        {
            "t2m": (("time", "latitude", "longitude"), np.random.default_rng(0).random((24, 19, 36)).astype("f4") * 40),
            "mask": (("latitude", "longitude"), np.arange(19 * 36).reshape(19, 36) % 3 == 0),
        },
        {
            "time": times,
            "latitude": ("latitude", np.arange(90.0, -91, -10), {"units": "degrees_north"}),
            "longitude": ("longitude", np.arange(0, 360.0, 10), {"units": "degrees_east"}),
        },
        {"title": "a test", "bad": float("nan")},
    )
    data.t2m[0, :3] = np.nan
    data.t2m.attrs = {"units": "K", "long_name": "two metres"}
    packed = {"dtype": "i2", "scale_factor": 0.01, "add_offset": 20.0, "_FillValue": -32768, "chunks": (5, 10, 12)}
    data.to_zarr(path, encoding={"t2m": packed, "time": {"units": "hours since 2019-12-31"}}, zarr_format=2)
    xarray.Dataset({"x": ("n", np.arange(5))}).to_zarr(path, group="deep/er", mode="a", zarr_format=2)
    return xarray.open_zarr(path)


def test_a_climate_store_decoded_from_each_kind_of_storage(store: Store, tmp_path: Path) -> None:
    data = group(tmp_path / "made")
    upload(tmp_path / "made", store, "a/clima te.zarr")
    view = opened(f"{store.name}://a/clima te.zarr")
    root = entity(view)
    assert (root["kind"], root["name"], root["path"]) == ("group", "clima te.zarr", "/")
    assert [one["path"] for one in root["children"]] == ["/deep", "/latitude", "/longitude", "/mask", "/t2m", "/time"]
    assert attributes_json(view, "/")["bad"] == "nan"
    assert [one["path"] for one in entity(view, "/deep")["children"]] == ["/deep/er"]
    assert "/deep/er/x" in [one["path"] for one in entity(view, "/deep/er")["children"]]
    one = entity(view, "/t2m")
    assert (one["dtype"], one["value_dtype"], one["units"], one["long_name"]) == ("int16", "<f8", "K", "two metres")
    assert one["size_bytes"] == 24 * 19 * 36 * np.dtype(one["value_dtype"]).itemsize
    assert [(at["axis"], at["path"], at["kind"], at["descending"]) for at in one["coordinates"]] == [
        (0, "/time", "time", False),
        (1, "/latitude", "latitude", True),
        (2, "/longitude", "longitude", False),
    ]
    assert one["north_up"] is True
    expected = data.t2m.load().values
    for text, items in selections(expected.shape, 12):
        found = values(view, "/t2m", text)
        np.testing.assert_allclose(found, expected[items].astype(found.dtype), rtol=1e-6)
    chosen = data.t2m.sel(time=slice("2020-01-02", "2020-01-03"), latitude=slice(50, 10))
    found = values(view, "/t2m", "time=2020-01-02:2020-01-03, latitude=50:10")
    np.testing.assert_allclose(found, chosen.values.astype(found.dtype), rtol=1e-6)
    dates = entity(view, "/time")
    assert (dates["value_dtype"], dates["time"], dates["units"]) == ("<f8", True, "ms since 1970-01-01")
    np.testing.assert_array_equal(values(view, "/time"), data.time.values.astype("M8[ms]").astype("i8"))
    assert entity(view, "/time", raw=True)["time"] is False
    np.testing.assert_array_equal(values(view, "/mask"), data["mask"].values)
    assert values(view, "/mask").dtype == np.dtype("?")
    assert values(view, "/t2m", raw=True).dtype == np.dtype("<i2")
    for path in root["children"]:
        attributes_json(view, path["path"])


@pytest.mark.parametrize("name", ["v2 M8[ns]", "v3 m8[s]"])
def test_dates_and_spans(tmp_path: Path, name: str) -> None:
    kind, unit = name[3], name[6:-1]
    counts = np.array([0, 1, -5, np.iinfo(np.int64).min, 10**9], "i8")
    array = zarr.create_array(tmp_path / "a.zarr", shape=(5,), dtype=name[3:], zarr_format=int(name[1]))
    array[:] = counts.view(name[3:])
    view = opened(str(tmp_path / "a.zarr"))
    one = entity(view, "/a.zarr")
    found = values(view, "/a.zarr")
    factor = {"ns": 1e-6, "s": 1}[unit]
    np.testing.assert_allclose(found, np.where(counts == counts[3], np.nan, counts * factor), atol=1e-3)
    assert (one["value_dtype"], one["time"]) == ("<f8", kind == "M")
    assert one["units"] == ("ms since 1970-01-01" if kind == "M" else "s")
    np.testing.assert_array_equal(values(view, "/a.zarr", raw=True), counts)


def test_another_calendar_is_shown_as_numbers(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "t.zarr", shape=(3,), dtype="f8")
    array.attrs.update(units="days since 2000-01-01", calendar="360_day")
    array[:] = [0, 1, 2]
    view = opened(str(tmp_path / "t.zarr"))
    one = entity(view, "/t.zarr")
    assert (one["time"], one["units"], one["value_dtype"]) == (False, "days since 2000-01-01", "<f8")
    np.testing.assert_array_equal(values(view, "/t.zarr"), [0, 1, 2])


def test_an_array_of_a_store_finds_the_labels_beside_it(tmp_path: Path) -> None:
    group(tmp_path / "c.zarr")
    one = entity(opened(str(tmp_path / "c.zarr" / "t2m")), "/t2m")
    assert [at["name"] for at in one["coordinates"]] == ["time", "latitude", "longitude"]
    place = one["coordinates"][1]
    other = opened(f"/{place['key'].lstrip('/')}")
    np.testing.assert_array_equal(values(other, place["path"]), np.arange(90.0, -91, -10))


TYPES = [one for one in ITEM_BYTES if hasattr(torch, one)]


def tensor_of(dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
    raw = torch.randint(0, 256, (int(np.prod(shape)) * ITEM_BYTES[dtype],), dtype=torch.uint8)
    if dtype == "bool":
        raw %= 2
    return raw.view(getattr(torch, dtype)).reshape(shape)


def wide(value: torch.Tensor) -> np.ndarray:
    """Return what torch says that a tensor holds."""
    if value.dtype in (torch.float16, torch.bfloat16) or "float8" in str(value.dtype):
        return value.to(torch.float32).numpy()
    return (value.to(torch.complex64) if value.dtype == torch.complex32 else value).numpy()


@pytest.mark.parametrize("dtype", TYPES)
def test_tensors_of_each_type(tmp_path: Path, dtype: str) -> None:
    torch.manual_seed(1)
    value = tensor_of(dtype, (6, 5, 16))
    (tmp_path / "x.pt").write_bytes(torch_bytes({"a": value, "turned": value.permute(2, 0, 1)}))
    view = opened(str(tmp_path / "x.pt"))
    one = entity(view, "/a")
    assert (one["dtype"], one["shape"]) == (dtype, [6, 5, 16])
    for path, expected in (("/a", wide(value)), ("/turned", wide(value).transpose(2, 0, 1))):
        for text, items in [("", ()), *selections(expected.shape, 6)]:
            found = values(view, path, text)
            assert found.dtype.str == one["value_dtype"]
            np.testing.assert_array_equal(found, expected[items])


@pytest.mark.parametrize("dtype", [one for one in TYPES if one.startswith("float8")])
def test_all_bytes_of_8_bit_floats(dtype: str) -> None:
    codes = np.arange(256, dtype=np.uint8)
    expected = torch.from_numpy(codes).view(getattr(torch, dtype)).to(torch.float32).numpy()
    np.testing.assert_array_equal(widened(codes, dtype), expected)


def files() -> dict[str, tuple[bytes, dict[str, np.ndarray]]]:
    rng = np.random.default_rng(3)
    a, b = rng.random((40, 30, 7), np.float32), rng.integers(0, 9, (11, 4))
    names = {"model.layers.0/weight": a, "a b#?%&.x": b, "scalar": np.float64(3.5)}
    tensors = {name: torch.from_numpy(np.array(one)) for name, one in names.items()}
    single, fortran, swapped, stored, deflated = (io.BytesIO() for _ in range(5))
    np.save(single, a)
    np.save(fortran, np.asfortranarray(a))
    np.save(swapped, a.astype(">f4"))
    np.savez(stored, a=a, b=b)
    np.savez_compressed(deflated, a=a, b=b)
    return {
        "x.safetensors": (safetensors.torch.save(tensors, {"made": "here"}), names),
        "x.pt": (torch_bytes(tensors), names),
        "old.pt": (torch_bytes(tensors, _use_new_zipfile_serialization=False), names),
        "x.npy": (single.getvalue(), {"value": a}),
        "f.npy": (fortran.getvalue(), {"value": a}),
        "big.npy": (swapped.getvalue(), {"value": a}),
        "x.npz": (stored.getvalue(), {"a": a, "b": b}),
        "d.npz": (deflated.getvalue(), {"a": a, "b": b}),
    }


def test_files_from_each_kind_of_storage(store: Store) -> None:
    for name, (data, expected) in files().items():
        store.put(name, data)
        view = opened(f"{store.name}://{name}")
        assert {one["path"] for one in entity(view)["children"]} == {f"/{one}" for one in expected}
        for tensor, array in expected.items():
            one = entity(view, f"/{tensor}")
            assert (one["kind"], one["name"], one["shape"]) == ("dataset", tensor, list(array.shape))
            for text, items in [("", ()), *selections(array.shape, 5)]:
                same(values(view, f"/{tensor}", text), np.asarray(array)[items])
            with pytest.raises(BadRequestError):
                values(view, f"/{tensor}", "time=3")
    assert attributes_json(opened(f"{store.name}://x.safetensors"), "/") == {"made": "here"}


def test_only_the_rows_of_a_slice_are_read(local_store: Store) -> None:
    array = np.arange(4_000_000, dtype="f4").reshape(400, 10_000)
    local_store.put("x.safetensors", safetensors.torch.save({"w": torch.from_numpy(array), "v": torch.zeros(9)}))
    view = opened("disk://x.safetensors")
    reader = view._sources[0]
    before = reader.bytes_read, reader.requests
    same(values(view, "/w", "10:13"), array[10:13])
    assert (reader.bytes_read - before[0], reader.requests - before[1]) == (3 * 40_000, 1)
    # Far apart: in a request each.
    before = reader.bytes_read, reader.requests
    same(values(view, "/w", "::100, 7:9"), array[::100, 7:9])
    assert (reader.bytes_read - before[0], reader.requests - before[1]) == (4 * 8, 4)


def test_long_values_come_in_pieces_in_order(
    local_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_file, "_PIECE_BYTES", 4000)
    monkeypatch.setattr(view_zarr, "_PIECE_BYTES", 4000)
    monkeypatch.setattr(dense, "_WINDOW_BYTES", 1000)
    array = np.arange(60_000, dtype="f4").reshape(30, 40, 50)
    local_store.put("x.npy", _npy(array))
    local_store.put("f.npy", _npy(np.asfortranarray(array)))
    for at, chunks in enumerate([(2, 40, 50), (7, 11, 13), (30, 40, 50), (3, 1, 50)]):
        zarr.create_array(tmp_path / f"{at}.zarr", shape=array.shape, dtype="f4", chunks=chunks)[:] = array
        upload(tmp_path / f"{at}.zarr", local_store, f"{at}.zarr")
    for key, path in [("x.npy", "/value"), ("f.npy", "/value"), *((f"{at}.zarr", f"/{at}.zarr") for at in range(4))]:
        view = opened(f"disk://{key}")
        for text, items in [("", ()), *selections(array.shape, 6, seed=5)]:
            same(values(view, path, text), array[items])
        same(values(view, path, "::-1, 3", stride="2,7"), array[::-1, 3][::2, ::7])


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_parts_of_any_strided_tensor(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), max_size=4)))
    stride = tuple(data.draw(st.integers(0, 9)) for _ in shape)
    offset = data.draw(st.integers(0, 5))
    size = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True)) + 1
    storage = np.arange(size, dtype="<i4")
    expected = np.lib.stride_tricks.as_strided(storage[offset:], shape, [4 * step for step in stride])
    one = Tensor(dtype="int32", shape=shape, stride=stride, storage="s", offset=offset)
    file = TensorFile(
        url="x", kind="torch", size_bytes=4 * size, etag="", tensors={"t": one}, storages={"s": Stored(0, 4 * size)},
        tree=None,
    )  # fmt: skip
    text, items = selections(shape, 1, seed=data.draw(st.integers(0, 10**6)))[0]
    axes = by_index(parse_selection(text).items, shape, "t")
    out = np.full([axis.count for axis in axes], -1, "<i4")
    parts = dense.parts_of(file, one, axes) if count_of(axes) else []
    for asked in dense.requests_for(parts, 4, "t"):
        raw = bytearray(storage.tobytes()[asked.range.start : asked.range.stop])
        for part in asked.parts:
            out[part.target] = part.seen(raw, asked.range.start, held_dtype("int32"))
    np.testing.assert_array_equal(out.reshape(shape_of(axes)), expected[items])


def test_a_tensor_that_lies_in_blocks() -> None:
    whole = np.arange(48, dtype="<i4").reshape(6, 8)
    blocks = {"a": (0, 0, 4, 8), "b": (4, 0, 2, 3), "c": (4, 3, 2, 5)}
    raw = {key: np.ascontiguousarray(whole[y : y + h, x : x + w]) for key, (y, x, h, w) in blocks.items()}
    file = TensorFile(
        url="x", kind="torch-distributed", size_bytes=192, etag="", tree=None,
        tensors={"t": Tensor(dtype="int32", shape=(6, 8), stride=(8, 1), storage="t")},
        storages={key: Stored(0, one.nbytes) for key, one in raw.items()},
        wholes={"t": Whole(dtype="int32", shape=(6, 8), blocks=tuple(
            Block(storage=key, start=(y, x), shape=(h, w)) for key, (y, x, h, w) in blocks.items()
        ))},
    )  # fmt: skip
    for text, items in selections((6, 8), 40, seed=9):
        axes = by_index(parse_selection(text).items, (6, 8), "t")
        out = np.full([axis.count for axis in axes], -1, "<i4")
        parts = dense.parts_of(file, file.tensors["t"], axes) if count_of(axes) else []
        for asked in dense.requests_for(parts, 4, "t"):
            data = bytearray(raw[asked.storage].tobytes()[asked.range.start : asked.range.stop])
            for part in asked.parts:
                out[part.target] = part.seen(data, asked.range.start, held_dtype("int32"))
        np.testing.assert_array_equal(out.reshape(shape_of(axes)), whole[items])


def refused(view: View, path: str, select: str = "", **options: Any) -> ValueTooLargeError:
    with pytest.raises(ValueTooLargeError) as error:
        values(view, path, select, **options)
    return error.value


def test_more_than_the_budget_offers_an_overview_that_fits(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(3, 20_000, 9_000), dtype="f4", chunks=(1, 2000, 3000), fill_value=2)
    view = opened(str(tmp_path / "a.zarr"))
    error = refused(view, "/a.zarr", "1")
    steps = error.details["stride"]
    assert error.details["size_bytes"] == 720_000_000
    assert error.details["most_bytes"] == 64 << 20
    counts = [-(-n // step) for n, step in zip((20_000, 9_000), steps, strict=True)]
    assert max(counts) <= 8192
    assert np.prod(counts) * 4 == error.details["stride_bytes"] <= 64 << 20
    assert error.details["read_bytes"] == 720_000_000
    found = values(view, "/a.zarr", "1", stride=",".join(map(str, steps)))
    assert found.shape == tuple(counts)
    assert (found == 2).all()


def test_a_chunk_beyond_the_budget_is_not_decoded(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(40_000_000,), dtype="f4", chunks=(40_000_000,))
    view = opened(str(tmp_path / "a.zarr"))
    error = refused(view, "/a.zarr", "7")
    assert "stride" not in error.details
    assert str(MOST_BYTES) in error.hint
    assert values(view, "/a.zarr", "7", most_bytes=MOST_BYTES) == 0


def test_what_reads_far_more_than_it_shows_is_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(4000, 250_000), dtype="f4", chunks=(1000, 1000))
    error = refused(opened(str(tmp_path / "a.zarr")), "/a.zarr", "::500, ::50")
    assert "would be read" in error.message
    assert error.details["read_bytes"] <= 16 * (64 << 20)


def test_one_header_serves_twenty_slices_until_the_object_is_replaced(store: Store, tmp_path: Path) -> None:
    array = np.arange(90_000, dtype="f4").reshape(300, 300)
    store.put("x.npy", _npy(array))
    zarr.create_array(tmp_path / "z", shape=(4, 6), dtype="f4", chunks=(2, 3))[:] = 1
    upload(tmp_path / "z", store, "z.zarr")
    views = Views()
    for key, path in (("x.npy", "/value"), ("z.zarr", "/z.zarr")):
        url = f"{store.name}://{key}"
        view = LOOP.run(views.get(url))
        assert all(LOOP.run(views.get(url, view.version)) is view for _ in range(20))
        assert LOOP.run(views.get(url)) is view
        values(view, path, "0")
        if key == "x.npy":
            store.put(key, _npy(array + 1))
        else:
            zarr.create_array(tmp_path / "y", shape=(4, 6), dtype="i4", chunks=(2, 3), attributes={"new": 1})
            upload(tmp_path / "y", store, key)
        with pytest.raises(ObjectChangedError):
            values(view, path, "0")
        newer = LOOP.run(views.get(url))
        assert newer is not view
        with pytest.raises(ObjectChangedError):
            LOOP.run(views.get(url, view.version))
        values(newer, path, "0")


def test_views_are_let_go(local_store: Store) -> None:
    views = Views(most_views=2)
    for name in "abc":
        local_store.put(f"{name}.npy", _npy(np.zeros(3)))
        LOOP.run(views.get(f"disk://{name}.npy"))
    assert len(views._open) == 2
    small = Views(most_nodes=1)
    for name in "abc":
        LOOP.run(small.get(f"disk://{name}.npy"))
    assert len(small._open) == 1


BAD: dict[str, tuple[str, dict[str, Any], type[Exception]]] = {
    "no array": ("/none", {}, NotFoundError),
    "the group": ("/", {}, NotFoundError),
    "no slash": ("value", {}, NotFoundError),
    "nothing": ("", {}, NotFoundError),
    "too many axes": ("/value", {"select": "0, 0, 0"}, BadRequestError),
    "outside": ("/value", {"select": "99"}, BadRequestError),
    "no selection": ("/value", {"select": "__import__('os')"}, BadRequestError),
    "by label": ("/value", {"select": "x=3"}, BadRequestError),
    "stride of another rank": ("/value", {"stride": "2"}, BadRequestError),
    "stride of a dropped axis": ("/value", {"select": "0", "stride": "1,2"}, BadRequestError),
    "stride of 0": ("/value", {"stride": "0,1"}, BadRequestError),
    "negative stride": ("/value", {"stride": "-1,1"}, BadRequestError),
    "endless stride": ("/value", {"stride": "1," + "9" * 50}, BadRequestError),
    "no budget": ("/value", {"most_bytes": 0}, TooLargeError),
}


@pytest.mark.parametrize(("path", "options", "error"), BAD.values(), ids=BAD)
def test_what_cannot_be_asked_for(
    local_store: Store, path: str, options: dict[str, Any], error: type[Exception]
) -> None:
    local_store.put("x.npy", _npy(np.zeros((3, 4))))
    with pytest.raises(error):
        values(opened("disk://x.npy"), path, **options)
