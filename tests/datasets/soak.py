"""Read a stream, epoch after epoch, and say of each what came of it: `python -m tests.datasets.soak URL SECONDS`."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from pathlib import Path

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.storage import backends
from jupyter_gpu_ext.storage.retry import Schedule

SAMPLES, ROWS = 256, 4096


def resident_bytes() -> int:
    """Return what this process has in memory now (Linux, proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(url: str, seconds: float) -> None:
    # A broken answer is asked for again soon: it is the faults that are many here, not the waits.
    backends.REMOTE = Schedule(first_seconds=0.02)  # type: ignore[misc]
    stream = jg.ZarrStream(url, ["x", "y"], memory_bytes=4 << 20).shuffle(seed=1, buffer=64).batch(8).prefetch(2)
    until, epoch = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        stream.set_epoch(epoch)
        sums = {int(y): zlib.crc32(x.numpy()) for batch in stream for x, y in zip(batch["x"], batch["y"], strict=True)}
        right = sums == {at: zlib.crc32(row(at)) for at in range(SAMPLES)}
        fds = len(list(Path("/proc/self/fd").iterdir()))
        sys.stdout.write(json.dumps({"right": right, "resident": resident_bytes(), "fds": fds}) + "\n")
        epoch += 1


def row(at: int) -> bytes:
    """Return the bytes of a sample."""
    import numpy as np

    return np.full(ROWS, at, np.float32).tobytes()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
