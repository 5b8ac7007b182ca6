"""What a load waits for: the network, the checksums, or the copies to the device."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jupyter_gpu_ext.storage.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

Stage = Literal["network", "checksums", "device"]
WORDS: dict[Stage, str] = {"network": "the network", "checksums": "checksums", "device": "copies"}


@dataclass(slots=True)
class Stages:
    """Seconds, summed over the ranges of a load that are under way side by side; two clock readings a range.

    Attributes
    ----------
    network_seconds : float
        Ranges waited for their bytes.
    buffer_seconds : float
        Ranges waited for a buffer whose copy was not done.
    landing_seconds : float
        Ranges waited until their bytes were where they stay: behind others, then for themselves.
    verify_seconds, copy_seconds : float
        What the one thread that does so was busy with.
    """

    network_seconds: float = 0.0
    buffer_seconds: float = 0.0
    landing_seconds: float = 0.0
    verify_seconds: float = 0.0
    copy_seconds: float = 0.0

    @contextmanager
    def timed(self, name: Literal["network", "buffer", "landing", "verify", "copy"]) -> Iterator[None]:
        """Count the time of a block; each count has one thread that writes it."""
        started = time.perf_counter()
        try:
            yield
        finally:
            field = f"{name}_seconds"
            setattr(self, field, getattr(self, field) + time.perf_counter() - started)

    @property
    def bottleneck(self) -> Stage:
        """What would have to be faster for the load to be."""
        busy = self.verify_seconds + self.copy_seconds
        verify = self.landing_seconds * self.verify_seconds / busy if busy else 0.0
        waits: dict[Stage, float] = {
            "network": self.network_seconds,
            "checksums": verify,
            "device": self.landing_seconds - verify + self.buffer_seconds,
        }
        return max(waits, key=lambda stage: waits[stage])


@dataclass(slots=True)
class LoadProgress(Progress):
    """How far a load is, and what it waits for.

    Attributes
    ----------
    stage : str
        The bottleneck so far.
    beforehand : str
        What was known before the first byte moved: whether it fits, and what is left.
    """

    stage: Stage = "network"
    beforehand: str = ""
