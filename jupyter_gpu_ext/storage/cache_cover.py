"""Which part of a wanted range the held ranges give, and what is left to fetch: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Part:
    """What is taken of one held range."""

    held: ByteRange
    taken: ByteRange


@dataclass(frozen=True, slots=True)
class Cover:
    """A wanted range in pieces, each in the order of the bytes; together they are the range, once."""

    parts: tuple[Part, ...]
    gaps: tuple[ByteRange, ...]


def cover(wanted: ByteRange, held: Iterable[ByteRange]) -> Cover:
    """Cut `wanted` into parts of held ranges, as few as can be, and gaps that none of them has."""
    near = sorted(one for one in held if one.start < wanted.stop and one.stop > wanted.start)
    parts, gaps, at = list[Part](), list[ByteRange](), wanted.start
    best: ByteRange | None = None
    for one in [*near, None]:
        # The next one begins behind what is reached: the best that was seen is taken as far as it goes.
        if best is not None and (one is None or one.start > at) and best.stop > at:
            stop = min(best.stop, wanted.stop)
            parts.append(Part(best, ByteRange(at, stop)))
            at = stop
        if one is None or at >= wanted.stop:
            break
        if one.start > at:
            gaps.append(ByteRange(at, one.start))
            at = one.start
        if best is None or one.stop > best.stop:
            best = one
    if at < wanted.stop:
        gaps.append(ByteRange(at, wanted.stop))
    return Cover(tuple(parts), tuple(gaps))
