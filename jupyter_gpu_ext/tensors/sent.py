"""Values as a browser takes them: little-endian numbers that JavaScript has an array for.

Floats of 16 and 8 bits become 32 bits wide, by arithmetic: the server has no torch. Dates become milliseconds since
1970, which is what a browser counts in.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MILLISECONDS = "ms since 1970-01-01"

# Exponent bits and bias. OCP 8-bit floating point specification; fnuz: https://onnx.ai/onnx/technical/float8.html
_FLOAT8 = {
    "float8_e4m3fn": (4, 7), "float8_e5m2": (5, 15), "float8_e4m3fnuz": (4, 8), "float8_e5m2fnuz": (5, 16),
    "float8_e8m0fnu": (8, 127),
}  # fmt: skip
_SENT = {"float16": "<f4", "bfloat16": "<f4", **dict.fromkeys(_FLOAT8, "<f4"), "complex32": "<c8"}
_HELD = {"bool": "|u1", "bfloat16": "<u2", **dict.fromkeys(_FLOAT8, "|u1"), "complex32": "<u4"}


def sent_dtype(dtype: str) -> np.dtype[Any]:
    """Return the type in which a browser gets elements of a type, by torch's or numpy's name."""
    if dtype.startswith("timedelta64"):
        return np.dtype("<f8")
    return np.dtype(_SENT.get(dtype, dtype)).newbyteorder("<")


def held_dtype(dtype: str) -> np.dtype[Any]:
    """Return the type in which numpy holds an element's bytes as they lie in a tensor file."""
    return np.dtype(_HELD.get(dtype, dtype)).newbyteorder("<")


def widened(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return values of a type, held by numpy, as they are sent."""
    flat = values.reshape(-1)
    if dtype == "bfloat16":
        # The upper half of a float32.
        found = (flat.astype("<u4") << np.uint32(16)).view("<f4")
    elif dtype in _FLOAT8:
        found = _float8(dtype)[flat]
    elif dtype == "complex32":
        found = flat.astype("<u4").view("<f2").astype("<f4").view("<c8")
    elif dtype == "bool":
        found = flat != 0
    elif dtype.startswith("timedelta64"):
        found = np.where(flat == np.iinfo(np.int64).min, np.nan, flat.astype("<f8"))
    else:
        found = flat.astype(sent_dtype(dtype), copy=False)
    return found.reshape(values.shape)


def milliseconds(dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return dates as milliseconds since 1970, NaN where there is none."""
    counts = dates.astype("M8[us]").view(np.int64)
    return np.where(np.isnat(dates), np.nan, counts / 1000).astype("<f8")


@functools.cache
def _float8(dtype: str) -> NDArray[np.float32]:
    """Return what each of the 256 bytes means."""
    bits, bias = _FLOAT8[dtype]
    codes = np.arange(256)
    if bits == 8:
        # An exponent and nothing else.
        return np.where(codes == 255, np.nan, 2.0 ** (codes - bias)).astype("<f4")
    steps = 2 ** (7 - bits)
    exponent, fraction = codes % 128 // steps, codes % steps / steps
    size = np.where(exponent == 0, fraction * 2.0 ** (1 - bias), (1 + fraction) * 2.0 ** (exponent - bias))
    if dtype == "float8_e5m2":
        size = np.where(exponent == 31, np.where(fraction == 0, np.inf, np.nan), size)
    missing = codes == 128 if dtype.endswith("uz") else (codes % 128 == 127) & (dtype == "float8_e4m3fn")
    return np.where(missing, np.nan, np.where(codes < 128, size, -size)).astype("<f4")
