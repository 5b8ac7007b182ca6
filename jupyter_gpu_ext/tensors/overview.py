"""How much of an array is sent at a time, and the strided overview that is offered where more was asked for: pure."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, TooLargeError
from jupyter_gpu_ext.tensors.selection import Axis, count_of
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USUAL_BYTES = 64 << 20
MOST_BYTES = 512 << 20
# Of the answer's budget: what may be read, and thrown away, for a few values of each chunk.
_READS = 16
# A heat map draws no more a side.
_SIDE = 8192
_STRIDE = re.compile(r"\d{1,18}(?:,\d{1,18})*")


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading a part of an array takes.

    Attributes
    ----------
    item_bytes : int
        An element's, as it is sent.
    at_once_bytes : int
        The most that is decoded at a time, however little is wanted of it: a chunk, a deflated array.
    read_bytes : callable
        Axes to the bytes that are read for them, decoded.
    """

    item_bytes: int
    at_once_bytes: int
    read_bytes: Callable[[Sequence[Axis]], int]


class ValueTooLargeError(TooLargeError):
    """More than is sent at a time; `details` say what is."""


def strided(axes: Sequence[Axis], text: str) -> tuple[Axis, ...]:
    """Return every so-manieth index of what is selected.

    Parameters
    ----------
    text : str
        '1,4,4', one number an axis that is left; '' is all.

    Raises
    ------
    BadRequestError
        When it is not of that form.
    """
    left = sum(not one.dropped for one in axes)
    if not text:
        return tuple(axes)
    steps = [int(one) for one in text.split(",")] if _STRIDE.fullmatch(text) else []
    if len(steps) != left or 0 in steps:
        raise BadRequestError(
            f"stride is not {left} whole numbers from 1 on.", hint="One for each axis of the result: '1,4,4'."
        )
    return _every(axes, steps)


def _every(axes: Sequence[Axis], steps: Sequence[int]) -> tuple[Axis, ...]:
    todo = iter(steps)
    return tuple(one if one.dropped else _one_axis(one, next(todo)) for one in axes)


def _one_axis(axis: Axis, step: int) -> Axis:
    return dataclasses.replace(axis, step=axis.step * step, count=-(-axis.count // step))


def check_size(axes: Sequence[Axis], cost: Cost, most_bytes: int, shown: str) -> int:
    """Refuse what is more than the budget, its reading included; return the bytes that are read.

    Raises
    ------
    ValueTooLargeError
        With an overview that fits, where there is one.
    """
    size = count_of(axes) * cost.item_bytes
    if size and cost.at_once_bytes > most_bytes:
        most = f"most_bytes may be up to {MOST_BYTES}. " if cost.at_once_bytes <= MOST_BYTES else ""
        raise _too_large(
            f"{shown} is decoded {format_bytes(cost.at_once_bytes)} at a time; up to {format_bytes(most_bytes)} are.",
            f"{most}A notebook reads it: jg.load.",
            {"size_bytes": size, "most_bytes": most_bytes},
        )
    if size <= most_bytes:
        read = cost.read_bytes(axes) if size else 0
        if read <= _READS * most_bytes:
            return read
        message = f"{shown}: {format_bytes(read)} would be read for this, {format_bytes(_READS * most_bytes)} at most."
    else:
        message = f"{shown}: {format_bytes(size)} were asked for, {format_bytes(most_bytes)} are sent."
    details: dict[str, object] = {"size_bytes": size, "most_bytes": most_bytes}
    steps = _overview(axes, cost, most_bytes)
    if steps is None:
        raise _too_large(message, "Select a smaller part.", details)
    fewer = _every(axes, steps)
    fits, read = count_of(fewer) * cost.item_bytes, cost.read_bytes(fewer)
    raise _too_large(
        message,
        f"stride={','.join(map(str, steps))} gives {format_bytes(fits)} and reads {format_bytes(read)}; "
        f"or select a smaller part.",
        details | {"stride": steps, "stride_bytes": fits, "read_bytes": read},
    )


def _overview(axes: Sequence[Axis], cost: Cost, most_bytes: int) -> list[int] | None:
    """Return strides of powers of two, the longest axis thinned out first; None where nothing fits."""
    counts = [one.count for one in axes if not one.dropped]
    steps = [1] * len(counts)
    while True:
        left = [-(-count // step) for count, step in zip(counts, steps, strict=True)]
        fewer = _every(axes, steps)
        fits = count_of(fewer) * cost.item_bytes <= most_bytes and max(left, default=0) <= _SIDE
        if fits and cost.read_bytes(fewer) <= _READS * most_bytes:
            return steps
        if max(left, default=1) == 1:
            return None
        steps[left.index(max(left))] *= 2


def _too_large(message: str, hint: str, details: dict[str, object]) -> ValueTooLargeError:
    error = ValueTooLargeError(message, hint=hint)
    error.details = details
    return error
