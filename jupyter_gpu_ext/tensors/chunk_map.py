"""Which chunks of a Zarr array are stored and which a selection touches: bits to draw a map of."""

from __future__ import annotations

import asyncio
import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError, DeniedError
from jupyter_gpu_ext.tensors.chunks import grid, touched
from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
from jupyter_gpu_ext.tensors.stored import Stored, stored_sizes
from jupyter_gpu_ext.tensors.zarr_open import open_zarr
from jupyter_gpu_ext.tensors.zarr_store import plan_axes
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode

MOST_CELLS = 1 << 20
MOST_LISTED = 50_000
_NUMBER_CHARS = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkMap:
    """The objects of an array; a cell is a shard, or a chunk where there are no shards.

    Attributes
    ----------
    grid : tuple of int
        Cells along each axis.
    stored : numpy.ndarray or None
        Of bool, a value a cell in C order; None where there are too many cells, or none may be listed.
    complete : bool
        What is not stored is missing, not unknown.
    touched : tuple of numpy.ndarray or None
        Of bool, for each axis the positions that a selection touches; None where there are too many.
    """

    url: str
    name: str
    array: ZarrArray
    grid: tuple[int, ...]
    stored: NDArray[np.bool_] | None
    complete: bool
    touched: tuple[NDArray[np.bool_], ...] | None
    requests: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        array, bits = self.array, self.touched
        return {
            "url": self.url,
            "path": self.name,
            "shape": list(array.shape),
            "dimensions": None if array.dimensions is None else list(array.dimensions),
            "cell_shape": list(array.shards or array.chunks),
            "chunk_shape": list(array.chunks),
            "grid": list(self.grid),
            "cell_count": math.prod(self.grid),
            "stored": None if self.stored is None else _packed(self.stored),
            "stored_count": 0 if self.stored is None else int(self.stored.sum()),
            "complete": self.complete,
            "limit": {"cells": MOST_CELLS, "listed": MOST_LISTED},
            "touched": None if bits is None else [_packed(one) for one in bits],
            "touched_count": 0 if bits is None else math.prod(int(one.sum()) for one in bits),
            "requests": self.requests,
        }


def _packed(bits: NDArray[np.bool_]) -> str:
    return base64.b64encode(np.packbits(bits, bitorder="little").tobytes()).decode()


async def read_chunk_map(url: str, path: str = "", select: str = "") -> ChunkMap:
    """Return the map of an array: its metadata, one bounded listing, and the labels that a selection needs.

    Parameters
    ----------
    url : str
        Of the array, or of a group above it.
    path : str
        The array's name below the group; '' where the URL is the array's.
    select : str
        As for `jg.load`.

    Raises
    ------
    BadRequestError
        When there is no such array, or the selection does not fit it.
    """
    node = await open_zarr(url)
    name, array = _array(node, path)
    axes = await plan_axes(node, name, array, select)
    cells = grid(array)
    few = math.prod(cells) <= MOST_CELLS
    found = await _stored(node, array) if few else None
    return ChunkMap(
        url=node.url,
        name=name,
        array=array,
        grid=cells,
        stored=None if found is None else await asyncio.to_thread(_bits, node, array, found),
        complete=found is not None and found.complete,
        touched=tuple(
            touched(axis, cell, count)
            for axis, cell, count in zip(axes, array.shards or array.chunks, cells, strict=True)
        )
        if few
        else None,
        requests=node.requests,
    )


def _array(node: ZarrNode, path: str) -> tuple[str, ZarrArray]:
    if not path and isinstance(node.root, ZarrArray):
        ((name, array),) = node.arrays.items()
        return name, array
    if path not in node.arrays:
        some = ", ".join(printable(one[:40]) for one in list(node.arrays)[:10]) or "none"
        raise BadRequestError(f"{node.shown} has no array {printable(path[:80])!r}.", hint=f"Its arrays: {some}.")
    return path, node.arrays[path]


async def _stored(node: ZarrNode, array: ZarrArray) -> Stored | None:
    try:
        return await stored_sizes(node.objects, array, MOST_LISTED)
    except (BadRequestError, DeniedError):
        return None


def _bits(node: ZarrNode, array: ZarrArray, found: Stored) -> NDArray[np.bool_]:
    cells = grid(array)
    bits = np.zeros(math.prod(cells), np.bool_)
    if not array.shape:
        bits[0] = node.objects.key(array.key(())) in found.sizes
        return bits
    start = node.objects.key(array.key((0,) * len(cells))).removesuffix(array.separator.join("0" * len(cells)))
    places = [place for key in found.sizes if key.startswith(start) and (place := _place(key[len(start) :], array))]
    inside = [place for place in places if all(at < count for at, count in zip(place, cells, strict=True))]
    if inside:
        bits[np.ravel_multi_index(tuple(np.array(inside).T), cells)] = True
    return bits


def _place(text: str, array: ZarrArray) -> tuple[int, ...] | None:
    parts: Iterable[str] = text.split(array.separator)
    found = tuple(int(one) for one in parts if _is_number(one))
    return found if len(found) == len(array.shape) == text.count(array.separator) + 1 else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _NUMBER_CHARS and (text == "0" or text[0] != "0")
