"""CF conventions: packed and missing values as floats, times as dates; the rules are xarray's.

Sources: https://cfconventions.org/cf-conventions/cf-conventions.html (2.5.1, 4.4, 8.1) and, for the types of
results, `mask_and_scale` of https://docs.xarray.dev/en/stable/generated/xarray.open_zarr.html
"""

from __future__ import annotations

import base64
import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError, TensorFormatError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray

_UNITS = {
    "microsecond": 1, "millisecond": 1_000, "second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000,
    "day": 86_400_000_000,
}  # fmt: skip
_SHORT = {
    "us": "microsecond", "ms": "millisecond", "msec": "millisecond", "s": "second", "sec": "second", "min": "minute",
    "h": "hour", "hr": "hour", "d": "day",
}  # fmt: skip
_SINCE = re.compile(
    r"(?P<unit>[a-z]+)\s+since\s+(?P<date>-?\d{1,4}-\d{1,2}-\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2}(?:\.\d{0,9})?))?)?\s*(?:Z|UTC|\+?00:?00)?",
    re.IGNORECASE,
)
_CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}
_GREGORIAN = np.datetime64("1582-10-15", "us")
# Below this a float64 still counts in tenths of a microsecond.
_MOST_MICROSECONDS = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Decoding:
    """How stored values become the ones that are meant.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the result.
    view : numpy.dtype or None
        The integers are signed or unsigned after all.
    masked : tuple
        Stored values that mean 'missing'.
    masked_dtype : numpy.dtype or None
        In which they are compared.
    scale, offset : int, float or None
    """

    dtype: np.dtype[Any]
    view: np.dtype[Any] | None = None
    masked: tuple[Any, ...] = ()
    masked_dtype: np.dtype[Any] | None = None
    scale: float | None = None
    offset: float | None = None

    def __call__(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the meant values of an array; always a new one."""
        values = stored.view(self.view) if self.view is not None else stored
        if self.masked:
            missing = np.zeros(values.shape, bool)
            values = np.array(values, dtype=self.masked_dtype)
            for one in self.masked:
                missing |= values == one
            values[missing] = np.nan
        values = np.array(values, dtype=self.dtype)
        if self.scale is not None:
            values *= self.scale
        if self.offset is not None:
            values += self.offset
        return values


def decoding_of(array: ZarrArray) -> Decoding | None:
    """Return how an array's values are decoded, None when they are meant as they are stored.

    Raises
    ------
    TensorFormatError
        When `scale_factor` or another of these attributes is no number.
    """
    found, stored = array.attributes, array.native
    if array.dtype == "bfloat16" or "time" in array.dtype or stored.kind not in "iufb":
        return None
    if found.get("dtype") == "bool" and stored.kind in "iu":
        # xarray keeps booleans in bytes, as netCDF has none.
        return Decoding(np.dtype(bool))
    if stored.kind == "b":
        return None
    scale, offset = (_number(found.get(key), key, array) for key in ("scale_factor", "add_offset"))
    view = _signedness(found.get("_Unsigned"), stored)
    missing, kept = _missing(array, view)
    packed = scale is not None or offset is not None
    if not (packed or missing or view):
        return None
    seen = view or stored
    masked_dtype = _promoted(seen, scale, offset) if missing else None
    dtype = masked_dtype or (_promoted(seen, scale, offset) if packed and not kept else seen)
    return Decoding(np.dtype(dtype), view, tuple(missing), masked_dtype, scale, offset)


def _number(found: object, key: str, array: ZarrArray) -> float | None:
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if found is not None and (type(found) not in (int, float) or not math.isfinite(found)):  # type: ignore[arg-type]
        raise TensorFormatError(
            f"{printable(array.path)!r} has the {key} {printable(str(found)[:40])!r}, which is no number.",
            hint="raw=True gives the stored values.",
        )
    return found  # type: ignore[return-value]


def _signedness(found: object, stored: np.dtype[Any]) -> np.dtype[Any] | None:
    if (stored.kind, found) in (("i", "true"), ("u", "false")):
        return np.dtype(f"{'u' if stored.kind == 'i' else 'i'}{stored.itemsize}")
    return None


def _missing(array: ZarrArray, view: np.dtype[Any] | None) -> tuple[list[Any], bool]:
    """Return the stored values that mean 'missing', and whether any attribute about them counts."""
    stored = array.native
    found = {"missing_value": array.attributes.get("missing_value"), "_FillValue": _fill(array)}
    values, kept = list[Any](), False
    for key, value in found.items():
        if value is None:
            continue
        numbers = [one for one in np.ravel(value) if one.dtype.kind in "iuf" and not np.isnan(one)]
        kept |= bool(numbers) or stored.kind == "f"
        if key == "_FillValue" and view is not None:
            numbers = [np.array(one).astype(stored).view(view)[()] for one in numbers]
        if stored.kind == "f":
            # A number written in decimals means the element that is nearest to it.
            numbers += [stored.type(one) for one in numbers]
        values += numbers
    return values, kept


def _fill(array: ZarrArray) -> Any:
    """Return the `_FillValue`: in version 2 it is the array's fill value, where xarray wrote the store."""
    found = array.attributes.get("_FillValue")
    if array.version == 2:
        return array.fill if array.fill_given and array.dimensions is not None else found
    if isinstance(found, str):
        # In version 3 xarray writes the eight bytes of a float in base64.
        try:
            return struct.unpack("<d", base64.b64decode(found, validate=True))[0]
        except (ValueError, struct.error):
            return None
    return found


def _promoted(dtype: np.dtype[Any], scale: float | None, offset: float | None) -> np.dtype[Any]:
    # xarray's rules. JSON knows one width of float, hence float64 as soon as something is packed.
    if scale is not None or offset is not None:
        return np.dtype(np.float64)
    if dtype.kind == "f":
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)


