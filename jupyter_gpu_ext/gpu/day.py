"""The last 24 hours, a value a minute: what a dashboard shows after a night, whoever looked meanwhile."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from statistics import fmean
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.models import SERIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jupyter_gpu_ext.gpu.models import Device, Sample

    Column = deque[float | None]

MINUTES = 1440
MINUTE_SECONDS = 60
# A clock that is put right moves by seconds; one that goes back further makes the past unreadable.
_MOST_MINUTES_BACK = 5
_STORAGE = "storage_bytes_per_second"


def _mean(values: Iterable[float]) -> float:
    return round(fmean(values), 4)


# A peak of memory or heat is what matters, however short; the rest is a mean.
_SUMMARY: dict[str, Callable[[Iterable[float]], float]] = {
    "memory_used_bytes": max,
    "utilization_ratio": _mean,
    "temperature_celsius": max,
    "power_watts": _mean,
    _STORAGE: _mean,
}


class Day:
    """A ring of minutes for each device; a minute without a value is None."""

    def __init__(self) -> None:
        self._times: deque[int] = deque(maxlen=MINUTES)
        self._devices: dict[str, Device] = {}
        # By uuid and metric; of no device: what is everybody's.
        self._columns: dict[tuple[str, str], Column] = {}
        self._minute = 0
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)

    def append(self, sample: Sample, devices: Iterable[Device]) -> None:
        """Count a sample to its minute."""
        minute = int(sample.time // MINUTE_SECONDS)
        if minute < self._minute - _MOST_MINUTES_BACK:
            self._forget()
        if minute > self._minute:
            self._turn(minute)
        self._devices |= {device.uuid: device for device in devices}
        self._count("", _STORAGE, sample.storage_bytes_per_second)
        for reading in sample.devices:
            for metric in SERIES:
                self._count(reading.uuid, metric, getattr(reading, metric))

    def to_json(self) -> dict[str, Any]:
        """Return plain data in columns, oldest first: the API contract's GpuHistory.

        The last minute is the one that is not over yet.
        """
        now = {key: _SUMMARY[key[1]](values) for key, values in self._values.items()}

        def column(uuid: str, metric: str) -> list[float | None]:
            past = self._columns.get((uuid, metric)) or [None] * len(self._times)
            return [*past, now.get((uuid, metric))][-MINUTES:]

        return {
            "interval_seconds": MINUTE_SECONDS,
            "times": [*self._times, self._minute * MINUTE_SECONDS][-MINUTES:] if self._devices else [],
            _STORAGE: column("", _STORAGE) if self._devices else [],
            "devices": [
                {
                    "uuid": device.uuid,
                    "name": device.name,
                    "memory_total_bytes": device.memory_total_bytes,
                    **{metric: column(device.uuid, metric) for metric in SERIES},
                }
                for device in self._devices.values()
            ],
        }

    def _count(self, uuid: str, metric: str, value: float | None) -> None:
        if value is not None and math.isfinite(value):
            self._values[uuid, metric].append(value)

    def _turn(self, minute: int) -> None:
        """Close the minute that was, and those in which nothing was read."""
        if self._devices:
            self._close({key: _SUMMARY[key[1]](values) for key, values in self._values.items()})
            for _ in range(min(minute - self._minute - 1, MINUTES)):
                self._minute += 1
                self._close({})
            self._drop_the_forgotten()
        self._values.clear()
        self._minute = minute

    def _close(self, values: dict[tuple[str, str], float]) -> None:
        for key in values.keys() - self._columns.keys():
            self._columns[key] = deque([None] * len(self._times), maxlen=MINUTES)
        self._times.append(self._minute * MINUTE_SECONDS)
        for key, column in self._columns.items():
            column.append(values.get(key))

    def _drop_the_forgotten(self) -> None:
        empty = [key for key, column in self._columns.items() if all(value is None for value in column)]
        for key in empty:
            del self._columns[key]
        known = {uuid for uuid, _ in self._columns}
        self._devices = {uuid: device for uuid, device in self._devices.items() if uuid in known}

    def _forget(self) -> None:
        self._times.clear()
        self._devices.clear()
        self._columns.clear()
        self._values.clear()
        self._minute = 0
