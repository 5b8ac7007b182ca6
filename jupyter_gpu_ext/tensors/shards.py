"""The index of a shard: where each of its chunks lies.

Format: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.tensors.codecs import Codec, DamagedChunkError, decode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_gpu_ext.tensors.formats.zarr import ShardIndex

_NOTHING = 2**64 - 1


def place_of(index: ShardIndex, size_bytes: int) -> ByteRange:
    """Return where the index lies in a shard of that size.

    Raises
    ------
    DamagedChunkError
        When the shard is shorter than its index.
    """
    if size_bytes < index.size_bytes:
        raise DamagedChunkError(f"{size_bytes:,} bytes cannot hold its index of {index.size_bytes:,}")
    start = 0 if index.at_start else size_bytes - index.size_bytes
    return ByteRange(start, start + index.size_bytes)


def parse_index(
    index: ShardIndex, raw: bytes | memoryview, wanted: Iterable[int], *, size_bytes: int, most_bytes: int
) -> dict[int, ByteRange]:
    """Return where the wanted chunks lie, by number; those that were never written are not there.

    Parameters
    ----------
    size_bytes : int
        Of the shard.
    most_bytes : int
        The most that an encoded chunk can have.

    Raises
    ------
    DamagedChunkError
        When the checksum is another one, or chunks overlap or lie outside the shard.
    """
    numbers = np.empty(16 * index.count, np.uint8)
    decode((Codec("crc32c", {"location": "end"}),) if index.checked else (), raw, numbers)
    starts, lengths = numbers.view(">u8" if index.big_endian else "<u8").reshape(-1, 2).T.astype(np.uint64)
    written = ~((starts == _NOTHING) & (lengths == _NOTHING))
    _check(starts[written], lengths[written], place_of(index, size_bytes), size_bytes, most_bytes)
    return {
        number: ByteRange(int(starts[number]), int(starts[number] + lengths[number]))
        for number in wanted
        if written[number]
    }


def _check(starts: np.ndarray, lengths: np.ndarray, own: ByteRange, size_bytes: int, most_bytes: int) -> None:
    # Each is compared alone first, so that no sum leaves 64 bits.
    if (starts > size_bytes).any() or (lengths > size_bytes).any() or (starts + lengths > size_bytes).any():
        raise DamagedChunkError("its index points outside of it")
    if (lengths > most_bytes).any():
        raise DamagedChunkError("its index declares a chunk that is larger than a chunk can be")
    begins = np.append(starts, np.uint64(own.start))
    ends = np.append(starts + lengths, np.uint64(own.stop))
    order = np.argsort(begins, kind="stable")
    if (begins[order][1:] < ends[order][:-1]).any():
        raise DamagedChunkError("its index has chunks that overlap")
