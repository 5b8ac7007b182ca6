"""A better layout of a Zarr array: chunks that a read takes whole, in objects of a good size; and the code for it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.connections import PROTOCOLS
from jupyter_gpu_ext.tensors.chunks import count_chunks, read_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.selection import Axis

# Large enough that a request's latency does not count, small enough that many are under way at a time.
_CHUNK_BYTES = 4 << 20
_LEAST_BYTES = 64 << 10
_SHARD_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Proposal:
    """A layout; `shards` is None where a chunk is an object of its own."""

    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None

    def of(self, array: ZarrArray) -> ZarrArray:
        """Return the array as it would be."""
        return dataclasses.replace(array, chunks=self.chunks, shards=self.shards)


def propose(array: ZarrArray, axes: Sequence[Axis], *, narrow: bool) -> Proposal:
    """Return a layout whose chunks hold as many entries of the first axis as fit into 4 MiB.

    Parameters
    ----------
    axes : sequence of Axis
        What is read of the array, with `narrow`: no chunk then is longer along an axis than what is chosen of it, but
        for chunks below 64 KiB, which would take as long as larger ones.
    """
    longest = [max(size, 1) for size in array.shape]
    if narrow:
        longest = [min(size, max(1, axis.count)) for size, axis in zip(longest, axes, strict=True)]
    chunks = list(longest)
    for at in range(len(chunks)):
        # The later axes are kept whole as long as one entry of the earlier ones fits.
        room = max(1, _CHUNK_BYTES // array.stored.itemsize // math.prod(chunks[at + 1 :]))
        parts = -(-chunks[at] // room)
        chunks[at] = -(-chunks[at] // parts)
    for at in reversed(range(len(chunks))):
        grown = -(-_LEAST_BYTES // array.stored.itemsize // math.prod(chunks))
        chunks[at] = min(chunks[at] * max(1, grown), max(array.shape[at], 1))
    return Proposal(tuple(chunks), _shards(array, chunks))


def _shards(array: ZarrArray, chunks: Sequence[int]) -> tuple[int, ...] | None:
    room = max(1, _SHARD_BYTES // (math.prod(chunks) * array.stored.itemsize))
    shards = list(chunks)
    for at in reversed(range(len(chunks))):
        count = min(-(-array.shape[at] // chunks[at]), room) if array.shape[at] else 1
        shards[at], room = chunks[at] * count, room // count
    return tuple(shards) if shards != list(chunks) else None


def objects_touched(array: ZarrArray, axes: Sequence[Axis]) -> int:
    """Return how many objects a selection touches."""
    return count_chunks(dataclasses.replace(array, chunks=array.shards or array.chunks), axes)


def ratio(array: ZarrArray, axes: Sequence[Axis]) -> float:
    """Return `read_ratio`, at least 1 where anything is read."""
    return max(1.0, read_ratio(array, axes))


def snippet(url: str, name: str, array: ZarrArray, proposal: Proposal) -> str:
    """Return Python that writes the array anew beside where it runs."""
    path = f", path={name!r}" if array.path else ""
    names = "" if array.dimensions is None else f"    dimension_names={array.dimensions!r},\n"
    step = (proposal.shards or proposal.chunks or (1,))[0]
    copy = (
        f"for at in range(0, old.shape[0], {step}):\n    new[at : at + {step}] = old[at : at + {step}]\n"
        if array.shape
        else "new[...] = old[...]\n"
    )
    return (
        f"import zarr\n{_registered(url)}\n"
        f'old = zarr.open_array({url!r}{path}, mode="r")\n'
        "new = zarr.create_array(\n"
        f"    {_target(name)!r},  # or a connection that may be written to\n"
        f"    shape=old.shape,\n    dtype=old.dtype,\n"
        f"    chunks={proposal.chunks!r},\n    shards={proposal.shards!r},\n"
        f"    fill_value=old.fill_value,\n    attributes=old.attrs.asdict(),\n{names})\n{copy}"
    )


def _registered(url: str) -> str:
    """Return what makes the connection's name a URL for zarr too."""
    scheme = url.partition("://")[0]
    return "" if scheme in PROTOCOLS else f"\nimport jupyter_gpu_ext as jg\n\njg.fs({scheme!r})\n"


def _target(name: str) -> str:
    kept = "".join(char if char.isalnum() or char in "-_" else "-" for char in name.rpartition("/")[2])
    return f"{kept.removesuffix('-zarr') or 'array'}-new.zarr"
