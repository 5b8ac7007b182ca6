"""Loads without torch: the same pipeline into NumPy arrays, and it says so."""

from __future__ import annotations

import importlib
import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import NotInstalledError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors.assembly import Assembly
from jupyter_gpu_ext.tensors.copies import HostCopies
from jupyter_gpu_ext.tensors.device import Target, ring_bytes
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from jupyter_gpu_ext.tensors.open import open_tensors
from jupyter_gpu_ext.tensors.plan import make_plan
from jupyter_gpu_ext.tensors.read import read_plan
from jupyter_gpu_ext.tensors.receipt import Receipt
from jupyter_gpu_ext.tensors.tree import Value, replace
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_gpu_ext.storage.ranges import ByteRange
    from jupyter_gpu_ext.tensors.models import Tensor
    from jupyter_gpu_ext.tensors.plan import FetchPlan

_INSTALL = "%pip install torch"


def load_arrays(
    url: str,
    *,
    device: str,
    keys: Sequence[str],
    dtype: Any,
    cache: bool | None,
    name: str,
    report: Callable[[Progress], None],
) -> tuple[Any, Receipt]:
    """Load what `loader.load_named` loads, as arrays in RAM.

    Raises
    ------
    NotInstalledError
        For devices, conversions and types that only torch has.
    """
    if device not in ("auto", "cpu") or dtype is not None:
        raise NotInstalledError(
            "Devices and conversions need torch, which this kernel does not have.",
            hint=f"{_INSTALL}; without it, arrays are loaded into RAM as they are.",
        )
    started = time.monotonic()
    opened = LOOP.run(open_tensors(url, keys=keys, cache=cache), tick=lambda: report(Progress(total_bytes=0)))
    plan, shown = make_plan(opened.file, keys), printable(opened.file.url)
    _types(plan, shown)
    assembly = Assembly(plan, {"cpu": _ArrayCopies()}, dict.fromkeys(plan.spans, "cpu"), shown)
    progress = Progress(plan.bytes_read)

    def tick() -> None:
        progress.notice = opened.notice
        report(progress)

    LOOP.run(
        read_plan(opened.readers, assembly, progress, ring_bytes=ring_bytes(os.environ, on_device=False)), tick=tick
    )
    made: list[tuple[str, int, Any]] = []
    build = ArrayBuilder(assembly.storages, plan, shown)

    def leaf(one: Tensor | Value) -> Any:
        value = build(one)
        if not isinstance(one, Value):
            made.append((one.storage, plan.spans[one.storage].size_bytes, value))
        return value

    value = replace(opened.file.tree if not keys else dict(plan.tensors), leaf)
    target = Target("cpu")
    HOLDINGS.add(name, opened.file.url, target, made)
    receipt = Receipt(
        url=opened.file.url,
        device=target.shown,
        tensor_count=len(plan.tensors),
        size_bytes=plan.bytes_used,
        bytes_read=opened.bytes_read,
        requests=opened.requests,
        retries=opened.retries,
        checked_bytes=assembly.checksums.checked_bytes,
        seconds=time.monotonic() - started,
        bytes_cached=opened.bytes_cached,
        notes=("NumPy arrays, since torch is not installed", *opened.file.notes),
    )
    return value, receipt


class ArrayBuilder:
    """Make arrays over the storages of one load.

    Parameters
    ----------
    storages : mapping of str to numpy.ndarray
        The bytes of each storage's span.

    Raises
    ------
    NotInstalledError
        For types that only torch has.
    """

    def __init__(self, storages: Mapping[str, Any], plan: FetchPlan, shown: str) -> None:
        self._storages = storages
        self._spans = plan.spans
        self._types = _types(plan, shown)

    def __call__(self, leaf: Tensor | Value) -> Any:
        """Return the value of a leaf; arrays of one storage share it."""
        if isinstance(leaf, Value):
            return _value(leaf)
        return _array(leaf, self._storages, self._spans, self._types[leaf.dtype])


def _types(plan: FetchPlan, shown: str) -> dict[str, np.dtype[Any]]:
    if plan.regions:
        raise NotInstalledError(
            f"{shown} has tensors in parts, which torch puts together; this kernel does not have it.", hint=_INSTALL
        )
    found = {}
    for dtype in {one.dtype for one in plan.tensors.values()}:
        twin = _twin(dtype)
        if twin is None:
            raise NotInstalledError(
                f"{shown} holds {dtype}, which NumPy has no type for, and this kernel has no torch.",
                hint=f"{_INSTALL}; or %pip install ml_dtypes for bfloat16 and float8.",
            )
        found[dtype] = twin
    return found


def _twin(dtype: str) -> np.dtype[Any] | None:
    if dtype.startswith(("bfloat", "float8")):
        try:
            ml_dtypes = importlib.import_module("ml_dtypes")
        except ImportError:
            return None
        return np.dtype(getattr(ml_dtypes, dtype)) if hasattr(ml_dtypes, dtype) else None
    return None if dtype == "complex32" else np.dtype(dtype).newbyteorder("<")


def _array(
    one: Tensor, storages: Mapping[str, Any], spans: Mapping[str, ByteRange], dtype: np.dtype[Any]
) -> np.ndarray[Any, Any]:
    item = ITEM_BYTES[one.dtype]
    return np.ndarray(
        one.shape,
        dtype,
        buffer=storages[one.storage] if 0 not in one.shape else None,
        offset=one.offset * item - spans[one.storage].start if 0 not in one.shape else 0,
        strides=[step * item for step in one.stride] if 0 not in one.shape else None,
    )


def _value(value: Value) -> Any:
    if value.kind == "dtype":
        return _twin(value.payload) or value.payload
    return value.payload


class _ArrayCopies(HostCopies):
    """Room and buffers that are arrays."""

    def empty(self, size_bytes: int) -> Any:
        """Return room for that many bytes."""
        return np.empty(size_bytes, dtype=np.uint8)

    def host_buffer(self, size_bytes: int) -> tuple[Any, memoryview]:
        """Return memory to copy from."""
        buffer = np.empty(size_bytes, dtype=np.uint8)
        return buffer, self.memory(buffer)

    def memory(self, room: Any) -> memoryview:
        """Return its bytes."""
        return memoryview(room)

    def part(self, room: Any, start: int, stop: int) -> Any:
        """Return a stretch."""
        return room[start:stop]

    def copy(self, to: Any, source: Any) -> None:
        """Copy."""
        np.copyto(to, source)
