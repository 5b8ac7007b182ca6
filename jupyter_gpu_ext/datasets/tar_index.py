"""Where the samples of tar shards begin: found once by their headers, range by range, and kept in this process."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, cast

from jupyter_gpu_ext.datasets import tars
from jupyter_gpu_ext.datasets.engine import is_of_one_part
from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError
from jupyter_gpu_ext.storage.loop import LOOP, ahead
from jupyter_gpu_ext.storage.models import Version

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.listing import Listing
    from jupyter_gpu_ext.storage.places import Place
    from jupyter_gpu_ext.tensors.objects import Objects

_AT_A_TIME = 16
# A round trip of 20 ms at 50 MB/s: of members that are smaller what lies between their headers is read as well.
_WINDOW_BYTES = 1 << 20
# Headers are 512 bytes, their extensions little more: whoever asks for more was told to by the shard.
_MOST_READ_BYTES = 1 << 20
_KEPT = 4096

_KNOWN: OrderedDict[tuple[str, str, str], NDArray[np.int64]] = OrderedDict()


async def with_edges(listing: Listing, place: Place, objects: Objects, *, skips: bool) -> Listing:
    """Return a listing of shards with the samples in them.

    Parameters
    ----------
    skips : bool
        Leave out shards that are damaged, and say so.

    Raises
    ------
    TensorFormatError
        Naming the shard, and the member.
    """
    # Of its own: the threads that read wait for reads, which a file system does in the loop's threads.
    pool = ThreadPoolExecutor(_AT_A_TIME, "jupyter-gpu-ext-index")
    try:
        work = (_one(listing, at, place, objects, pool) for at in range(len(listing.keys)))
        found = [one async for one in ahead(work, _AT_A_TIME)]
    finally:
        # The loop cannot wait for who waits for it.
        pool.shutdown(wait=False, cancel_futures=True)
    faults = [one for one in found if isinstance(one, GpuExtError)]
    fatal = next((one for one in faults if not (skips and is_of_one_part(one))), None)
    if fatal is not None:
        raise fatal
    good = [at for at, one in enumerate(found) if not isinstance(one, GpuExtError)]
    return dataclasses.replace(
        listing,
        keys=tuple(listing.keys[at] for at in good),
        etags=tuple(listing.etags[at] for at in good),
        sizes=listing.sizes[good],
        edges=tuple(one for one in found if not isinstance(one, GpuExtError)),
        faults=tuple(map(str, faults)),
    )


async def _one(
    listing: Listing, at: int, place: Place, objects: Objects, pool: ThreadPoolExecutor
) -> NDArray[np.int64] | GpuExtError:
    key, version = listing.keys[at], Version(int(listing.sizes[at]), listing.etags[at])
    name, shown = (place.connection.name, key, version.etag), place.at(key).shown
    if name in _KNOWN:
        return _KNOWN[name]
    file = _Headers(objects, key, version, shown)
    read = cast("IO[bytes]", file)
    try:
        found = await asyncio.get_running_loop().run_in_executor(pool, tars.edges, read, version.size_bytes, shown)
    except GpuExtError as error:
        return error
    finally:
        file.stop()
    _KNOWN[name] = found
    while len(_KNOWN) > _KEPT:
        _KNOWN.popitem(last=False)
    return found


class _Headers:
    """One version of an object as a file of which headers are read, in a thread: a window at a time."""

    def __init__(self, objects: Objects, key: str, version: Version, shown: str) -> None:
        self._objects = objects
        self._key = key
        self._version = version
        self._shown = shown
        self._at = self._begin = 0
        self._window = memoryview(b"")
        self._stopped = False

    def stop(self) -> None:
        """Refuse further reads: whoever wanted them is gone."""
        self._stopped = True

    def tell(self) -> int:
        """Return the next byte's place."""
        return self._at

    def seek(self, at: int) -> int:
        """Go to a byte."""
        self._at = at
        return at

    def read(self, count: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        if not 0 <= count <= _MOST_READ_BYTES:
            raise TensorFormatError(
                f"{self._shown} declares a header of {count:,} bytes: it is damaged.", hint="Write it or copy it again."
            )
        stop = min(self._at + count, self._version.size_bytes)
        if self._at >= stop:
            return b""
        if not self._begin <= self._at <= stop <= self._begin + len(self._window):
            self._fetch()
        found = bytes(self._window[self._at - self._begin : stop - self._begin])
        self._at = stop
        return found

    def _fetch(self) -> None:
        if self._stopped:
            raise EOFError("nobody waits for it any more")
        size = min(_WINDOW_BYTES, self._version.size_bytes - self._at)
        self._window, self._begin = memoryview(bytearray(size)), self._at
        LOOP.run(self._objects.read_into(self._key, self._version, self._at, self._window))
