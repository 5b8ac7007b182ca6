"""Packed and missing values, and times, come out as xarray decodes them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
import zarr

from jupyter_gpu_ext.errors import BadRequestError, TensorFormatError
from jupyter_gpu_ext.tensors.cf import decode_times
from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
from tests.tensors.zarr_stores import load, ramp

if TYPE_CHECKING:
    from pathlib import Path

ATTRIBUTES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "scale": {"scale_factor": 0.5},
    "offset": {"add_offset": 10.0},
    "offset, a whole number": {"add_offset": 10},
    "both": {"scale_factor": 0.1, "add_offset": 273.15},
    "in lists": {"scale_factor": [0.1], "add_offset": [273.15]},
    "missing": {"missing_value": 5},
    "two missing": {"missing_value": [5, 7]},
    "missing and scale": {"missing_value": 5, "scale_factor": 0.01},
    "missing and both": {"missing_value": 5, "scale_factor": 0.01, "add_offset": 1.5},
    "missing NaN": {"missing_value": float("nan")},
    "missing NaN and scale": {"missing_value": float("nan"), "scale_factor": 2.0},
    "units of time": {"units": "hours since 1900-01-01", "missing_value": 5},
}


TYPES = ("i1", "u1", "i2", "u2", "i4", "i8", "f2", "f4", "f8")


def written(path: Path, version: int, attributes: dict[str, Any], *types: str, **options: Any) -> xr.Dataset:
    """Write an array of each type, its last row never, and return them as xarray decodes them."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    names = ("x", "y")
    if version == 2:
        attributes = attributes | {"_ARRAY_DIMENSIONS": list(names)}
    else:
        options["dimension_names"] = names
    values = ramp((7, 9), "i2") % 12
    for dtype in types:
        array = group.create_array(
            dtype, shape=(7, 9), chunks=(3, 4), dtype=dtype, attributes=attributes, compressors=None, **options
        )
        array[:6] = values.astype(dtype)[:6]
    return xr.open_zarr(path, consolidated=False, decode_times=False, decode_timedelta=False).load()


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("version", "fill"), [(2, None), (2, 3), (3, 0)])
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_as_xarray_decodes(tmp_path: Path, name: str, version: int, fill: int | None) -> None:
    data = written(tmp_path / "s", version, ATTRIBUTES[name], *TYPES, fill_value=fill)
    found, raw = load(str(tmp_path / "s")), load(str(tmp_path / "s"), raw=True)
    for dtype in TYPES:
        same(found[dtype], data[dtype].values)
        same(raw[dtype], zarr.open_array(tmp_path / "s" / dtype)[...])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("dtype", "attributes"),
    [
        ("i1", {"_Unsigned": "true", "_FillValue": -1}),
        ("i2", {"_Unsigned": "true", "scale_factor": 0.5}),
        ("u2", {"_Unsigned": "false", "_FillValue": 5}),
        ("i2", {"_FillValue": 5}),
        ("i2", {"_FillValue": 5, "missing_value": 7}),
        ("i1", {"dtype": "bool"}),
    ],
)
def test_version_3_as_xarray_decodes(tmp_path: Path, dtype: str, attributes: dict[str, Any]) -> None:
    expected = written(tmp_path / "s", 3, attributes, dtype, fill_value=0)[dtype].values
    same(load(str(tmp_path / "s"))[dtype], expected)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("fill", [float("nan"), -9999.0, 1e20])
