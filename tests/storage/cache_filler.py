"""A process that fills a cache: `python -m tests.storage.cache_filler FOLDER BOUND NAME COUNT BYTES`."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path

from jupyter_gpu_ext.storage import cache_guard
from jupyter_gpu_ext.storage.cache_folder import About, CacheFolder
from jupyter_gpu_ext.storage.cache_segment import Segment
from jupyter_gpu_ext.storage.ranges import ByteRange


def segment(name: str, index: int, size_bytes: int) -> tuple[Segment, bytes]:
    """Return a segment and its bytes, which follow from its place."""
    one = ByteRange(index * size_bytes, (index + 1) * size_bytes)
    return Segment(hashlib.blake2b(name.encode(), digest_size=20).digest(), one), data_of(one)


def data_of(one: ByteRange) -> bytes:
    mark = f"{one.start:019d}\n".encode()
    return (mark * (one.size_bytes // len(mark) + 1))[: one.size_bytes]


def fill(folder: CacheFolder, name: str, indices: range, size_bytes: int) -> None:
    for index in indices:
        one, data = segment(name, index, size_bytes)
        while True:
            # A machine that does much else keeps the lock's holder waiting too.
            with contextlib.suppress(TimeoutError):
                folder.put(one, About("weights", name, size_bytes), memoryview(data), go_on=lambda: True)
                break


if __name__ == "__main__":
    place, bound, who, count, size = sys.argv[1:]
    cache_guard.prepare(Path(place))
    fill(CacheFolder(Path(place), int(bound)), who, range(int(count)), int(size))
