"""Which ranges to ask for: a pure plan, apart from whoever executes it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """The bytes from `start` to before `stop`."""

    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """Length of the range."""
        return self.stop - self.start


def coalesce(ranges: Iterable[ByteRange], *, gap_bytes: int) -> list[ByteRange]:
    """Return the ranges in order, those merged that lie within `gap_bytes` of each other, empty ones left out."""
    merged: list[ByteRange] = []
    for one in sorted(one for one in ranges if one.size_bytes):
        if merged and one.start - merged[-1].stop <= gap_bytes:
            merged[-1] = ByteRange(merged[-1].start, max(merged[-1].stop, one.stop))
        else:
            merged.append(one)
    return merged


def split(ranges: Iterable[ByteRange], *, most_bytes: int) -> list[ByteRange]:
    """Return the ranges cut into pieces of nearly equal length, none above `most_bytes`."""
    pieces: list[ByteRange] = []
    for one in ranges:
        count = max(1, -(-one.size_bytes // most_bytes))
        edges = [one.start + one.size_bytes * i // count for i in range(count + 1)]
        pieces += [ByteRange(a, b) for a, b in itertools.pairwise(edges)]
    return pieces