def is_time(array: ZarrArray) -> bool:
    """Tell whether an array's values are dates: by their type, or numbers 'since' a date."""
    units = array.attributes.get("units")
    return array.dtype.startswith("datetime64[") or (isinstance(units, str) and " since " in units)


def decode_times(values: NDArray[Any], array: ZarrArray) -> NDArray[np.datetime64]:
    """Return dates, to the microsecond.

    Raises
    ------
    BadRequestError
        For a calendar or a unit that numpy's dates cannot hold.
    """
    if array.dtype.startswith("datetime64["):
        return values.view(array.dtype).astype("M8[us]")
    calendar = str(array.attributes.get("calendar", "standard")).lower()
    units = str(array.attributes["units"])
    found = _SINCE.fullmatch(units.strip())
    unit = found["unit"].lower() if found else ""
    unit = _SHORT.get(unit, unit.removesuffix("s") if unit not in _SHORT else unit)
    if calendar not in _CALENDARS or found is None or unit not in _UNITS:
        raise _not_dates(array, calendar, units)
    try:
        start = _moment(found)
    except ValueError:
        raise _not_dates(array, calendar, units) from None
    dates = start + _microseconds(values, _UNITS[unit], array)
    if calendar != "proleptic_gregorian" and (start < _GREGORIAN or (dates < _GREGORIAN).any()):
        raise _not_dates(array, "Julian before October 1582", units)
    return dates


def _moment(found: re.Match[str]) -> np.datetime64:
    year, month, day = found["date"].lstrip("-").split("-")
    second, _, fraction = (found["second"] or "0").partition(".")
    text = f"{int(year):04}-{int(month):02}-{int(day):02}T{int(found['hour'] or 0):02}:{int(found['minute'] or 0):02}"
    return np.datetime64(f"{text}:{int(second):02}.{fraction[:6]:0<6}", "us")


def _microseconds(values: NDArray[Any], unit: int, array: ZarrArray) -> NDArray[np.timedelta64]:
    sizes = np.abs(values.astype(np.float64))
    if sizes[~np.isnan(sizes)].max(initial=0) >= _MOST_MICROSECONDS / unit:
        raise BadRequestError(f"{printable(array.path)!r} has dates that cannot be.", hint="Select by index.")
    if values.dtype.kind in "iu":
        return (values.astype(np.int64) * unit).view("m8[us]")
    missing = np.isnan(values)
    found = np.round(np.where(missing, 0, values).astype(np.float64) * unit).astype(np.int64).view("m8[us]")
    found[missing] = np.timedelta64("NaT")
    return found


def _not_dates(array: ZarrArray, calendar: str, units: str) -> BadRequestError:
    return BadRequestError(
        f"{printable(array.path)!r} counts {printable(units[:60])!r} (calendar {printable(calendar[:30])}), "
        "which is not read as dates.",
        hint="Select by index: '0:100'.",
    )
