"""Cut a sample axis into blocks that are read at a time: at borders that the chunks of all arrays share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.tensors.selection import Axis

# A block of windows is so much longer than what it reads beyond its end.
_OVERLAPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """A sample is `size` entries of the sample axis that follow one another; the next begins `stride` further on.

    Attributes
    ----------
    single : bool
        A sample is one entry and has no axis for it.
    """

    size: int = 1
    stride: int = 1
    single: bool = True

    def count(self, entries: int) -> int:
        """Return how many samples there are along so many entries."""
        return max(0, (entries - self.size) // self.stride + 1)

    def entries(self, first: int, stop: int) -> tuple[int, int]:
        """Return the first entry of the samples `first` to `stop`, and the one after the last."""
        return first * self.stride, (stop - 1) * self.stride + self.size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extent:
    """One array along the sample axis.

    Attributes
    ----------
    chunks : numpy.ndarray
        Entries at which a chunk begins, and the number of entries; ascending, the first is 0.
    shards : numpy.ndarray
        The same of stored objects.
    entry_bytes : int
        What one entry takes when it is decoded.
    """

    chunks: NDArray[np.int64]
    shards: NDArray[np.int64]
    entry_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blocks:
    """The samples of an axis, in blocks.

    Attributes
    ----------
    firsts : numpy.ndarray
        The first sample of each block, and the number of samples at the end; ascending.
    windows : Windows
    shared_borders : bool
        Each block begins and ends where the chunks of every array do; where not, the chunks of some arrays are read
        for two blocks.
    """

    firsts: NDArray[np.int64]
    windows: Windows
    shared_borders: bool

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return len(self.firsts) - 1

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return int(self.firsts[-1])


def borders(axis: Axis, cell: int) -> NDArray[np.int64]:
    """Return the entries of a selected axis at which a new cell of its grid begins, and how many entries there are.

    Raises
    ------
    BadRequestError
        When the axis is read backwards: a shuffle is what changes the order of samples.
    """
    if not axis.count:
        return np.zeros(1, np.int64)
    if axis.step < 1:
        raise BadRequestError("The sample axis cannot be read backwards.", hint="Select it with a step of 1, 2, …")
    cells = np.arange(axis.start // cell + 1, axis.last // cell + 1, dtype=np.int64)
    found = -((axis.start - cells * cell) // axis.step)
    return np.unique(np.concatenate(([0], found, [axis.count])))


def cut(extents: Sequence[Extent], windows: Windows, *, most_bytes: int) -> Blocks:
    """Cut an axis into blocks, each of whole shards of all arrays where they fit, else of whole chunks.

    Where chunks of different lengths meet too seldom for a block of `most_bytes`, the array with the most bytes
    says where. Blocks of windows are joined until what they read beyond their end is little.

    Parameters
    ----------
    extents : sequence of Extent
        One an array, all of as many entries.
    most_bytes : int
        How large a block should be; one chunk that is larger is a block.
    """
    entries = int(extents[0].chunks[-1])
    most = max(1, most_bytes // max(1, sum(one.entry_bytes for one in extents)))
    shards = reduce(np.intersect1d, (one.shards for one in extents))
    chunks = reduce(np.intersect1d, (one.chunks for one in extents))
    leading = max(extents, key=lambda one: one.entry_bytes).chunks
    shared = _longest(chunks) <= max(most, _longest(leading))
    edges = shards if _longest(shards) <= most else chunks if shared else _joined(leading, most, chunks)
    edges = _long_enough(edges, _OVERLAPS * (windows.size - 1), most)
    firsts = np.minimum(-(-edges // windows.stride), windows.count(entries))
    return Blocks(firsts=np.unique(firsts), windows=windows, shared_borders=shared)


def _longest(edges: NDArray[np.int64]) -> int:
    return int(np.diff(edges).max(initial=0))


def _joined(edges: NDArray[np.int64], most: int, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join neighbours as long as they fit, never across an edge that is kept."""
    found, whole = [0], set(kept.tolist())
    for before, edge in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if before != found[-1] and (before in whole or edge - found[-1] > most):
            found.append(before)
    return np.array([*found, edges[-1]], np.int64)


def _long_enough(edges: NDArray[np.int64], least: int, most: int) -> NDArray[np.int64]:
    """Join neighbours until each is so long, but for the last, and as long as they fit."""
    if least <= 1:
        return edges
    found = [0]
    for edge, after in zip(edges[1:-1].tolist(), edges[2:].tolist(), strict=True):
        if edge - found[-1] >= least or after - found[-1] > most:
            found.append(edge)
    return np.array([*found, edges[-1]], np.int64)
