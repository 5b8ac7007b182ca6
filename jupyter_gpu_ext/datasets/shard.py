"""Which samples of an epoch one reader has: the order of blocks is cut into shares, for ranks and then for workers."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from jupyter_gpu_ext.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jupyter_gpu_ext.datasets.blocks import Blocks

Uneven = Literal["drop", "pad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One of those who share an epoch: a worker of a rank."""

    rank: int = 0
    world: int = 1
    worker: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.rank < self.world and 0 <= self.worker < self.workers):
            raise BadRequestError(
                f"There is no rank {self.rank} of {self.world} with a worker {self.worker} of {self.workers}.",
                hint="Ranks and workers count from 0.",
            )


@dataclass(frozen=True, slots=True)
class Part:
    """Samples of one block that one reader has: from `first` to before `stop`, counted along the axis."""

    block: int
    first: int
    stop: int

    @property
    def count(self) -> int:
        """How many they are."""
        return self.stop - self.first


def samples_a_rank(samples: int, world: int, uneven: Uneven) -> int:
    """Return how many samples each rank has: the same number for all.

    Parameters
    ----------
    uneven : {'drop', 'pad'}
        What happens where the ranks do not divide them: the last ones of the epoch's order are dropped, or the
        first ones come twice.
    """
    return samples // world if uneven == "drop" else -(-samples // world)


def batches_a_rank(samples: int, batch: int, *, drop_last: bool) -> int:
    """Return how many batches a rank's samples make."""
    return samples // batch if drop_last else -(-samples // batch)


def share(
    samples: int, reader: Reader, *, uneven: Uneven = "drop", batch: int = 1, drop_last: bool = False
) -> tuple[int, int]:
    """Return the stretch of the epoch's order that a reader has; it may reach beyond the end, where it begins anew.

    Workers share whole batches, so that a rank makes the same batches, all but its last one full, whatever the
    number of its workers.
    """
    each = samples_a_rank(samples, reader.world, uneven)
    count = batches_a_rank(each, batch, drop_last=drop_last)
    begin, end = (count * one // reader.workers * batch for one in (reader.worker, reader.worker + 1))
    start = reader.rank * each
    return start + min(begin, each), start + min(end, each)


def parts(blocks: Blocks, order: Sequence[int], stretch: tuple[int, int]) -> Iterator[Part]:
    """Yield what lies in a stretch of the epoch's order, whose blocks follow one another as `order` says.

    A block that two stretches share is cut between them, in the order of the axis: no sample is in both.
    """
    at, end = stretch
    if not blocks.samples or at >= end:
        return
    if blocks.count == blocks.samples:
        for one in range(at, end):
            block = order[one % blocks.samples]
            yield Part(block, block, block + 1)
        return
    firsts = blocks.firsts.tolist()
    ends = list(accumulate(firsts[block + 1] - firsts[block] for block in order))
    while at < end:
        turn, within = divmod(at, blocks.samples)
        place = bisect.bisect_right(ends, within)
        block = order[place]
        stop = min(ends[place] + turn * blocks.samples, end)
        # How far the stretch is into the block, and how much of it is wanted.
        first = firsts[block + 1] - (ends[place] - within)
        yield Part(block, first, first + stop - at)
        at = stop
