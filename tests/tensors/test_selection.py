"""A selection means what numpy's indexing and xarray's `.sel` mean by it."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError, TooLargeError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.tensors.chunks import count_chunks, join, plan_chunks
from jupyter_gpu_ext.tensors.formats.zarr import ShardIndex, ZarrArray
from jupyter_gpu_ext.tensors.labels import Coordinate, by_label
from jupyter_gpu_ext.tensors.selection import by_index, parse_selection, shape_of
from jupyter_gpu_ext.tensors.zarr_store import open_zarr, plan_arrays
from tests.tensors.zarr_stores import load, ramp

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.tensors.selection import Axis


def planned(shape: tuple[int, ...], chunks: tuple[int, ...], shards: tuple[int, ...] | None = None) -> ZarrArray:
    return ZarrArray(
        path="a", version=3, dtype="int64", stored=np.dtype("i8"), shape=shape, chunks=chunks, shards=shards,
        index=None if shards is None else ShardIndex(int(np.prod(shards) // np.prod(chunks))), fill=np.int64(0),
    )  # fmt: skip


@st.composite
def indexed(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], str]:
    """Draw a shape, its chunks, chunks a shard, and a selection as text that fits."""
    rank = draw(st.integers(0, 4))
    shape = tuple(draw(st.integers(0, 9)) for _ in range(rank))
    chunks = tuple(draw(st.integers(1, 5)) for _ in range(rank))
    per_shard = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    items = []
    ends = st.one_of(st.just(""), st.integers(-12, 12).map(str))
    for size in shape:
        step = draw(st.sampled_from(["", ":", ":1", ":2", ":7", ":-1", ":-3"]))
        one = f"{draw(ends)}:{draw(ends)}{step}"
        if size:
            one = draw(st.sampled_from([one, str(draw(st.integers(-size, size - 1)))]))
        items.append(one)
    kept = draw(st.integers(0, rank))
    if draw(st.booleans()):
        at = draw(st.integers(0, rank))
        items[at : at + draw(st.integers(0, rank - at))] = ["..."]
    else:
        items = items[:kept]
    return shape, chunks, per_shard, " , ".join(items)


def executed(array: ZarrArray, axes: tuple[Axis, ...], values: np.ndarray) -> np.ndarray:
    """Do what the executor does, without storage."""
    padded = np.full([-(-n // c) * c for n, c in zip(array.shape, array.chunks, strict=True)], -1)
    padded[tuple(slice(0, n) for n in array.shape)] = values
    out = np.full(shape_of(axes), -2)
    for one in plan_chunks(array, axes, "a"):
        for part in one.parts:
            where = tuple(slice(at * c, at * c + c) for at, c in zip(part.place, array.chunks, strict=True))
            target = out[part.target] if part.target else out[...]
            assert (target == -2).all(), "no place is written twice"
            chosen = padded[where][part.source]
            assert not part.whole or np.array_equal(chosen.ravel(), padded[where].ravel())
            target[...] = chosen
    return out


def expression(text: str) -> Any:
    return eval(f"np.s_[{text},]") if text else ...


@given(indexed())
@settings(deadline=None)
def test_as_numpy_indexes(case: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], str]) -> None:
    shape, chunks, per_shard, text = case
    values = np.arange(int(np.prod(shape))).reshape(shape)
    expected = values[expression(text)]
    axes = by_index(parse_selection(text).items, shape, "a")
    assert shape_of(axes) == np.shape(expected)
    plain = planned(shape, chunks)
    np.testing.assert_array_equal(executed(plain, axes, values), expected)
    objects = plan_chunks(plain, axes, "a")
    assert len(objects) == len({one.key for one in objects}) == count_chunks(plain, axes)
    shards = tuple(c * n for c, n in zip(chunks, per_shard, strict=True))
    sharded = planned(shape, chunks, shards)
    np.testing.assert_array_equal(executed(sharded, axes, values), expected)
    objects = plan_chunks(sharded, axes, "a")
    assert len(objects) == len({one.key for one in objects})
    for one in objects:
        numbers = [part.number for part in one.parts]
        assert len(set(numbers)) == len(numbers)
        assert all(0 <= number < np.prod(per_shard) for number in numbers)


def check_reads(tmp_path: Path, case: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], str], name: str) -> None:
    shape, chunks, per_shard, text = case
    values = ramp(shape, "i4") if shape else np.array(7, "i4")
    shards = tuple(c * n for c, n in zip(chunks, per_shard, strict=True))
    path = tmp_path / name
    zarr.create_array(path, shape=shape, chunks=chunks, shards=shards or None, dtype="i4", overwrite=True)[...] = values
    found = load(str(path), select=text)[name]
    expected = values[expression(text)]
    assert found.shape == np.shape(expected)
    np.testing.assert_array_equal(found, expected)


@given(case=indexed())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reads_as_numpy_indexes(tmp_path: Path, case: Any) -> None:
    check_reads(tmp_path, case, "s")


@pytest.mark.prove
@pytest.mark.timeout(1200)
@given(case=indexed())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reads_as_numpy_indexes_often(tmp_path: Path, case: Any) -> None:
    check_reads(tmp_path, case, "s")


BAD = {
    "1.5": "'1.5' is no index",
    "a": "'a' is no index",
    "1:2:3:4": "no range of indices",
    "1:b": "'1:b' is no range",
    "::0": "step of 0",
    "1,,2": "'' is no index",
    "..., ...": "once",
    "None": "no index",
    "[1,2]": "no index",
    "9" * 30: "no index",
    "x" * 5000: "too long",
    "7": "there is no 7",
    "-8, 0": "there is no -8",
    "1, 2, 3": "has 2 axes, the selection has 3",
    "time=": "no selection by label",
    "=3": "no selection by label",
    "1:2, time=3": "'1:2' is no selection by label",
    "t=1, t=2": "'t' is selected twice",
}


@pytest.mark.parametrize("text", BAD)
def test_refused(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        by_index(parse_selection(text).items, (7, 5), "a")
    assert BAD[text] in caught.value.message
    assert caught.value.hint


def test_far_too_many_chunks_are_counted_not_listed() -> None:
    array = planned((10**15, 7), (1, 1))
    axes = by_index((), array.shape, "a")
    assert count_chunks(array, axes) == 7 * 10**15
    with pytest.raises(TooLargeError, match=r"7,000,000,000,000,000 chunks"):
        plan_chunks(array, axes, "a")
    assert len(plan_chunks(array, by_index((slice(5, 10**15, 10**14), 3), array.shape, "a"), "a")) == 10
    with pytest.raises(TooLargeError, match="chunks of"):
        plan_chunks(planned((10**10,), (10**10,)), by_index((0,), (10**10,), "a"), "a")


@given(st.lists(st.tuples(st.integers(0, 1 << 27), st.integers(1, 1 << 25)), max_size=30))
def test_join(pairs: list[tuple[int, int]]) -> None:
    ranges = [ByteRange(start, start + size) for start, size in pairs]
    merged = join(ranges)
    for one in ranges:
        assert any(big.start <= one.start and one.stop <= big.stop for big in merged)
    for one in merged:
        assert one.size_bytes <= 16 << 20 or one in ranges
    starts = {one.start for one in ranges}
    assert all(one.start in starts for one in merged)


def test_join_goes_over_small_gaps_only() -> None:
    mib = 1 << 20
    far = [ByteRange(0, mib), ByteRange(2 * mib, 3 * mib), ByteRange(4 * mib + 1, 5 * mib)]
    assert join(far) == [ByteRange(0, 3 * mib), far[2]]
    assert join([ByteRange(0, 9 * mib), ByteRange(9 * mib, 18 * mib)]) == [
        ByteRange(0, 9 * mib),
        ByteRange(9 * mib, 18 * mib),
    ]


# By label. ---------------------------------------------------------------------------------------------------------


def same_as_sel(values: np.ndarray, text: str, indexer: Any) -> None:
    """Compare with what xarray chooses; where it chooses nothing, ours says so."""
    data = xr.DataArray(np.arange(len(values)), coords={"x": values}, dims="x")
    backwards = values.dtype.kind == "M" and isinstance(indexer, slice) and values[0] > values[-1]
    if backwards:
        # pandas has no ranges of dates on a falling axis: its answer on the rising one, turned round.
        data, indexer = data[::-1], slice(indexer.stop, indexer.start)
    try:
        expected = data.sel(x=indexer).values
    except (KeyError, ValueError):
        expected = np.empty(0)
    expected = expected[::-1] if backwards else expected
    coordinate = Coordinate("x", values.astype("M8[us]") if values.dtype.kind == "M" else values)
    if not expected.size:
        with pytest.raises(BadRequestError) as caught:
            by_label(text, coordinate)
        assert caught.value.hint
    else:
        found = np.arange(len(values))[by_label(text, coordinate)]
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape


@given(
    st.lists(st.integers(-40, 40), unique=True, min_size=1, max_size=15), st.booleans(),
    st.sampled_from(["f8", "f4", "i4", "i8"]), st.integers(-45, 45), st.integers(-45, 45), st.integers(0, 5),
)  # fmt: skip
def test_numbers_as_xarray_selects(
    numbers: list[int], descending: bool, dtype: str, start: int, stop: int, form: int
) -> None:
    values = np.sort(np.array(numbers)).astype(dtype) / (2 if dtype[0] == "f" else 1)
    values = (values[::-1] if descending else values).astype(dtype)
    low, high = (start / 2, stop / 2) if dtype[0] == "f" else (start, stop)
    texts = {
        0: (f"{low}:{high}", slice(low, high)), 1: (f"{low}:", slice(low, None)), 2: (f" : {high}", slice(None, high)),
        3: (f"{low}", low), 4: (f"{low}:{high}:2", slice(low, high, 2)), 5: (":", slice(None)),
    }  # fmt: skip
    same_as_sel(values, *texts[form])


@st.composite
def dates(draw: st.DrawFn) -> str:
    parts = draw(st.integers(1, 5))
    text = f"{draw(st.integers(1998, 2003)):04}"
    for form, least, most in (("-{:02}", 1, 12), ("-{:02}", 1, 28), ("T{:02}", 0, 23), (":{:02}", 0, 59))[: parts - 1]:
        text += form.format(draw(st.sampled_from([least, most, draw(st.integers(least, most))])))
    return text


@given(
    st.sampled_from(["h", "6h", "D", "MS", "YS", "90min"]), st.integers(1, 60), st.booleans(), dates(), dates(),
    st.integers(0, 3),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_dates_as_xarray_selects(every: str, count: int, descending: bool, start: str, stop: str, form: int) -> None:
    index = pd.date_range("1999-12-20", periods=count, freq=every)
    values = index.values[::-1] if descending else index.values
    texts = {
        0: (f"{start}:{stop}", slice(start, stop)), 1: (f"{start}:", slice(start, None)),
        2: (f":{stop}", slice(None, stop)), 3: (start, start),
    }  # fmt: skip
    same_as_sel(values, *texts[form])


@pytest.mark.parametrize(
    ("text", "values", "message", "hint"),
    [
        ("51.3", [51.25, 51.5, 52.0], "there is no 51.3", "51.25, 51.5"),
        ("1:2", [3.0, 1.0, 2.0], "not in order", "index"),
        ("30:60", [90.0, 60.0, 30.0], "holds none", "90.0 to 30.0; a range is written in that direction"),
        ("1", [1.0, 1.0], "2 times", "index"),
        ("abc", [1.0], "no number or a range", "1.0 to 1.0"),
        ("1:2:-1", [1.0, 2.0], "the step -1", ""),
        ("1:", [1.0, float("nan")], "not in order", "index"),
        ("1:", [], "holds none", "nothing"),
    ],
)
def test_labels_refused(text: str, values: list[float], message: str, hint: str) -> None:
    with pytest.raises(BadRequestError, match=re.escape(message).replace(r"no\ number", "not a number")) as caught:
        by_label(text, Coordinate("x", np.array(values)))
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["2020-13", "2020-02-30", "20", "2020-1", "yesterday", "2020-01-01T25"])
def test_dates_refused(text: str) -> None:
    days = np.arange("2020-01-01", "2020-03-01", dtype="M8[D]").astype("M8[us]")
    with pytest.raises(BadRequestError, match="date") as caught:
        by_label(text, Coordinate("time", days))
    assert "2020-01-01 to 2020-02-29" in caught.value.hint


def weather(path: Path, version: int) -> xr.Dataset:
    data = xr.Dataset(
        {
            "t2m": (("time", "latitude", "longitude"), 280 + 9 * np.random.default_rng(3).random((120, 13, 8), "f4")),
            "mask": (("latitude", "longitude"), np.arange(13 * 8).reshape(13, 8) % 3 == 0),
        },
        coords={
            "time": pd.date_range("2020-01-01", periods=120, freq="18h"),
            "latitude": np.linspace(90, -90, 13).astype("f4"),
            "longitude": np.arange(0, 360, 45.0),
        },
    )  # fmt: skip
    encoding = {
        "t2m": {"chunks": (25, 13, 4), "dtype": "i2", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768},
        "time": {"units": "hours since 1900-01-01", "dtype": "i4"},
    }
    data.to_zarr(path, zarr_format=version, encoding=encoding, consolidated=True)
    return data


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_stores_of_xarray(tmp_path: Path, version: int) -> None:
    weather(tmp_path / "w.zarr", version)
    url = str(tmp_path / "w.zarr")
    data = xr.open_zarr(url)
    for text, chosen in {
        "": data,
        "time=2020-02": data.sel(time="2020-02"),
        "time=2020-01-15:2020-03, latitude=60:30": data.sel(
            time=slice("2020-01-15", "2020-03"), latitude=slice(60, 30)
        ),
        "time=2020-01-01T18, longitude=90": data.sel(time="2020-01-01T18", longitude=90),
        "longitude=45::2,latitude=:-45": data.sel(longitude=slice(45, None, 2), latitude=slice(None, -45)),
    }.items():  # fmt: skip
        found = load(url, ["t2m", "mask"] if "time" not in text else ["t2m"], text)
        for name, values in found.items():
            np.testing.assert_array_equal(values, chosen[name].values)
            assert values.dtype == chosen[name].dtype
    # One array of the store finds the labels beside it.
    found = load(f"{url}/t2m", select="time=2020-02, latitude=0")
    np.testing.assert_array_equal(found["t2m"], data.t2m.sel(time="2020-02", latitude=0).values)
    with pytest.raises(BadRequestError, match="no dimension 'level'") as caught:
        load(url, select="level=500")
    assert "latitude, longitude, time" in caught.value.hint


def test_labels_of_a_group_above_and_of_dates(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "g", mode="w")
    days = np.arange("2020-01-01", "2020-01-11", dtype="M8[D]").astype("M8[ns]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group.create_array("time", shape=(10,), dtype="M8[ns]", dimension_names=("time",))[:] = days
    group.create_array("level", shape=(3,), dtype="i2", dimension_names=("level",))[:] = [1000, 850, 500]
    inner = group.create_array("deep/deeper/t", shape=(10, 3), dtype="f4", dimension_names=("time", "level"))
    inner[...] = values = ramp((10, 3), "f4")
    found = load(str(tmp_path / "g"), ["*/t"], "time=2020-01-03:2020-01-05, level=850")["deep/deeper/t"]
    np.testing.assert_array_equal(found, values[2:5, 1])
    # Nearer labels hide those above.
    group.create_array("deep/level", shape=(3,), dtype="i2", dimension_names=("level",))[:] = [1, 2, 3]
    found = load(str(tmp_path / "g"), ["*/t"], "level=2:3")["deep/deeper/t"]
    np.testing.assert_array_equal(found, values[:, 1:])


def test_dimension_without_labels(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "g", mode="w")
    group.create_array("a", shape=(5,), dtype="i4", dimension_names=("x",))[...] = 1
    with pytest.raises(BadRequestError, match="'x' has no coordinates"):
        load(str(tmp_path / "g"), select="x=1")
    with pytest.raises(BadRequestError, match="'x' has no coordinates"):
        load(str(tmp_path / "g" / "a"), select="x=1")


def test_coordinates_are_read_once_and_only_when_asked(tmp_path: Path) -> None:
    weather(tmp_path / "w.zarr", 2)
    node = LOOP.run(open_zarr(str(tmp_path / "w.zarr")))
    opened = node.requests
    LOOP.run(plan_arrays(node, ["t2m"], "0:5"))
    assert node.requests == opened
    LOOP.run(plan_arrays(node, ["t2m"], "time=2020-02"))
    LOOP.run(plan_arrays(node, ["t2m"], "time=2020-03"))
    assert node.requests == opened + 1
