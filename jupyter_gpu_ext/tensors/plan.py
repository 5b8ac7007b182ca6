"""What to fetch for a set of tensors: a pure plan that the reader executes as it stands."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.ranges import ByteRange, coalesce, split
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jupyter_gpu_ext.tensors.models import Tensor, TensorFile

_MIB = 1 << 20
# Azure serves some 500 requests a second and blob, so that the size of a range bounds the rate; above 32 MiB the
# allocator gives every buffer back to the system.
LEAST_RANGE_BYTES, MOST_RANGE_BYTES = 8 * _MIB, 24 * _MIB
_RANGES = 64
# Bytes read for nothing, as a share of those used, that fewer requests are worth.
_WASTE = 0.04
_GAPS = (1 << 20, 64 << 10, 4 << 10, 512, 0)
# The widest element: views of several types over one storage keep their offsets whole.
_WIDEST = 16


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of what a request brings, and where it goes.

    Attributes
    ----------
    at : int
        First byte in the storage's span.
    start : int
        First byte in the request's answer.
    """

    storage: str
    at: int
    start: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request, and the parts of storages that it brings.

    Attributes
    ----------
    source : int
        Which of the objects that were opened together.
    """

    source: int
    range: ByteRange
    parts: tuple[Part, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is one part: the bytes can go where they stay."""
        return len(self.parts) == 1 and self.parts[0].size_bytes == self.range.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPlan:
    """Everything that a load asks for and holds.

    Attributes
    ----------
    tensors : mapping
        The chosen tensors by name.
    spans : mapping
        The part of each storage that they touch; all of it where everything is chosen.
    fetches : tuple of Fetch
        In offset order, one object after the other.
    crc32 : mapping of str to int
        What the file says of the storages that are read whole.
    """

    tensors: Mapping[str, Tensor]
    spans: Mapping[str, ByteRange]
    fetches: tuple[Fetch, ...]
    crc32: Mapping[str, int]

    @property
    def bytes_read(self) -> int:
        """Bytes that storage sends."""
        return sum(one.range.size_bytes for one in self.fetches)

    @property
    def bytes_used(self) -> int:
        """Bytes that the tensors keep, tied ones once; what they take on the device."""
        return sum(span.size_bytes for span in self.spans.values())


def choose(file: TensorFile, keys: Sequence[str]) -> dict[str, Tensor]:
    """Return the tensors whose names match one of the globs, and none that starts with '!'.

    Raises
    ------
    BadRequestError
        When no name matches; with a few of the names that exist.
    """
    wanted = [key for key in keys if not key.startswith("!")] or ["*"]
    unwanted = [key[1:] for key in keys if key.startswith("!")]
    chosen = {name: one for name, one in file.tensors.items() if _match(name, wanted) and not _match(name, unwanted)}
    if not chosen and keys:
        some = ", ".join(printable(name[:80]) for name in list(file.tensors)[:5]) or "none"
        raise BadRequestError(
            f"No tensor of {printable(file.url)} matches {printable(' '.join(keys)[:200])}.",
            hint=f"Its {len(file.tensors)} names: {some} …",
        )
    return chosen


def _match(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def make_plan(file: TensorFile, keys: Sequence[str] = ()) -> FetchPlan:
    """Plan the fetches for the tensors that `keys` choose; all of them without `keys`.

    Neighbouring ranges become one request when the bytes between them cost less than 4 % of what is used.
    """
    return plan_of(file, choose(file, keys), parts=bool(keys))


def plan_of(file: TensorFile, chosen: Mapping[str, Tensor], *, parts: bool) -> FetchPlan:
    """Plan the fetches for chosen tensors; with `parts` only what they touch of their storages."""
    used = {one.storage for one in chosen.values()}
    spans = _touched(chosen) if parts else {key: ByteRange(0, file.storages[key].size_bytes) for key in sorted(used)}
    places = sorted(
        (file.storages[key].source, _shift(span, file.storages[key].start), key)
        for key, span in spans.items()
        if span.size_bytes
    )
    most_bytes = range_bytes(sum(place.size_bytes for _, place, _ in places))
    fetches: list[Fetch] = []
    for source, group in groupby(places, key=lambda one: one[0]):
        ordered = [(key, place) for _, place, key in group]
        fetches += _assign(source, split(_merge([place for _, place in ordered]), most_bytes=most_bytes), ordered)
    crc32 = {key: crc for key, span in spans.items() if (crc := _known_crc32(file, key, span)) is not None}
    return FetchPlan(tensors=chosen, spans=spans, fetches=tuple(fetches), crc32=crc32)


def range_bytes(total_bytes: int) -> int:
    """Return the longest range to ask for: about 64 of them in all, 8 to 24 MiB each, whole MiB."""
    return min(max(-(-total_bytes // (_RANGES * _MIB)) * _MIB, LEAST_RANGE_BYTES), MOST_RANGE_BYTES)


def _known_crc32(file: TensorFile, key: str, span: ByteRange) -> int | None:
    whole = span == ByteRange(0, file.storages[key].size_bytes)
    return file.storages[key].crc32 if whole and span.size_bytes else None


def _touched(tensors: Mapping[str, Tensor]) -> dict[str, ByteRange]:
    spans: dict[str, ByteRange] = {}
    for one in tensors.values():
        start, stop = one.extent
        start -= start % _WIDEST
        known = spans.get(one.storage, ByteRange(start, stop))
        spans[one.storage] = ByteRange(min(start, known.start), max(stop, known.stop))
    return spans


def _merge(places: list[ByteRange]) -> list[ByteRange]:
    used = sum(one.size_bytes for one in coalesce(places, gap_bytes=0))
    merged = (coalesce(places, gap_bytes=gap) for gap in _GAPS)
    return next(one for one in merged if sum(r.size_bytes for r in one) <= used * (1 + _WASTE))


def _assign(source: int, ranges: list[ByteRange], ordered: Sequence[tuple[str, ByteRange]]) -> Iterable[Fetch]:
    first = 0
    for one in ranges:
        # Storages do not overlap in a file, so their ends are in order too.
        while first < len(ordered) and ordered[first][1].stop <= one.start:
            first += 1
        parts = []
        for at in range(first, len(ordered)):
            key, place = ordered[at]
            if place.start >= one.stop:
                break
            start, stop = max(place.start, one.start), min(place.stop, one.stop)
            parts.append(Part(key, start - place.start, start - one.start, stop - start))
        yield Fetch(source, one, tuple(parts))


def _shift(span: ByteRange, by: int) -> ByteRange:
    return ByteRange(span.start + by, span.stop + by)
