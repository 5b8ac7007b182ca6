"""What the hardware says, as plain values: None means not reported, and the reason stands beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.report import to_text

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    """What can be said about the machine as a whole."""

    STARTING = "starting"
    OK = "ok"
    NO_GPU = "no_gpu"
    BLOCKED = "blocked"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One GPU or one MIG slice of it; `uuid` is its identity, `index` only NVML's order (CUDA's may differ).

    Attributes
    ----------
    memory_total_bytes : int or None
    slice_of : str or None
        The uuid of the card that a MIG slice is a part of.
    shares_memory : bool
        The device has no memory of its own: the numbers are those of the system's.
    """

    index: int
    uuid: str
    name: str
    memory_total_bytes: int | None
    slice_of: str | None = None
    shares_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMemory:
    """What the driver says that one process holds; `pid` as the driver counts, which may not be as this system does."""

    pid: int
    memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSample:
    """One reading of one GPU; `unavailable` maps each field that is None to the reason, in words.

    Attributes
    ----------
    memory_used_bytes, memory_free_bytes, memory_reserved_bytes : int or None
        By programs, by nobody, by the driver.
    utilization_ratio : float or None
        The share of the last moment in which a kernel ran, 0 to 1.
    temperature_celsius, power_watts, power_limit_watts : float or None
    graphics_clock_hertz, memory_clock_hertz : int or None
    throttled_by : tuple of str or None
        What slows the clocks, in words; empty when nothing does.
    fan_ratio : float or None
    energy_joules : float or None
        Since the driver was loaded.
    ecc_corrected_count, ecc_uncorrected_count : int or None
        Memory errors since the driver was loaded.
    remapped_rows_count : int or None
        Rows of memory that were replaced by spare ones.
    needs_reset : bool or None
        A row waits to be replaced at the next reset.
    pcie_generation, pcie_width : int or None
        Of the link as it is now.
    pcie_received_bytes_per_second, pcie_sent_bytes_per_second : int or None
        Off unless asked for: each costs 20 ms.
    processes : tuple of ProcessMemory or None
        Who holds memory; never leaves the server.
    """

    uuid: str
    memory_used_bytes: int | None
    utilization_ratio: float | None
    memory_free_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    temperature_celsius: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    graphics_clock_hertz: int | None = None
    memory_clock_hertz: int | None = None
    throttled_by: tuple[str, ...] | None = None
    fan_ratio: float | None = None
    energy_joules: float | None = None
    ecc_corrected_count: int | None = None
    ecc_uncorrected_count: int | None = None
    remapped_rows_count: int | None = None
    needs_reset: bool | None = None
    pcie_generation: int | None = None
    pcie_width: int | None = None
    pcie_received_bytes_per_second: int | None = None
    pcie_sent_bytes_per_second: int | None = None
    processes: tuple[ProcessMemory, ...] | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)


# What each sample of a status has of a device; the rest is told of the last moment only.
SERIES = ("memory_used_bytes", "utilization_ratio", "temperature_celsius", "power_watts")
METRICS = tuple(one.name for one in fields(DeviceSample) if one.name not in {"uuid", "unavailable", "processes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One reading of all GPUs.

    Attributes
    ----------
    time : float
        Seconds since the epoch.
    storage_bytes_per_second : float or None
        What the notebooks received from storage meanwhile; None where no notebook is asked.
    """

    cursor: int
    time: float
    devices: tuple[DeviceSample, ...]
    storage_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Status:
    """The state of the machine's GPUs and the samples that the asker has not seen yet.

    Attributes
    ----------
    state : State
        With `reason` (one sentence, empty when ok) and `hint` (what to do next).
    simulated : bool
        The devices are made up.
    stale : bool
        The driver was asked more than five seconds ago and has not answered.
    interval_seconds : float
        Time between samples; 0 for a single reading.
    cursor : int
        Hand back as `since` to get newer samples only.
    devices : tuple of Device
    now : tuple of DeviceSample
        The newest reading of each device, also where no sample is new to the asker.
    samples : tuple of Sample
        Oldest first.
    """

    state: State
    reason: str = ""
    hint: str = ""
    simulated: bool = False
    stale: bool = False
    interval_seconds: float = 0.0
    cursor: int = 0
    devices: tuple[Device, ...] = ()
    now: tuple[DeviceSample, ...] = ()
    samples: tuple[Sample, ...] = ()

    def __repr__(self) -> str:
        return to_text(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the API contract's GpuStatus, less what only the server knows (version, kernels)."""
        now = {one.uuid: one for one in self.now}
        return {
            "state": self.state.value,
            "reason": self.reason,
            "hint": self.hint,
            "simulated": self.simulated,
            "stale": self.stale,
            "interval_seconds": self.interval_seconds,
            "cursor": self.cursor,
            "devices": [_device_json(device, now.get(device.uuid)) for device in self.devices],
            "samples": [_sample_json(sample) for sample in self.samples],
        }


def _device_json(device: Device, now: DeviceSample | None) -> dict[str, Any]:
    return {
        "index": device.index,
        "uuid": device.uuid,
        "name": device.name,
        "memory_total_bytes": device.memory_total_bytes,
        "slice_of": device.slice_of,
        "shares_memory": device.shares_memory,
        "now": None if now is None else _reading_json(now),
    }


def _reading_json(reading: DeviceSample) -> dict[str, Any]:
    values = {name: _plain(getattr(reading, name)) for name in METRICS}
    shown = {name: why for name, why in reading.unavailable.items() if name in METRICS}
    return {**values, "unavailable": shown}


def _sample_json(sample: Sample) -> dict[str, Any]:
    return {
        "cursor": sample.cursor,
        "time": sample.time,
        "storage_bytes_per_second": _plain(sample.storage_bytes_per_second),
        "devices": [
            {"uuid": reading.uuid, **{name: _plain(getattr(reading, name)) for name in SERIES}}
            for reading in sample.devices
        ],
    }


def _plain(value: Any) -> Any:
    # JSON has neither NaN nor tuples.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value
