"""What to fetch for a set of tensors: a pure plan that the reader executes as it stands."""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage.ranges import ByteRange, coalesce, split
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jupyter_gpu_ext.tensors.models import Block, Tensor, TensorFile, Whole

T = TypeVar("T")

_MIB = 1 << 20
# Azure serves some 500 requests a second and blob, so that the size of a range bounds the rate; above 32 MiB the
# allocator gives every buffer back to the system.
LEAST_RANGE_BYTES, MOST_RANGE_BYTES = 8 * _MIB, 16 * _MIB
_RANGES = 64
# Bytes read for nothing, as a share of those used, that fewer requests are worth.
_WASTE = 0.04
# So little in all that a request for it costs no more than one for less.
_LITTLE_BYTES = 64 << 10
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
class Region:
    """A storage that is only on its way into another one, where its elements are no single stretch.

    Attributes
    ----------
    whole : str
        The other storage.
    """

    whole: str
    of: Whole
    block: Block

    @property
    def size_bytes(self) -> int:
        """Length of its elements."""
        return math.prod(self.block.shape) * ITEM_BYTES[self.of.dtype]


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
    regions : mapping of str to Region
        Storages that are there on the way only.
    """

    tensors: Mapping[str, Tensor]
    spans: Mapping[str, ByteRange]
    fetches: tuple[Fetch, ...]
    crc32: Mapping[str, int]
    regions: Mapping[str, Region] = field(default_factory=dict)

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
    return choose_of(file.tensors, keys, printable(file.url))


def choose_of(named: Mapping[str, T], keys: Sequence[str], shown: str) -> dict[str, T]:
    """Do what `choose` does, with anything that has a name."""
    wanted = [key for key in keys if not key.startswith("!")] or ["*"]
    unwanted = [key[1:] for key in keys if key.startswith("!")]
    chosen = {name: one for name, one in named.items() if _match(name, wanted) and not _match(name, unwanted)}
    if not chosen and keys:
        some = ", ".join(printable(name[:80]) for name in list(named)[:5]) or "none"
        raise BadRequestError(
            f"No tensor of {shown} matches {printable(' '.join(keys)[:200])}.",
            hint=f"Its {len(named)} names: {some} …",
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
    spans = _touched(chosen) if parts else {key: ByteRange(0, file.storage_bytes(key)) for key in sorted(used)}
    regions = dict[str, Region]()
    places = sorted(
        place for key, span in spans.items() if span.size_bytes for place in _places(file, key, span, regions)
    )
    most_bytes = range_bytes(sum(one.place.size_bytes for one in places))
    fetches: list[Fetch] = []
    for source, group in groupby(places, key=lambda one: one.source):
        ordered = list(group)
        fetches += _assign(source, _ranges([one.place for one in ordered], most_bytes), ordered)
    crc32 = {key: crc for key, span in spans.items() if (crc := _known_crc32(file, key, span)) is not None}
    return FetchPlan(tensors=chosen, spans=spans, fetches=tuple(fetches), crc32=crc32, regions=regions)


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where bytes lie, and the storage's bytes that they are, from `at` on."""

    source: int
    place: ByteRange
    storage: str
    at: int = 0


def _places(file: TensorFile, key: str, span: ByteRange, regions: dict[str, Region]) -> Iterable[_Place]:
    whole = file.wholes.get(key)
    if whole is None:
        stored = file.storages[key]
        yield _Place(stored.source, _shift(span, stored.start), key)
        return
    for block in whole.blocks:
        stored = file.storages[block.storage]
        place, at = ByteRange(stored.start, stored.stop), whole.offset_bytes(block)
        if 0 not in block.shape:
            if at is None:
                regions[block.storage] = Region(key, whole, block)
            yield _Place(stored.source, place, block.storage if at is None else key, at or 0)


def range_bytes(total_bytes: int) -> int:
    """Return the usual length of a range: about 64 of them in all, 8 to 16 MiB each, whole MiB."""
    return min(max(-(-total_bytes // (_RANGES * _MIB)) * _MIB, LEAST_RANGE_BYTES), MOST_RANGE_BYTES)


def _known_crc32(file: TensorFile, key: str, span: ByteRange) -> int | None:
    if key in file.wholes:
        return None
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


def _ranges(places: list[ByteRange], usual_bytes: int) -> list[ByteRange]:
    """Return what to ask for, nothing above 1.5 times the usual length: storages merged where whole, or else cut."""
    most_bytes = usual_bytes * 3 // 2
    short = [one for one in places if one.size_bytes <= most_bytes]
    ranges = list(_cut(_merge(short), short, most_bytes))
    for one in places:
        if one.size_bytes > most_bytes:
            ranges += split([one], most_bytes=-(-one.size_bytes // round(one.size_bytes / usual_bytes)))
    return sorted(ranges)


def _merge(places: list[ByteRange]) -> list[ByteRange]:
    used = sum(one.size_bytes for one in coalesce(places, gap_bytes=0))
    merged = (coalesce(places, gap_bytes=gap) for gap in _GAPS)
    return next(one for one in merged if sum(r.size_bytes for r in one) <= max(used * (1 + _WASTE), _LITTLE_BYTES))


def _cut(ranges: Iterable[ByteRange], places: Sequence[ByteRange], most_bytes: int) -> Iterable[ByteRange]:
    """Cut long ranges where a place begins, so that each place is in one of them."""
    at = 0
    for one in ranges:
        start = stop = one.start
        while at < len(places) and places[at].start < one.stop:
            if places[at].stop - start > most_bytes and stop > start:
                yield ByteRange(start, stop)
                start = places[at].start
            stop = max(stop, places[at].stop)
            at += 1
        yield ByteRange(start, stop)


def _assign(source: int, ranges: list[ByteRange], ordered: Sequence[_Place]) -> Iterable[Fetch]:
    first = 0
    for one in ranges:
        # Storages do not overlap in a file, so their ends are in order too.
        while first < len(ordered) and ordered[first].place.stop <= one.start:
            first += 1
        parts = []
        for at in range(first, len(ordered)):
            place = ordered[at].place
            if place.start >= one.stop:
                break
            start, stop = max(place.start, one.start), min(place.stop, one.stop)
            into = ordered[at].at + start - place.start
            parts.append(Part(ordered[at].storage, into, start - one.start, stop - start))
        yield Fetch(source, one, tuple(parts))


def _shift(span: ByteRange, by: int) -> ByteRange:
    return ByteRange(span.start + by, span.stop + by)
