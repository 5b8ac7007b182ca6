"""Which part of an array: '0:100, :, ::2' by index, 'time=2020-01:2020-03, latitude=60:30' by label."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import EllipsisType
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Item = slice | int | EllipsisType

_ITEM = re.compile(r"\s*(?:(?P<int>[+-]?\d{1,19})|(?P<slice>[^:]*:[^:]*(?::[^:]*)?)|(?P<dots>\.\.\.))\s*")
_INT = re.compile(r"[+-]?\d{1,19}")
_LONGEST = 4096
_HINT = "By index: '0:100, :, ::2'. By label: 'time=2020-01:2020-03, latitude=60:30'."


@dataclass(frozen=True, slots=True)
class Axis:
    """The indices of one axis that are read, as a range: `start`, `start + step`, … `count` of them.

    Attributes
    ----------
    dropped : bool
        A single integer chose it, and the result has no such axis.
    """

    start: int
    step: int
    count: int
    dropped: bool = False

    @property
    def last(self) -> int:
        """The last index; below `start` where the axis is read backwards."""
        return self.start + self.step * (self.count - 1)


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection as it was written: items in the order of the axes, or texts by the axes' names."""

    items: tuple[Item, ...] = ()
    labels: Mapping[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.items or self.labels)


def parse_selection(text: str) -> Selection:
    """Parse a selection; an empty one is all.

    Raises
    ------
    BadRequestError
        Naming the part that is not of its form.
    """
    if len(text) > _LONGEST:
        raise BadRequestError("The selection is too long.", hint=_HINT)
    parts = text.strip().removesuffix(",").split(",") if text.strip() else []
    if "=" in text:
        return Selection(labels=_labels(parts))
    items = tuple(_item(part) for part in parts)
    if items.count(...) > 1:
        raise BadRequestError("A selection has '...' once at most.", hint=_HINT)
    return Selection(items)


def _labels(parts: Sequence[str]) -> dict[str, str]:
    found = dict[str, str]()
    for part in parts:
        name, equals, value = (one.strip() for one in part.partition("="))
        if not (name and equals and value):
            raise BadRequestError(f"{part.strip()!r} is no selection by label.", hint=_HINT)
        if name in found:
            raise BadRequestError(f"{printable(name)!r} is selected twice.", hint=_HINT)
        found[name] = value
    return found


def _item(part: str) -> Item:
    found = _ITEM.fullmatch(part)
    if found is None:
        raise BadRequestError(f"{part.strip()!r} is no index and no range of indices.", hint=_HINT)
    if found["dots"]:
        return ...
    if found["int"]:
        return int(found["int"])
    numbers = [_number_or_none(one, part) for one in found["slice"].split(":")]
    if numbers[2:] == [0]:
        raise BadRequestError(f"{part.strip()!r} has a step of 0.", hint="A step is 1, 2, … or -1, -2, …")
    return slice(*numbers)


def _number_or_none(text: str, part: str) -> int | None:
    if text.strip() and not _INT.fullmatch(text.strip()):
        raise BadRequestError(f"{part.strip()!r} is no range of indices.", hint=_HINT)
    return int(text) if text.strip() else None


def by_index(items: Sequence[Item], shape: Sequence[int], shown: str) -> tuple[Axis, ...]:
    """Return what the items choose of an array of that shape, by the rules of numpy's basic indexing.

    Parameters
    ----------
    items : sequence
        Slices, integers, at most one '...'; axes that none is for are read whole.
    shown : str
        The array's name, for messages.

    Raises
    ------
    BadRequestError
        When there are more items than axes, or an integer lies outside its axis.
    """
    named = sum(one is not ... for one in items)
    if named > len(shape):
        rank = f"{len(shape)} axis" if len(shape) == 1 else f"{len(shape)} axes"
        raise BadRequestError(
            f"{shown} has {rank}, the selection has {named}.", hint="--keys GLOB chooses the arrays that it fits."
        )
    full = list[slice | int]()
    for item in items if ... in items else (*items, ...):
        full += [slice(None)] * (len(shape) - named) if isinstance(item, EllipsisType) else [item]
    return tuple(_axis(item, size, axis, shown) for axis, (item, size) in enumerate(zip(full, shape, strict=True)))


def _axis(item: slice | int, size: int, axis: int, shown: str) -> Axis:
    if isinstance(item, int):
        if not -size <= item < size:
            raise BadRequestError(f"{shown} has {size} entries along axis {axis}: there is no {item}.", hint=_HINT)
        return Axis(item % size, 1, 1, dropped=True)
    found = range(*item.indices(size))
    # `len` ends at what a machine word holds.
    count = max(0, -(-(found.stop - found.start) // found.step))
    return Axis(found.start, found.step, count) if count else Axis(0, 1, 0)


def shape_of(axes: Sequence[Axis]) -> tuple[int, ...]:
    """Return the shape of the result."""
    return tuple(one.count for one in axes if not one.dropped)


def count_of(axes: Sequence[Axis]) -> int:
    """Return how many elements are chosen."""
    return math.prod(one.count for one in axes)
