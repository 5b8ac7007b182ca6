"""The labels of an array's axes: the array of a dimension's name, read whole and once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors import cf
from jupyter_gpu_ext.tensors.array_plan import check_readable, plan_array
from jupyter_gpu_ext.tensors.arrays import read_array
from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
from jupyter_gpu_ext.tensors.labels import Coordinate
from jupyter_gpu_ext.tensors.selection import by_index
from jupyter_gpu_ext.tensors.zarr_open import find_zarr
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.objects import Objects
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode

_MOST_BYTES = 160 << 20


async def coordinate_of(node: ZarrNode, array: ZarrArray, dimension: str) -> Coordinate:
    """Return the labels of a dimension: of the array of its name beside `array`, or in a group above.

    Raises
    ------
    BadRequestError
        When there are none, or none that can be selected by.
    """
    if node.kind == "array":
        return await _beside(node, dimension)
    path = place_of(dimension, array.path, node.arrays)
    if path is None:
        raise no_labels(dimension, node.shown)
    if path not in node.coordinates:
        node.coordinates[path] = await _read(node.objects, node.arrays[path], path)
    return node.coordinates[path]


def place_of(dimension: str, path: str, arrays: Mapping[str, ZarrArray]) -> str | None:
    """Return which array has the labels of a dimension: beside the array at `path` or in a group above, of one axis."""
    parents = path.split("/")[:-1]
    places = ("/".join([*parents[:depth], dimension]) for depth in range(len(parents), -1, -1))
    return next((one for one in places if one in arrays and len(arrays[one].shape) == 1), None)


async def _beside(node: ZarrNode, dimension: str) -> Coordinate:
    folder, slash, _ = node.url.rstrip("/").rpartition("/")
    found = await find_zarr(f"{folder}{slash}{dimension}") if "/" not in dimension else None
    if found is None or not isinstance(found.root, ZarrArray) or len(found.root.shape) != 1:
        raise no_labels(dimension, node.shown)
    try:
        return await _read(found.objects, found.root, dimension)
    finally:
        node.objects.add(found.objects)


async def _read(objects: Objects, array: ZarrArray, name: str) -> Coordinate:
    raw = check_labels(name, array)
    plan = plan_array(name, array, by_index((), array.shape, name), raw=raw)
    values = np.empty(plan.shape, plan.numpy_dtype)
    await read_array(objects, plan, values, Progress(plan.size_bytes))
    return labels_of(name, array, values)


def check_labels(name: str, array: ZarrArray) -> bool:
    """Refuse an array that has no labels; return whether its values are to be read as they are stored."""
    check_readable(name, array)
    if array.size_bytes > _MOST_BYTES or array.stored.kind not in "iuf" or array.dtype == "bfloat16":
        raise BadRequestError(f"{printable(name)!r} has no labels to select by.", hint="Select by index: '0:100'.")
    # What is packed must be unpacked first; a plain count of nanoseconds must not pass through a float.
    packed = {"scale_factor", "add_offset"} & set(array.attributes)
    return cf.is_time(array) and not packed


def labels_of(name: str, array: ZarrArray, values: NDArray[Any]) -> Coordinate:
    """Return labels for the values that `check_labels` asks for."""
    return Coordinate(name, cf.decode_times(values, array) if cf.is_time(array) else values)


def no_labels(dimension: str, shown: str) -> BadRequestError:
    """Return the error for a dimension without labels."""
    return BadRequestError(
        f"{printable(dimension)!r} has no coordinates in {shown}.", hint="Select by index: '0:100, :'."
    )
