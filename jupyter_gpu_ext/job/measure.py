"""What a block of the program took: device memory, time, bytes from storage, and how long it waited for them."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.datasets.iteration import ITERATIONS
from jupyter_gpu_ext.gpu.accelerator import ACCELERATOR, allocated_peaks
from jupyter_gpu_ext.storage.traffic import TRAFFIC, WAITING
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.receipts import RECEIPTS
from jupyter_gpu_ext.text import format_bytes, format_duration, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_gpu_ext.datasets.report import Report

# A share that is worth doing something about.
_MUCH = 0.25
_SHORT_SECONDS = 1.0


@dataclass(slots=True, kw_only=True, repr=False)
class Measured:
    """What a block took; filled when it ends, and prints as one line, with one more for each stream that it read.

    Attributes
    ----------
    seconds : float
        By the wall's clock.
    peak_bytes : mapping of str to int
        The most that tensors filled of each device, by torch's name of it; empty where torch uses none.
    held_bytes : mapping of str to int
        What loads hold on simulated devices when the block ends.
    received_bytes : int
        From storage; what lies on a disk of this machine is not counted.
    waited_seconds : float
        In which the main thread was blocked in calls to storage.
    advice : str
        What would make the next run faster; empty where nothing is certain to.
    streams : tuple of Report
        Of the streams that the block began to read, oldest first.
    """

    seconds: float = 0.0
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    held_bytes: Mapping[str, int] = field(default_factory=dict)
    received_bytes: int = 0
    waited_seconds: float = 0.0
    advice: str = ""
    streams: tuple[Report, ...] = ()

    @property
    def waited_ratio(self) -> float:
        """The share of the time in which the program waited for storage, 0 to 1."""
        return min(1.0, self.waited_seconds / self.seconds) if self.seconds else 0.0

    def __repr__(self) -> str:
        peaks = [f"{format_bytes(size)} on {device}" for device, size in self.peak_bytes.items()]
        held = [f"loads hold {format_bytes(size)} on {device}" for device, size in self.held_bytes.items()]
        parts = [f"peak {', '.join(peaks)}" if peaks else "no device used", *held, format_duration(self.seconds)]
        if self.received_bytes:
            parts.append(f"{format_bytes(self.received_bytes)} from storage")
        if self.waited_ratio >= 0.005:
            parts.append(f"waited {100 * self.waited_ratio:.0f} % for storage")
        line = " · ".join(parts)
        first = f"{line} → {self.advice}" if self.advice else line
        return "\n".join([first, *(one.line for one in self.streams)])

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "seconds": self.seconds, "peak_bytes": dict(self.peak_bytes), "held_bytes": dict(self.held_bytes),
            "received_bytes": self.received_bytes, "waited_seconds": self.waited_seconds, "advice": self.advice,
            "streams": [one.to_json() for one in self.streams],
        }  # fmt: skip


@contextmanager
def measure() -> Iterator[Measured]:
    """Measure a block and print one line when it ends, also when it fails.

    The peak is that of torch's allocator, whose counters are set back when the block begins; blocks inside one another
    share them.

    Yields
    ------
    Measured
        Filled when the block ends.

    Examples
    --------
    >>> with measure() as took:
    ...     total = sum(range(10))
    no device used · 0 ms
    >>> took.received_bytes
    0
    """
    measured, loads, streams = Measured(), RECEIPTS.count, ITERATIONS.count
    ACCELERATOR.reset_peaks()
    received, waited, begun = TRAFFIC.received_bytes, WAITING.seconds, time.monotonic()
    try:
        yield measured
    finally:
        measured.seconds = time.monotonic() - begun
        measured.received_bytes = TRAFFIC.received_bytes - received
        measured.waited_seconds = WAITING.seconds - waited
        measured.peak_bytes = allocated_peaks()
        measured.held_bytes = _simulated()
        measured.streams = tuple(ITERATIONS.since(streams))
        measured.advice = _advice(measured, loads)
        sys.stdout.write(f"{measured}\n")


def _simulated() -> dict[str, int]:
    held = HOLDINGS.report()["held"]
    return {one["device"]: one["bytes"] for one in held if one["device"].startswith("simulated") and one["bytes"]}


def _advice(measured: Measured, loads_before: int) -> str:
    """Return what is certain to help: a stream's own advice, or to keep here what is fetched again."""
    if said := next((one.advice for one in measured.streams if one.advice), ""):
        return said
    if measured.waited_ratio < _MUCH or measured.seconds < _SHORT_SECONDS:
        return ""
    receipts = [entry.receipt for entry in RECEIPTS.all()]
    first = max(0, len(receipts) - (RECEIPTS.count - loads_before))
    for number, one in enumerate(receipts[first:], start=first):
        before = {(other.url, other.etag) for other in receipts[:number]}
        # What is on a disk here is no traffic, and is not kept a second time.
        came = 0 < one.bytes_read <= measured.received_bytes
        if came and not one.bytes_cached and (one.url, one.etag) in before:
            return f"try --cache: {printable(one.url)} was loaded before, unchanged"
    return ""
