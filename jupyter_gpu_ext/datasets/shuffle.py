"""The order of an epoch, by its seed and its number alone: blocks are permuted, samples drawn across several of them.

Each sample of a block comes somewhere in the `buffer` samples after the block's turn. So blocks are asked for one after
another, no more of them than the buffer spans are held, and none is asked for twice. Blocks of one sample come as they
are permuted: that is every order already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.blocks import Blocks
    from jupyter_gpu_ext.datasets.shard import Part

# Samples whose places are worked out at a time, at least: a part of the buffer, which each such turn looks through.
_TURNS_A_BUFFER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """How an epoch is shuffled.

    Attributes
    ----------
    seed : int
    buffer : int
        Across how many samples is drawn; no less than a block.
    """

    seed: int = 0
    buffer: int = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Samples in the order in which they come.

    Attributes
    ----------
    parts : numpy.ndarray
        The number of each one's part, in the order in which parts are read.
    samples : numpy.ndarray
        Its number along the axis.
    """

    parts: NDArray[np.int64]
    samples: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.samples)


def block_order(count: int, shuffle: Shuffle | None, epoch: int) -> list[int]:
    """Return the order of the blocks, the same for every reader."""
    if shuffle is None:
        return list(range(count))
    # Of a generator, the plain numbers are what changes least from one numpy to another.
    drawn = np.random.default_rng((shuffle.seed, epoch)).random(count)
    return [int(one) for one in np.argsort(drawn, kind="stable")]


def draw(blocks: Blocks, parts: Sequence[Part], shuffle: Shuffle | None, epoch: int, skip: int = 0) -> Iterator[Drawn]:
    """Yield the samples of one reader's parts in their order, some at a time, each once.

    Parameters
    ----------
    skip : int
        How many came already; the rest comes as if they had come just now.
    """
    for one in _drawn(blocks, parts, shuffle, epoch):
        if skip < len(one):
            yield Drawn(one.parts[skip:], one.samples[skip:])
        skip = max(0, skip - len(one))


def left_after(blocks: Blocks, parts: Sequence[Part], shuffle: Shuffle | None, epoch: int, skip: int) -> dict[int, int]:
    """Return how many samples of each part are still to come, by its number; parts that are over are left out."""
    left = np.array([part.count for part in parts], np.int64)
    for one in _drawn(blocks, parts, shuffle, epoch):
        if not skip:
            break
        came = one.parts[:skip]
        left -= np.bincount(came, minlength=len(left))
        skip -= len(came)
    return {number: int(left[number]) for number in np.flatnonzero(left).tolist()}


def _drawn(blocks: Blocks, parts: Sequence[Part], shuffle: Shuffle | None, epoch: int) -> Iterator[Drawn]:
    if blocks.count == blocks.samples:
        # Where each block is one sample, nothing is left to draw.
        yield Drawn(np.arange(len(parts)), np.array([part.first for part in parts], np.int64))
        return
    if shuffle is None:
        for number, part in enumerate(parts):
            yield Drawn(np.full(part.count, number), np.arange(part.first, part.stop))
        return
    turn, key = max(1, shuffle.buffer // _TURNS_A_BUFFER), _key(shuffle, epoch)
    waiting: list[tuple[NDArray[np.float64], Drawn]] = []
    at = looked = 0
    for number, part in enumerate(parts):
        if at - looked >= turn:
            # What comes before the turn of this part is settled.
            settled, waiting = _split(waiting, at)
            looked = at
            yield settled
        samples = np.arange(part.first, part.stop)
        keys = at + _draws(samples, key) * max(part.count, shuffle.buffer)
        waiting.append((keys, Drawn(np.full(part.count, number), samples)))
        at += part.count
    if waiting:
        yield _split(waiting, np.inf)[0]


def _key(shuffle: Shuffle, epoch: int) -> np.uint64:
    found: np.uint64 = np.random.SeedSequence((shuffle.seed, epoch)).generate_state(1, np.uint64)[0]
    return found


def _draws(samples: NDArray[np.int64], key: np.uint64) -> NDArray[np.float64]:
    """Return a number from 0 to 1 for each sample: the same, whoever has it, and whatever numpy draws by then.

    SplitMix64, whose state is the sample: to begin a generator for each part would take longer than to read it.
    Source: Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    mixed = (samples.astype(np.uint64) + key) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _split(
    waiting: Sequence[tuple[NDArray[np.float64], Drawn]], before: float
) -> tuple[Drawn, list[tuple[NDArray[np.float64], Drawn]]]:
    """Return those that come before a place, in order, and the others."""
    keys = np.concatenate([one for one, _ in waiting])
    numbers = np.concatenate([one.parts for _, one in waiting])
    samples = np.concatenate([one.samples for _, one in waiting])
    now = np.flatnonzero(keys < before)
    now = now[np.argsort(keys[now], kind="stable")]
    later = keys >= before
    rest = (keys[later], Drawn(numbers[later], samples[later]))
    return Drawn(numbers[now], samples[now]), [rest]
