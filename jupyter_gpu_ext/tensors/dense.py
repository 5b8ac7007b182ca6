"""Parts of tensors that lie in one piece: which bytes they are, and their places in the result. Pure."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import TooLargeError
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.tensors.chunks import join

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.models import Tensor, TensorFile
    from jupyter_gpu_ext.tensors.selection import Axis

# What lies further apart is asked for in two requests.
_GAP_BYTES = 1 << 20
_WINDOW_BYTES = 8 << 20
_MOST_WINDOWS = 50_000


@dataclass(frozen=True, slots=True)
class Part:
    """Elements of one storage, and their place in the result.

    Attributes
    ----------
    first : int
        Offset of the first one, in elements.
    steps, counts : tuple of int
        One an axis, in elements; steps may be negative or 0.
    target : tuple of slice
        Over all axes of the selection, dropped ones included.
    """

    storage: str
    first: int
    steps: tuple[int, ...]
    counts: tuple[int, ...]
    target: tuple[slice, ...]

    @property
    def extent(self) -> tuple[int, int]:
        """The lowest element and the one after the highest."""
        reach = [step * (count - 1) for step, count in zip(self.steps, self.counts, strict=True)]
        return self.first + sum(min(0, one) for one in reach), self.first + sum(max(0, one) for one in reach) + 1

    def window(self, item_bytes: int) -> ByteRange:
        """Bytes of the storage from the lowest to the highest element."""
        low, high = self.extent
        return ByteRange(low * item_bytes, high * item_bytes)

    def seen(self, data: bytearray, at: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the elements out of bytes that begin at byte `at` of the storage."""
        strides = [step * dtype.itemsize for step in self.steps]
        return np.ndarray(self.counts, dtype, data, self.first * dtype.itemsize - at, strides)


@dataclass(frozen=True, slots=True)
class _Block:
    """A rectangle of a tensor, and where its elements lie."""

    storage: str
    offset: int
    start: tuple[int, ...]
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def parts_of(file: TensorFile, tensor: Tensor, axes: Sequence[Axis]) -> list[Part]:
    """Return what a selection takes of a tensor: one part, or one for each block of a tensor that lies in blocks."""
    whole = file.wholes.get(tensor.storage)
    if whole is None:
        blocks = [_Block(tensor.storage, tensor.offset, (0,) * len(axes), tensor.shape, tensor.stride)]
    else:
        blocks = [
            _Block(one.storage, 0, one.start, one.shape, one.stride or _contiguous(one.shape)) for one in whole.blocks
        ]
    return [part for block in blocks if (part := _part(block, axes)) is not None]


def _contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(shape[at + 1 :]) for at in range(len(shape)))


def _part(block: _Block, axes: Sequence[Axis]) -> Part | None:
    first, steps, counts, target = block.offset, list[int](), list[int](), list[slice]()
    for axis, low, size, step in zip(axes, block.start, block.shape, block.stride, strict=True):
        places = _within(axis, low, low + size)
        if not places:
            return None
        first += (axis.start + axis.step * places.start - low) * step
        steps.append(axis.step * step)
        counts.append(len(places))
        target.append(slice(places.start, places.stop))
    return Part(block.storage, first, tuple(steps), tuple(counts), tuple(target))


def _within(axis: Axis, low: int, high: int) -> range:
    """Return which entries of an axis have an index from `low` to before `high`."""
    if axis.step > 0:
        begin, end = -(-(low - axis.start) // axis.step), -(-(high - axis.start) // axis.step)
    else:
        begin, end = (axis.start - high) // -axis.step + 1, (axis.start - low) // -axis.step + 1
    return range(max(begin, 0), max(min(end, axis.count), 0))


@dataclass(frozen=True, slots=True)
class Request:
    """One range of a storage, and the parts that lie in it."""

    storage: str
    range: ByteRange
    parts: tuple[Part, ...]


def requests_for(parts: Sequence[Part], item_bytes: int, shown: str) -> list[Request]:
    """Return the ranges to ask for; what lies between the elements is read where that is less than a request costs.

    Raises
    ------
    TooLargeError
        When the elements lie in more places than are asked for.
    """
    found: list[Request] = []
    cut: dict[str, list[tuple[ByteRange, Part]]] = {}
    count = 0
    for part in parts:
        for one in _cut(part, item_bytes):
            count += 1
            if count > _MOST_WINDOWS:
                raise TooLargeError(
                    f"{shown}: this part lies in more than {_MOST_WINDOWS:,} places.", hint="Select a smaller part."
                )
            cut.setdefault(one.storage, []).append((one.window(item_bytes), one))
    for storage, windows in cut.items():
        windows.sort(key=lambda pair: pair[0])
        at = 0
        for span in join(window for window, _ in windows):
            begun = at
            while at < len(windows) and windows[at][0].stop <= span.stop:
                at += 1
            found.append(Request(storage, span, tuple(part for _, part in windows[begun:at])))
    return found


def _cut(part: Part, item_bytes: int) -> Iterator[Part]:
    """Yield parts whose windows are short and mostly used."""
    wide = [at for at, count in enumerate(part.counts) if count > 1 and part.steps[at]]
    if not wide:
        yield part
        return
    at = max(wide, key=lambda one: abs(part.steps[one]) * (part.counts[one] - 1))
    step_bytes = abs(part.steps[at]) * item_bytes
    apart = step_bytes - _rows(part, at, 0, 1).window(item_bytes).size_bytes > _GAP_BYTES
    if not apart and part.window(item_bytes).size_bytes <= _WINDOW_BYTES:
        yield part
        return
    rows = 1 if apart else max(1, _WINDOW_BYTES // step_bytes)
    if rows >= part.counts[at]:
        # Only where rows overlap, as no library writes them.
        yield part
        return
    for begin in range(0, part.counts[at], rows):
        yield from _cut(_rows(part, at, begin, min(rows, part.counts[at] - begin)), item_bytes)


def _rows(part: Part, at: int, begin: int, count: int) -> Part:
    start = part.target[at].start + begin
    return dataclasses.replace(
        part,
        first=part.first + begin * part.steps[at],
        counts=(*part.counts[:at], count, *part.counts[at + 1 :]),
        target=(*part.target[:at], slice(start, start + count), *part.target[at + 1 :]),
    )
