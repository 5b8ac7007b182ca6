"""Laws of coalescing and splitting, over all ranges."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.storage.ranges import ByteRange, coalesce, split

RANGES = st.lists(
    st.builds(lambda start, size: ByteRange(start, start + size), st.integers(0, 3000), st.integers(0, 400)),
    max_size=30,
)


def covered(ranges: list[ByteRange]) -> set[int]:
    return set(itertools.chain.from_iterable(range(one.start, one.stop) for one in ranges))


@given(RANGES, st.integers(0, 500))
def test_coalesce(ranges: list[ByteRange], gap: int) -> None:
    merged = coalesce(ranges, gap_bytes=gap)
    assert covered(ranges) <= covered(merged)
    assert merged == sorted(merged)
    assert all(b.start - a.stop > gap for a, b in itertools.pairwise(merged))
    # Nothing is read but what was asked for and gaps of the allowed length.
    waste = sorted(covered(merged) - covered(ranges))
    runs = [[at for _, at in run] for _, run in itertools.groupby(enumerate(waste), lambda pair: pair[1] - pair[0])]
    assert all(len(run) <= gap for run in runs)
    assert coalesce(merged, gap_bytes=gap) == merged
    assert coalesce(reversed(ranges), gap_bytes=gap) == merged


@given(RANGES, st.integers(1, 300))
def test_split(ranges: list[ByteRange], most: int) -> None:
    pieces = split(ranges, most_bytes=most)
    assert all(piece.size_bytes <= most for piece in pieces)
    rest = iter(pieces)
    for one in ranges:
        mine = [next(rest)]
        while mine[-1].stop < one.stop:
            mine.append(next(rest))
        assert (mine[0].start, mine[-1].stop) == (one.start, one.stop)
        assert all(a.stop == b.start for a, b in itertools.pairwise(mine))
        sizes = [piece.size_bytes for piece in mine]
        assert max(sizes) - min(sizes) <= 1
        assert len(mine) == max(1, -(-one.size_bytes // most))
    assert next(rest, None) is None