def test_floats_that_xarray_wrote(tmp_path: Path, version: int, fill: float) -> None:
    values = np.linspace(0, 1, 12, dtype="f4")
    values[3] = np.nan
    data = xr.Dataset({"v": ("x", values)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.to_zarr(tmp_path / "s", zarr_format=version, encoding={"v": {"_FillValue": np.float32(fill)}})
    found = load(str(tmp_path / "s"))["v"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


def test_a_fill_value_of_no_xarray_store_masks_nothing(tmp_path: Path) -> None:
    labels = zarr.create_array(tmp_path / "s", shape=(6,), dtype="u1", zarr_format=2, fill_value=0)
    labels[:] = [0, 1, 2, 0, 1, 2]
    found = load(str(tmp_path / "s"))["s"]
    assert found.dtype == np.uint8
    assert found.tolist() == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("value", ["0.1", [0.1, 0.2], True, float("inf"), {}])
def test_scale_that_is_no_number(tmp_path: Path, value: Any) -> None:
    zarr.create_array(tmp_path / "s", shape=(6,), dtype="i2", attributes={"scale_factor": value})[:] = 1
    with pytest.raises(TensorFormatError, match="scale_factor") as caught:
        load(str(tmp_path / "s"))
    assert "raw=True" in caught.value.hint
    assert load(str(tmp_path / "s"), raw=True)["s"].tolist() == [1] * 6


def times(units: str, calendar: str | None = None, dtype: str = "int64") -> ZarrArray:
    found = {"units": units} | ({"calendar": calendar} if calendar else {})
    return ZarrArray(
        path="time", version=3, dtype=dtype, stored=np.dtype("i8"), shape=(3,), chunks=(3,), fill=0, attributes=found
    )


@pytest.mark.parametrize("calendar", [None, "standard", "gregorian", "proleptic_gregorian"])
@pytest.mark.parametrize(
    "units",
    [
        "hours since 1900-01-01", "days since 1970-01-01 00:00:00", "seconds since 2000-1-1T06:30",
        "minutes since 1999-12-31 23:59:59.5", "milliseconds since 1970-01-01",
        "day since 1800-01-01 00:00:00.0 UTC", "days since 1582-10-15",
    ],
)  # fmt: skip
def test_times_as_xarray_decodes(units: str, calendar: str | None) -> None:
    for values in (np.array([0, 3, 100_000]), np.array([0.0, 3.25, np.nan]), np.array([7, 8, 9], "i4")):
        found = decode_times(values, times(units, calendar))
        variable = xr.Variable("time", values, {"units": units} | ({"calendar": calendar} if calendar else {}))
        coder = xr.coders.CFDatetimeCoder(time_unit="us")
        expected = xr.decode_cf(xr.Dataset({"time": variable}), decode_times=coder).time.values
        np.testing.assert_array_equal(found, expected.astype("M8[us]"))


@pytest.mark.parametrize(
    ("units", "first"),
    [
        ("h since 1900-01-01", "1900-01-01T05"),
        ("microseconds since 1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000005"),
        ("Days Since 1582-10-15", "1582-10-20"),
    ],
)
def test_times_in_other_spellings(units: str, first: str) -> None:
    assert decode_times(np.array([5, 6, 7]), times(units))[0] == np.datetime64(first)


@pytest.mark.parametrize(
    ("units", "calendar"),
    [
        ("hours since 1900-01-01", "noleap"), ("hours since 1900-01-01", "360_day"), ("months since 1900-01-01", None),
        ("hours since then", None), ("days since 0001-01-01", "standard"), ("hours since 1900-13-01", None),
        ("years since 1900-01-01", None), ("hours since 1900-01-01 +05:30", None),
    ],
)  # fmt: skip
def test_times_that_are_no_dates(units: str, calendar: str | None) -> None:
    with pytest.raises(BadRequestError, match="not read as dates") as caught:
        decode_times(np.array([0, 1, 2]), times(units, calendar))
    assert "index" in caught.value.hint


@pytest.mark.parametrize("values", [[0, 1, 2**62], [0.0, 1.0, 1e300], [0.0, float("inf"), 1.0]])
def test_times_beyond_all_time(values: list[float]) -> None:
    with pytest.raises(BadRequestError, match="cannot be"):
        decode_times(np.array(values), times("hours since 1900-01-01"))
