"""One epoch is each sample exactly once, padded or dropped as said; its order is its seed's; a resume is the rest."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_gpu_ext.datasets.blocks import Blocks, Extent, Windows, borders, cut
from jupyter_gpu_ext.datasets.shard import Part, Reader, parts, samples_a_rank, share
from jupyter_gpu_ext.datasets.shuffle import Shuffle, block_order, draw
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.tensors.selection import Axis


@st.composite
def axes(draw) -> Axis:
    return Axis(draw(st.integers(0, 30)), draw(st.integers(1, 7)), draw(st.integers(0, 80)))


@st.composite
def grids(draw) -> tuple[int, int]:
    chunk = draw(st.integers(1, 12))
    return chunk, chunk * draw(st.integers(1, 5))


WINDOWS = st.builds(
    lambda size, stride: Windows(size=size, stride=stride, single=size == stride == 1),
    st.integers(1, 9),
    st.integers(1, 11),
)


@st.composite
def cases(draw) -> tuple[Axis, list[tuple[int, int]], Windows, int]:
    """Return an axis, the chunk and the shard of each array along it, windows and bytes a block."""
    return draw(axes()), draw(st.lists(grids(), min_size=1, max_size=3)), draw(WINDOWS), draw(st.integers(1, 400))


def made(case: tuple[Axis, list[tuple[int, int]], Windows, int]) -> Blocks:
    axis, sizes, windows, most = case
    extents = [
        Extent(chunks=borders(axis, chunk), shards=borders(axis, shard), entry_bytes=at + 1)
        for at, (chunk, shard) in enumerate(sizes)
    ]
    return cut(extents, windows, most_bytes=most)


@given(axes(), st.integers(1, 12))
@settings(deadline=None)
def test_borders_are_where_the_chunk_changes(axis: Axis, cell: int) -> None:
    cells = [(axis.start + axis.step * at) // cell for at in range(axis.count)]
    expected = [at for at in range(axis.count) if at == 0 or cells[at] != cells[at - 1]]
    assert borders(axis, cell).tolist() == [*expected, axis.count]


@given(cases())
@settings(deadline=None)
def test_blocks(case: tuple[Axis, list[tuple[int, int]], Windows, int]) -> None:
    axis, sizes, windows, most = case
    blocks = made(case)
    every = [one for one in range(0, axis.count, windows.stride) if one + windows.size <= axis.count]
    assert blocks.samples == len(every)
    assert blocks.firsts[0] == 0
    assert (np.diff(blocks.firsts) > 0).all()
    if blocks.count == 0:
        return
    if blocks.shared_borders and windows.single:
        for chunk, _ in sizes:
            assert set(blocks.firsts.tolist()) <= set(borders(axis, chunk).tolist())
    # As large as a block may be, or as one chunk of the array that leads, and what the stride rounds up.
    longest = int(np.diff(borders(axis, sizes[-1][0])).max())
    may_be = max(1, most // sum(range(1, len(sizes) + 1)))
    assert (int(np.diff(blocks.firsts).max()) - 1) * windows.stride < max(may_be, longest)


def test_whole_shards_where_they_fit() -> None:
    axis = Axis(0, 1, 64)
    one = Extent(chunks=borders(axis, 4), shards=borders(axis, 16), entry_bytes=10)
    fits = cut([one], Windows(), most_bytes=160)
    assert fits.firsts.tolist() == [0, 16, 32, 48, 64]
    assert cut([one], Windows(), most_bytes=159).firsts.tolist() == list(range(0, 65, 4))


def test_chunks_that_seldom_meet_are_cut_where_the_heavier_array_says() -> None:
    axis = Axis(0, 1, 100)
    heavy = Extent(chunks=borders(axis, 7), shards=borders(axis, 7), entry_bytes=100)
    light = Extent(chunks=borders(axis, 10), shards=borders(axis, 10), entry_bytes=1)
    blocks = cut([light, heavy], Windows(), most_bytes=101 * 21)
    assert not blocks.shared_borders
    assert blocks.firsts.tolist() == [0, 21, 42, 63, 70, 91, 100]
    assert cut([light, heavy], Windows(), most_bytes=101 * 70).firsts.tolist() == [0, 70, 100]


def test_blocks_of_windows_are_longer_than_what_they_share() -> None:
    axis = Axis(0, 1, 100)
    one = Extent(chunks=borders(axis, 2), shards=borders(axis, 2), entry_bytes=1)
    windows = Windows(size=6, single=False)
    assert cut([one], windows, most_bytes=1000).firsts.tolist() == [0, 20, 40, 60, 80, 95]
    assert windows.entries(20, 40) == (20, 45)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: borders(Axis(9, -1, 5), 2),
        lambda: Reader(rank=2, world=2),
        lambda: Reader(worker=-1),
    ],
)
def test_refused(wrong) -> None:
    with pytest.raises(BadRequestError) as refused:
        wrong()
    assert refused.value.hint


@st.composite
def epochs(draw) -> dict[str, object]:
    shuffle = draw(st.none() | st.builds(lambda s, b: Shuffle(seed=s, buffer=b), st.integers(0, 9), st.integers(1, 90)))
    return {
        "blocks": made(draw(cases())),
        "shuffle": shuffle,
        "epoch": draw(st.integers(0, 3)),
        "world": draw(st.integers(1, 5)),
        "workers": draw(st.integers(1, 4)),
        "uneven": draw(st.sampled_from(["drop", "pad"])),
        "batch": draw(st.integers(1, 7)),
        "drop_last": draw(st.booleans()),
    }


def parts_of(given: dict, reader: Reader) -> list[Part]:
    blocks = given["blocks"]
    order = block_order(blocks.count, given["shuffle"], given["epoch"])
    stretch = share(blocks.samples, reader, uneven=given["uneven"], batch=given["batch"], drop_last=given["drop_last"])
    return list(parts(blocks, order, stretch))


def samples_of(given: dict, reader: Reader, skip: int = 0) -> list[int]:
    mine = parts_of(given, reader)
    drawn = list(draw(given["blocks"], mine, given["shuffle"], given["epoch"], skip))
    for one in drawn:
        for number, sample in zip(one.parts, one.samples, strict=True):
            assert mine[number].first <= sample < mine[number].stop
    return [int(sample) for one in drawn for sample in one.samples]


def readers(world: int, workers: int) -> list[Reader]:
    return [
        Reader(rank=rank, world=world, worker=worker, workers=workers)
        for rank in range(world)
        for worker in range(workers)
    ]


def check_coverage(given: dict) -> None:
    samples, world, workers, batch = (given["blocks"].samples, given["world"], given["workers"], given["batch"])
    came = {reader: samples_of(given, reader) for reader in readers(world, workers)}
    by_rank = [[sample for one in came if one.rank == rank for sample in came[one]] for rank in range(world)]
    each = samples_a_rank(samples, world, given["uneven"])
    expected = each // batch * batch if given["drop_last"] else each
    assert {len(one) for one in by_rank} == {expected}
    # Every worker but the last one of a rank has whole batches: so all ranks make as many steps.
    counts = [{len(came[one]) for one in came if one.worker == worker} for worker in range(workers)]
    assert all(len(one) == 1 for one in counts)
    assert sum(count % batch > 0 for one in counts for count in one) <= 1
    found = Counter(sample for mine in by_rank for sample in mine)
    assert set(found) <= set(range(samples))
    if given["drop_last"]:
        twice = given["uneven"] == "pad" and each * world > samples
        assert twice or max(found.values(), default=1) == 1
    elif given["uneven"] == "drop":
        assert max(found.values(), default=1) == 1
        assert samples - len(found) == samples % world
    else:
        assert len(found) == samples
        assert found.total() - samples == -samples % world


def check_order(given: dict) -> None:
    alone = {**given, "world": 1, "drop_last": False}
    one = samples_of(alone, Reader())
    assert samples_of(alone, Reader()) == one
    if given["shuffle"] is None:
        assert one == list(range(given["blocks"].samples))
    # Whoever shares it, all read stretches of one order of blocks.
    full = parts_of(alone, Reader())
    told = [(part.block, at) for part in full for at in range(part.first, part.stop)]
    shared = {**given, "batch": 1, "drop_last": False, "uneven": "drop"}
    cuts = [parts_of(shared, reader) for reader in readers(given["world"], given["workers"])]
    joined = [(part.block, at) for mine in cuts for part in mine for at in range(part.first, part.stop)]
    assert joined == told[: len(joined)]
    # A block is read twice only where it is cut.
    assert sum(map(len, cuts)) < given["blocks"].count + len(cuts)


def check_resume(given: dict, at: float) -> None:
    for reader in readers(given["world"], given["workers"])[:3]:
        whole = samples_of(given, reader)
        done = int(at * len(whole))
        assert samples_of(given, reader, skip=done) == whole[done:]


@pytest.mark.parametrize("check", [check_coverage, check_order])
@given(given=epochs())
@settings(max_examples=60, deadline=None)
def test_epoch(check, given) -> None:
    check(given)


@given(given=epochs(), at=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_resume(given, at: float) -> None:
    check_resume(given, at)


@pytest.mark.prove
@pytest.mark.timeout(1200)
@given(given=epochs(), at=st.floats(0, 1))
@settings(max_examples=5000, deadline=None)
def test_epoch_and_resume_at_length(given, at: float) -> None:
    check_coverage(given)
    check_order(given)
    check_resume(given, at)


def plain(samples: int, block: int) -> Blocks:
    axis = Axis(0, 1, samples)
    return cut(
        [Extent(chunks=borders(axis, block), shards=borders(axis, block), entry_bytes=1)], Windows(), most_bytes=block
    )


def test_a_shuffle_holds_no_more_than_its_buffer_spans() -> None:
    blocks, shuffle = plain(20_000, 10), Shuffle(seed=1, buffer=500)
    mine = list(parts(blocks, block_order(blocks.count, shuffle, 0), (0, blocks.samples)))
    numbers = np.concatenate([one.parts for one in draw(blocks, mine, shuffle, 0)])
    first, last = (np.full(len(mine), -1) for _ in range(2))
    for at, number in enumerate(numbers.tolist()):
        first[number] = at if first[number] < 0 else first[number]
        last[number] = at
    # In the middle as many samples come as blocks are begun.
    held = [int(((first <= at) & (last >= at)).sum()) for at in range(2000, 18_000, 500)]
    assert max(held) <= 500 // 10 + 2
    assert np.abs(first - np.arange(len(mine)) * 10).max() <= 500 + 250


def test_a_shuffle_mixes_across_its_buffer() -> None:
    blocks, shuffle = plain(20_000, 10), Shuffle(seed=1, buffer=500)
    mine = list(parts(blocks, block_order(blocks.count, shuffle, 0), (0, blocks.samples)))
    numbers = np.concatenate([one.parts for one in draw(blocks, mine, shuffle, 0)])
    # Thirty-two samples in a row come of nearly as many blocks.
    kinds = [len(set(numbers[at : at + 32].tolist())) for at in range(2000, 18_000, 320)]
    assert np.mean(kinds) > 20


def test_epochs_and_seeds_differ() -> None:
    blocks = plain(400, 10)
    orders = set()
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        shuffle = Shuffle(seed=seed, buffer=50)
        mine = list(parts(blocks, block_order(blocks.count, shuffle, epoch), (0, 400)))
        orders.add(tuple(int(s) for one in draw(blocks, mine, shuffle, epoch) for s in one.samples))
    assert len(orders) == 3


def test_order_is_what_it_was() -> None:
    """A seed means the same order in every version: runs that were interrupted go on with a newer one."""
    blocks, shuffle = plain(12, 3), Shuffle(seed=7, buffer=6)
    mine = list(parts(blocks, block_order(blocks.count, shuffle, 2), (0, 12)))
    found = [int(s) for one in draw(blocks, mine, shuffle, 2) for s in one.samples]
    assert sorted(found) == list(range(12))
    assert found == [1, 3, 2, 0, 9, 4, 5, 11, 6, 10, 7, 8]
