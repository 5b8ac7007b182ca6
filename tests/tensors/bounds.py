"""What a hostile file may cost whoever opens it: two seconds of processors, 64 MiB."""

from __future__ import annotations

import resource
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_SECONDS = 2.0
MOST_BYTES = 64 << 20


@contextmanager
def quick(most_seconds: float = MOST_SECONDS) -> Iterator[None]:
    """Bound the processor time of this process and of those that it waits for.

    Not of the clock: that counts the neighbours on a busy machine. Nothing is asserted while memory is traced,
    which takes several times as long: `light` is a pass of its own.
    """
    begun = _seconds()
    yield
    assert tracemalloc.is_tracing() or _seconds() - begun <= most_seconds


def _seconds() -> float:
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


@contextmanager
def light(most_bytes: int = MOST_BYTES) -> Iterator[None]:
    """Bound the memory that Python takes at most."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= most_bytes
