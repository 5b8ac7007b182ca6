"""Which part of a range is held, and what is left: nothing twice, nothing forgotten."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.storage.cache_cover import cover
from jupyter_gpu_ext.storage.ranges import ByteRange

RANGES = st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda one: ByteRange(one[0], sum(one)))
HELD = st.sets(RANGES, max_size=8)


@given(RANGES, HELD)
def test_parts_and_gaps_are_the_range_in_order(wanted: ByteRange, held: set[ByteRange]) -> None:
    found = cover(wanted, held)
    pieces = sorted([*(part.taken for part in found.parts), *found.gaps])
    assert (pieces[0].start, pieces[-1].stop) == (wanted.start, wanted.stop)
    assert all(before.stop == after.start for before, after in pairwise(pieces))
    assert all(one.size_bytes > 0 for one in pieces)


@given(RANGES, HELD)
def test_a_part_is_what_its_range_has_and_a_gap_what_none_has(wanted: ByteRange, held: set[ByteRange]) -> None:
    found = cover(wanted, held)
    for part in found.parts:
        assert part.held in held
        assert part.held.start <= part.taken.start < part.taken.stop <= part.held.stop
    gaps = {at for gap in found.gaps for at in range(gap.start, gap.stop)}
    assert gaps == set(range(wanted.start, wanted.stop)) - {at for one in held for at in range(one.start, one.stop)}


@given(RANGES, HELD)
def test_no_range_is_opened_that_is_not_needed(wanted: ByteRange, held: set[ByteRange]) -> None:
    used = [part.held for part in cover(wanted, held).parts]
    for one in used:
        assert cover(wanted, set(used) - {one}).gaps != cover(wanted, used).gaps


def test_nothing_is_wanted() -> None:
    found = cover(ByteRange(5, 5), {ByteRange(0, 9)})
    assert (found.parts, found.gaps) == ((), ())
