"""The process that reads one HDF5 file: bytes come from the process that asked, a block at a time.

The library is written in C and meets files from anywhere: here it may crash, loop or ask for all memory, and is ended.
It holds no credential and opens no file.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

# Metadata lies scattered, a little here and there; who reads on where the last request ended is given more at a time.
_BLOCK_BYTES = 64 << 10
_MOST_AHEAD = 64
_BLOCKS = 256
_ASK = struct.Struct("<cQQ")
# Of processor time, before the end, in which what was seen is told.
_LAST_SECONDS = 0.5


class Blocks(io.RawIOBase):
    """A file whose blocks are asked for by a pipe and kept, a few of them.

    Attributes
    ----------
    spent : bool
        No more bytes are given.
    """

    def __init__(self, size_bytes: int, head: bytes, asked: BinaryIO, given: BinaryIO) -> None:
        self.spent = False
        self._size_bytes = size_bytes
        self._head = head
        self._asked = asked
        self._given = given
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._ahead = 1
        self._next = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the place."""
        self._at = offset + (0, self._at, self._size_bytes)[whence]
        return self._at

    def readinto(self, out: Any) -> int:
        """Fill all of `out`: h5py does not look at how much came."""
        view = memoryview(out).cast("B")
        stop, done = self._at + len(view), 0
        if stop > self._size_bytes:
            raise OSError("the file ends before")
        while self._at < stop:
            data = self._near(self._at, stop)
            view[done : done + len(data)] = data
            done += len(data)
            self._at += len(data)
        return done

    def _near(self, start: int, stop: int) -> bytes:
        if stop <= len(self._head):
            return self._head[start:stop]
        block = start // _BLOCK_BYTES
        if block not in self._blocks:
            self._fetch(block, -(-stop // _BLOCK_BYTES))
        self._blocks.move_to_end(block)
        first = block * _BLOCK_BYTES
        return self._blocks[block][start - first : stop - first]

    def _fetch(self, block: int, stop: int) -> None:
        """Ask for the blocks from one on, up to `stop` at least, a few MiB at most."""
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if block == self._next else 1
        self._next = min(max(stop, block + self._ahead), block + _MOST_AHEAD)
        data = self._ask(block * _BLOCK_BYTES, min(self._next * _BLOCK_BYTES, self._size_bytes))
        for at in range(0, len(data), _BLOCK_BYTES):
            self._blocks[block + at // _BLOCK_BYTES] = data[at : at + _BLOCK_BYTES]
        while len(self._blocks) > _BLOCKS:
            self._blocks.popitem(last=False)

    def _ask(self, start: int, stop: int) -> bytes:
        if not self.spent:
            self._asked.write(_ASK.pack(b"R", start, stop))
            self._asked.flush()
            self.spent = self._given.read(1) != b"\1"
        if self.spent:
            raise OSError("no more bytes are given")
        return self._given.read(stop - start)


def main() -> None:
    """Read a job from standard input, do it, and write the answer to standard output."""
    # What else is printed goes nowhere.
    asked, given = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    (length,) = struct.unpack("<Q", given.read(8))
    job = json.loads(given.read(length))
    head = given.read(job["head_bytes"])
    import h5py

    _bound(job["cpu_seconds"], job["memory_bytes"])
    file = Blocks(job["size_bytes"], head, asked, given)
    answer, data = _answer(h5py, file, job)
    said = json.dumps(answer).encode()
    asked.write(_ASK.pack(b"A", len(said), len(data)) + said + data)
    asked.flush()
    # Closing a damaged file is one more chance to crash.
    os._exit(0)


def _bound(cpu_seconds: float, memory_bytes: int) -> None:
    """Have the system end this process after so much more processor time, and refuse it more memory."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    with Path("/proc/self/status").open(encoding="ascii") as lines:
        used = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + memory_bytes, used + memory_bytes))


def _answer(h5py: Any, file: Blocks, job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    from jupyter_gpu_ext.tensors.hdf5_walk import RefusedError, Walk, values

    try:
        # No cache of chunks worth the name: each is decoded once.
        opened = h5py.File(file, "r", rdcc_nbytes=1 << 20)
        if "parts" in job:
            return values(opened, job["parts"], job["most_bytes"])
        stop_at = time.process_time() + job["cpu_seconds"] - _LAST_SECONDS
        return Walk(opened, stop_at, lambda: file.spent).run(), b""
    except RefusedError as error:
        return {"refused": str(error)}, b""
    except MemoryError:
        return {"problem": "asks for more memory than it is given"}, b""
    except Exception:  # noqa: BLE001 -- whatever h5py raises of a damaged file
        return {"problem": "spent" if file.spent else "damaged"}, b""


if __name__ == "__main__":
    main()
