"""Ways that take turns: the same minute of a noisy machine counts for all of them."""

from __future__ import annotations

import gc
import mmap
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOUCHED_BYTES = 3 << 29


@dataclass
class Timing:
    """What one way took, a number a round."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def touch_memory(size_bytes: int = _TOUCHED_BYTES) -> None:
    """Have this machine own the memory that the next way will use.

    A virtual machine gets a page from its host at the first use, at seconds a gigabyte, and may give back what was
    freed a moment ago: whoever comes next would pay for who was before.
    """
    size = min(size_bytes, psutil.virtual_memory().available // 2)
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        # In huge pages, since those are what a host takes back and what long tensors are received in.
        memory.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1


def measure(ways: Mapping[str, Callable[[int], object]], rounds: int) -> dict[str, Timing]:
    """Run every way once a round, after one round that does not count; a way is given the number of its round.

    Each round begins with another way, so that none is always behind the same one.
    """
    timings = {name: Timing() for name in ways}
    names = list(ways)
    for round_number in range(-1, rounds):
        first = round_number % len(names)
        for name in names[first:] + names[:first]:
            gc.collect()
            touch_memory()
            begun, cpu = time.perf_counter(), time.process_time()
            ways[name](round_number)
            if round_number >= 0:
                timings[name].seconds.append(time.perf_counter() - begun)
                timings[name].cpu_seconds.append(time.process_time() - cpu)
    return timings


def rows(timings: Mapping[str, Timing], size_bytes: int) -> list[str]:
    """Return a line of a Markdown table a way; the first way is compared with each."""
    ours = next(iter(timings.values()))
    lines = ["| way | s | MB/s | CPU-s/GB | ours is faster by |", "| --- | ---: | ---: | ---: | :--- |"]
    for name, own in timings.items():
        ratios = sorted(theirs / mine for theirs, mine in zip(own.seconds, ours.seconds, strict=True))
        median, cpu = statistics.median(own.seconds), statistics.median(own.cpu_seconds)
        faster = "" if own is ours else f"×{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        rate = f"{size_bytes / median / 1e6:.0f}"
        lines.append(f"| {name} | {median:.2f} | {rate} | {cpu / size_bytes * 1e9:.2f} | {faster} |")
    return lines
