"""Reads many broken copies of one HDF5 file as the product's own process does, a fork each; run as a program.

A new interpreter a file would take half a second; what differs here is only where the bytes come from.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from jupyter_gpu_ext.tensors import hdf5, hdf5_child

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bytes(io.BytesIO):
    """A file in memory that is as strict as the product's."""

    spent = False

    def readinto(self, out: Any) -> int:
        if self.tell() + len(out) > len(self.getbuffer()):
            raise OSError
        return super().readinto(out)


def mutants(data: bytes, rounds: int) -> Iterator[bytes]:
    """Yield copies with a few bytes changed, most of them where the metadata is."""
    chance = random.Random(0)
    for at in range(rounds):
        copy = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            place = chance.randrange(len(copy))
            copy[place] = chance.choice(
                (0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256), copy[place] ^ 1 << chance.randrange(8))
            )
        yield bytes(copy if at % 5 else copy[: chance.randrange(len(copy))])


def outcome(data: bytes, job: dict[str, Any]) -> tuple[str, float, int]:
    """Return what came of a file, the processor time in seconds, and the most memory in bytes."""
    result, answer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(result)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        hdf5_child._bound(job["cpu_seconds"], job["memory_bytes"])
        said, values = hdf5_child._answer(h5py, Bytes(data), job)
        os.write(answer, (said.get("problem") or said.get("refused") or "read").encode()[:1000])
        json.dumps(said)
        os._exit(len(values) > (1 << 20))
    os.close(answer)
    said = b""
    while more := os.read(result, 1000):
        said += more
    os.close(result)
    _, status, used = os.wait4(child, 0)
    ended = f"ended by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else said.decode()
    return ended or f"exit {status}", used.ru_utime + used.ru_stime, used.ru_maxrss << 10


def main(path: str, rounds: int, name: str) -> None:
    data = Path(path).read_bytes()
    job: dict[str, Any] = {"cpu_seconds": hdf5._INFO_CPU_SECONDS, "memory_bytes": hdf5._MEMORY_BYTES}
    if name:
        ranges = [{"start": 0, "stop": 40, "step": 1}, {"start": 0, "stop": 30, "step": 1}]
        job |= {"parts": [{"name": name, "ranges": ranges}], "most_bytes": 1 << 20}
    seen, slowest, largest = Counter[str](), 0.0, 0
    plain = outcome(data, job)
    begun = time.monotonic()
    for one in mutants(data, rounds):
        what, seconds, size = outcome(one, job)
        seen[what if what in ("read", "damaged") or what.startswith(("ended", "asks", "exit")) else "refused"] += 1
        slowest, largest = max(slowest, seconds), max(largest, size)
    print(json.dumps({"seen": seen, "slowest": slowest, "grown": largest - plain[2], "plain": plain[0],
                      "seconds": time.monotonic() - begun}))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
