"""Zarr stores in the array viewer are what zarr-python and xarray read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray
import zarr

from jupyter_gpu_ext.tensors.view_json import attributes_json
from tests.tensors.zarr_stores import CORPUS, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store

from tests.tensors.views import entity, opened, same, selections, values


@pytest.mark.parametrize("name", CORPUS)
def test_zarr_of_each_layout(tmp_path: Path, name: str) -> None:
    expected = CORPUS[name](tmp_path / "store.zarr")
    if expected.dtype.kind in "mM":
        return
    view = opened(str(tmp_path / "store.zarr"))
    same(values(view, "/store.zarr", raw=True), expected)
    for text, items in selections(expected.shape, 2):
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
