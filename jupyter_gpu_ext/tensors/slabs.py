"""Cut a planned array into slabs that fit a host buffer: along the first axis, at the borders of its chunks."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.tensors.chunks import plan_chunks, steps
from jupyter_gpu_ext.tensors.selection import Axis, shape_of
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan

_Cuts = list[tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """A part of one result that is read at a time: `result[place]`.

    Attributes
    ----------
    plan : ArrayPlan
        The read of this part alone.
    place : tuple of slice
        One an axis of the result.
    start_bytes : int or None
        Where it begins in the result's bytes; None where it is not one stretch of them.
    """

    plan: ArrayPlan
    place: tuple[slice, ...]
    start_bytes: int | None

    @property
    def size_bytes(self) -> int:
        """Bytes of the part, as numpy holds it."""
        return self.plan.size_bytes


def cut(plan: ArrayPlan, most_bytes: int) -> Iterator[Slab]:
    """Yield the slabs of a result in its order.

    A slab holds whole rows of chunks (of shards, where one fits), as many as fit into `most_bytes`; where one row does
    not fit, the next axis is cut too. No slab is smaller than what is wanted of one chunk, and each chunk is decoded
    once.
    """
    for places in itertools.product(*_cuts(plan, most_bytes)):
        yield _slab(plan, places)


def whole(plan: ArrayPlan) -> Slab:
    """Return the slab that is all of the result."""
    return Slab(plan, tuple(slice(0, size) for size in plan.shape), 0)


def count(plan: ArrayPlan, most_bytes: int) -> int:
    """Return how many slabs `cut` yields."""
    return math.prod(len(axis) for axis in _cuts(plan, most_bytes))


def largest(plan: ArrayPlan, most_bytes: int) -> tuple[int, bool]:
    """Return the bytes of the largest slab of `cut`, and whether each slab is one stretch of the result's bytes."""
    lengths = [max((b - a for a, b in axis), default=0) for axis in _cuts(plan, most_bytes)]
    kept = [(0, length) for length, axis in zip(lengths, plan.axes, strict=True) if not axis.dropped]
    return math.prod(lengths) * _item(plan), _start(plan, kept) is not None


def _cuts(plan: ArrayPlan, most_bytes: int) -> list[_Cuts]:
    if not plan.size_bytes:
        return [[] for _ in plan.axes]
    array = plan.array
    if array.shards is not None:
        found = _along(plan, array.shards, most_bytes)
        if math.prod(max(b - a for a, b in axis) for axis in found) * _item(plan) <= most_bytes:
            return found
    return _along(plan, array.chunks, most_bytes)


def _along(plan: ArrayPlan, grid: Sequence[int], most_bytes: int) -> list[_Cuts]:
    found: list[_Cuts] = []
    before = _item(plan)
    for at, (axis, size) in enumerate(zip(plan.axes, grid, strict=True)):
        pieces = steps(axis, size)
        longest = max(b - a for a, b in pieces)
        after = math.prod(one.count for one in plan.axes[at + 1 :])
        room = most_bytes // (before * after)
        found.append(pieces if room < longest else _joined(pieces, room))
        before *= max(b - a for a, b in found[-1])
    return found


def _joined(pieces: _Cuts, most: int) -> _Cuts:
    joined = pieces[:1]
    for start, stop in pieces[1:]:
        if stop - joined[-1][0] <= most:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _slab(plan: ArrayPlan, places: Sequence[tuple[int, int]]) -> Slab:
    axes = tuple(
        Axis(axis.start + axis.step * a, axis.step, b - a, axis.dropped)
        for axis, (a, b) in zip(plan.axes, places, strict=True)
    )
    objects = tuple(plan_chunks(plan.array, axes, printable(plan.name)))
    part = dataclasses.replace(plan, axes=axes, shape=shape_of(axes), objects=objects)
    kept = [one for one, axis in zip(places, plan.axes, strict=True) if not axis.dropped]
    return Slab(part, tuple(slice(a, b) for a, b in kept), _start(plan, kept))


def _start(plan: ArrayPlan, places: Sequence[tuple[int, int]]) -> int | None:
    lengths = [b - a for a, b in places]
    # One entry of each axis, then a range of one, then all of the others.
    free = next((at for at, length in enumerate(lengths) if length > 1), len(lengths))
    if any(length != size for length, size in zip(lengths[free + 1 :], plan.shape[free + 1 :], strict=True)):
        return None
    start = 0
    for (a, _), size in zip(places, plan.shape, strict=True):
        start = start * size + a
    return start * _item(plan)


def _item(plan: ArrayPlan) -> int:
    return plan.numpy_dtype.itemsize
