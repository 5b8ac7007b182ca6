"""The last ten minutes of samples, each with a cursor."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu.models import Sample

if TYPE_CHECKING:
    from jupyter_gpu_ext.gpu.models import DeviceSample

SPAN_SECONDS = 600


class History:
    """A ring buffer; cursors start at 1 and grow by one a sample.

    Parameters
    ----------
    interval_seconds : float
        The least time between samples: decides how many make up ten minutes.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._samples: deque[Sample] = deque(maxlen=max(1, round(SPAN_SECONDS / interval_seconds)))
        self.cursor = 0

    def append(
        self, devices: tuple[DeviceSample, ...], time: float, storage_bytes_per_second: float | None = None
    ) -> Sample:
        """Add a sample, `time` in seconds since the epoch, and let go of what is older than ten minutes."""
        self.cursor += 1
        sample = Sample(
            cursor=self.cursor, time=time, devices=devices, storage_bytes_per_second=storage_bytes_per_second
        )
        self._samples.append(sample)
        while self._samples[0].time < time - SPAN_SECONDS:
            self._samples.popleft()
        return sample

    @property
    def newest(self) -> tuple[DeviceSample, ...]:
        """The last reading of each device; none before the first."""
        return self._samples[-1].devices if self._samples else ()

    def after(self, cursor: int) -> tuple[Sample, ...]:
        """Return the samples newer than a cursor, oldest first."""
        # A cursor from the future is one of a server that has since been restarted.
        new = self.cursor - cursor if cursor <= self.cursor else self.cursor
        start = max(0, len(self._samples) - new)
        return tuple(self._samples)[start:]
