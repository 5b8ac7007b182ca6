"""What an iteration of a stream took: who waited, what was read for what was used, what was left out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.text import format_bytes, format_count

if TYPE_CHECKING:
    from typing import Any

    from jupyter_gpu_ext.datasets.engine import Engine
    from jupyter_gpu_ext.datasets.protocols import Samples, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One iteration so far, of one process.

    Attributes
    ----------
    items, samples : int
        That were handed out; samples include those that were filtered.
    seconds, wait_seconds : float
        Of the iteration, and how much of it the caller waited for items.
    bytes_read, requests : int
        From storage.
    decoded_bytes, used_bytes : int
        Of blocks in memory, and of samples that were taken from them.
    most_held_bytes : int
        Of blocks at a time.
    lost_samples : int
    faults : tuple of str
        What `on_error='skip'` left out, and why.
    """

    items: int = 0
    samples: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0
    bytes_read: int = 0
    requests: int = 0
    decoded_bytes: int = 0
    used_bytes: int = 0
    most_held_bytes: int = 0
    lost_samples: int = 0
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        each = self.wait_seconds / self.items * 1000 if self.items else 0.0
        said = [
            f"{format_count(self.items, 'item')} of {format_count(self.samples, 'sample')} in {self.seconds:.1f} s, "
            f"{each:.1f} ms waited for each",
            f"{format_bytes(self.bytes_read)} in {format_count(self.requests, 'request')}, "
            f"up to {format_bytes(self.most_held_bytes)} held",
        ]
        if self.faults:
            said.append(f"{format_count(self.lost_samples, 'sample')} left out: {self.faults[0]}")
        return "\n".join(said)


def report_of(
    source: Source,
    engine: Engine[Any],
    samples: Samples,
    *,
    before: tuple[int, int],
    begun: float,
    waited: float,
    count: int,
) -> Report:
    """Return the report of an iteration that has handed out `count` items.

    Parameters
    ----------
    before : (int, int)
        The store's bytes and requests when it began.
    begun, waited : float
        `time.monotonic()` of the beginning, and seconds.
    """
    losses = samples.losses
    return Report(
        items=count,
        samples=samples.done - losses.samples,
        seconds=time.monotonic() - begun,
        wait_seconds=waited,
        bytes_read=source.bytes_read - before[0],
        requests=source.requests - before[1],
        decoded_bytes=engine.decoded_bytes,
        used_bytes=samples.used_bytes,
        most_held_bytes=engine.most_held_bytes,
        lost_samples=losses.samples,
        faults=tuple(losses.faults),
    )
