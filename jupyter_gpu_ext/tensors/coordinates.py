"""The labels of an array's axes: the array of a dimension's name, read whole and once."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    parents = array.path.split("/")[:-1]
    for depth in range(len(parents), -1, -1):
        path = "/".join([*parents[:depth], dimension])
        found = node.arrays.get(path)
        if found is not None and len(found.shape) == 1:
            if path not in node.coordinates:
                node.coordinates[path] = await _read(node.objects, found, path)
            return node.coordinates[path]
    raise _none(node, dimension)


async def _beside(node: ZarrNode, dimension: str) -> Coordinate:
    folder, slash, _ = node.url.rstrip("/").rpartition("/")
    found = await find_zarr(f"{folder}{slash}{dimension}") if "/" not in dimension else None
    if found is None or not isinstance(found.root, ZarrArray) or len(found.root.shape) != 1:
        raise _none(node, dimension)
    try:
        return await _read(found.objects, found.root, dimension)
    finally:
        node.objects.add(found.objects)


async def _read(objects: Objects, array: ZarrArray, name: str) -> Coordinate:
    check_readable(name, array)
    if array.size_bytes > _MOST_BYTES or array.stored.kind not in "iuf" or array.dtype == "bfloat16":
        raise BadRequestError(f"{printable(name)!r} has no labels to select by.", hint="Select by index: '0:100'.")
    dates = cf.is_time(array)
    # What is packed must be unpacked first; a plain count of nanoseconds must not pass through a float.
    packed = {"scale_factor", "add_offset"} & set(array.attributes)
    plan = plan_array(name, array, by_index((), array.shape, name), raw=dates and not packed)
    values = np.empty(plan.shape, plan.numpy_dtype)
    await read_array(objects, plan, values, Progress(plan.size_bytes))
    return Coordinate(name, cf.decode_times(values, array) if dates else values)


def _none(node: ZarrNode, dimension: str) -> BadRequestError:
    return BadRequestError(
        f"{printable(dimension)!r} has no coordinates in {node.shown}.", hint="Select by index: '0:100, :'."
    )
