"""A value in a form that another run's can be compared with, and how the two differ.

Numbers and texts stand there as they are; of arrays the dtype, the shape and a hash, and the numbers themselves where
they are few enough to be kept.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

Said = dict[str, Any]

# An array of more is known by its hash and four figures; all that are kept together stay below the second.
_KEPT_BYTES = 8 << 20
MOST_BYTES = 32 << 20
_DEEPEST = 8
_MOST_ITEMS = 10_000
_LONGEST_TEXT = 20_000
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf)\b")


class Describer:
    """Describes values, and keeps the numbers of arrays.

    Parameters
    ----------
    prefix : str
        What their names begin with.

    Attributes
    ----------
    arrays : dict of str to numpy.ndarray
        What was kept, by the names that the descriptions give as `at`.
    """

    def __init__(self, prefix: str = "a") -> None:
        self._prefix = prefix
        self.arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._room = MOST_BYTES

    def describe(self, value: Any, depth: int = 0) -> Said:
        """Return what can be said of a value; its kind is 'unknown' where it cannot be compared."""
        match value:
            case None | bool() | int():
                return {"kind": "plain", "value": value if value is None or type(value) is bool else str(int(value))}
            case float():
                return {"kind": "number", "value": repr(float(value))}
            case str():
                return _text(value)
            case bytes() | bytearray():
                return {"kind": "bytes", "sha256": hashlib.sha256(value).hexdigest()}
        array = _array_of(value)
        if array is not None:
            return self._array(*array)
        if depth >= _DEEPEST:
            return _unknown(value)
        return self._nested(value, depth)

    def _nested(self, value: Any, depth: int) -> Said:
        state = _state_of(value)
        if state is not None:
            value = state
        if isinstance(value, Mapping) and len(value) <= _MOST_ITEMS:
            items = {repr(key): self.describe(one, depth + 1) for key, one in value.items()}
            return {"kind": "map", "items": items}
        if isinstance(value, list | tuple) and len(value) <= _MOST_ITEMS:
            return {"kind": "list", "items": [self.describe(one, depth + 1) for one in value]}
        return _unknown(value)

    def _array(self, array: np.ndarray[Any, Any], dtype: str) -> Said:
        whole = np.ascontiguousarray(array)
        said: Said = {
            "kind": "array",
            "dtype": dtype,
            "shape": list(array.shape),
            "sha256": hashlib.sha256(whole.tobytes()).hexdigest(),
        }
        if array.dtype.kind in "fiub" and array.size:
            wide = whole.astype(np.float64)
            figures = (wide.min(), wide.max(), wide.mean(), math.sqrt(float(np.square(wide).mean())))
            said["figures"] = [repr(float(one)) for one in figures]
        if whole.nbytes <= min(_KEPT_BYTES, self._room):
            self._room -= whole.nbytes
            said["at"] = f"{self._prefix}{len(self.arrays)}"
            self.arrays[said["at"]] = whole
        return said


class Comparer:
    """Compares two descriptions.

    Parameters
    ----------
    expected, found : mapping of str to numpy.ndarray
        The arrays that belong to them.
    tolerance : float
        How far numbers may lie apart, in proportion to the larger one; and absolutely for those near zero.
    """

    def __init__(self, expected: Mapping[str, Any], found: Mapping[str, Any], tolerance: float) -> None:
        self._expected = expected
        self._found = found
        self._tolerance = tolerance

    def compare(self, one: Said, other: Said, path: str = "") -> list[str]:
        """Return a sentence for each difference; none where the two are the same."""
        if one["kind"] != other["kind"] and {one["kind"], other["kind"]} != {"plain", "number"}:
            return [f"{path or 'it'} was {one['kind']}, and is {other['kind']}"]
        match one["kind"]:
            case "map":
                return self._maps(one["items"], other["items"], path)
            case "list":
                return self._lists(one["items"], other["items"], path)
            case "array":
                return self._arrays(one, other, path)
            case "text" if "value" in one and "value" in other:
                return [] if self.same_text(one["value"], other["value"]) else [_differs(path, one, other)]
            case "number" | "plain":
                same = one["value"] == other["value"] or self._near(one["value"], other["value"])
                return [] if same else [_differs(path, one, other)]
            case "unknown":
                return []
        return [] if one == other else [f"{path or 'it'} has other bytes"]

    def same_text(self, one: str, other: str) -> bool:
        """Return whether two texts differ in their numbers alone, and those within the tolerance."""
        if _NUMBER.sub("0", one) != _NUMBER.sub("0", other):
            return False
        pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
        return all(a == b or ("." in a + b and self._near(a, b)) for a, b in pairs)

    def _near(self, one: Any, other: Any) -> bool:
        try:
            a, b = float(one), float(other)
        except (TypeError, ValueError):
            return False
        is_whole = isinstance(one, str) and isinstance(other, str) and (one + other).lstrip("-").isdecimal()
        return not is_whole and (a == b or math.isclose(a, b, rel_tol=self._tolerance, abs_tol=self._tolerance))

    def _maps(self, one: dict[str, Said], other: dict[str, Said], path: str) -> list[str]:
        lacks = [f"{path}[{key}] is missing" for key in one.keys() - other.keys()]
        more = [f"{path}[{key}] is new" for key in other.keys() - one.keys()]
        inner = [text for key in one if key in other for text in self.compare(one[key], other[key], f"{path}[{key}]")]
        return [*sorted(lacks), *sorted(more), *inner]

    def _lists(self, one: list[Said], other: list[Said], path: str) -> list[str]:
        if len(one) != len(other):
            return [f"{path or 'it'} had {len(one)} items, and has {len(other)}"]
        pairs = enumerate(zip(one, other, strict=True))
        return [text for number, (a, b) in pairs for text in self.compare(a, b, f"{path}[{number}]")]

    def _arrays(self, one: Said, other: Said, path: str) -> list[str]:
        where = path or "it"
        if (one["dtype"], one["shape"]) != (other["dtype"], other["shape"]):
            return [f"{where} was {one['dtype']} {one['shape']}, and is {other['dtype']} {other['shape']}"]
        if one["sha256"] == other["sha256"]:
            return []
        a, b = self._expected.get(one.get("at", "")), self._found.get(other.get("at", ""))
        if a is None or b is None or a.dtype.kind not in "fc":
            # Too large to be kept: the figures of its distribution stand for it.
            near = one.get("figures") and all(map(self._near, one["figures"], other.get("figures", ())))
            return [] if near and "float" in one["dtype"] else [f"{where} has other values"]
        if np.allclose(a, b, rtol=self._tolerance, atol=self._tolerance, equal_nan=True):
            return []
        away = np.abs(a.astype(np.complex128) - b.astype(np.complex128))
        known = away[np.isfinite(away)]
        return [f"{where} differs by up to {known.max():.3g}" if known.size else f"{where} has other values"]


def _differs(path: str, one: Said, other: Said) -> str:
    return f"{path or 'it'} was {_short(one['value'])}, and is {_short(other['value'])}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _text(value: str) -> Said:
    if len(value) <= _LONGEST_TEXT:
        return {"kind": "text", "value": value}
    return {"kind": "bytes", "sha256": hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()}


def _unknown(value: Any) -> Said:
    return {"kind": "unknown", "type": f"{type(value).__module__}.{type(value).__qualname__}"}


def _array_of(value: Any) -> tuple[np.ndarray[Any, Any], str] | None:
    torch: Any = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _of_tensor(torch, value)
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return None if array.dtype.hasobject else (array, str(array.dtype))
    # pandas and xarray know how to become arrays; only asked where they are loaded.
    if type(value).__module__.partition(".")[0] in ("pandas", "xarray"):
        array = np.asarray(value)
        return None if array.dtype.hasobject else (array, str(array.dtype))
    return None


def _of_tensor(torch: Any, tensor: Any) -> tuple[np.ndarray[Any, Any], str] | None:
    try:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        if plain.dtype in (torch.bfloat16, torch.float16):
            # numpy has no bfloat16; every value of it is a float32.
            plain = plain.float()
        return plain.contiguous().numpy(), str(tensor.dtype)
    except (RuntimeError, TypeError, NotImplementedError):
        return None


def _state_of(value: Any) -> Mapping[Any, Any] | None:
    torch: Any = sys.modules.get("torch")
    kinds = (torch.nn.Module, torch.optim.Optimizer) if torch is not None else ()
    state = value.state_dict() if isinstance(value, kinds) else None
    return state if isinstance(state, Mapping) else None
