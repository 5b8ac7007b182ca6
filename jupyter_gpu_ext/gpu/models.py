"""What the hardware says, as plain values: None means not reported, and the reason stands beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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
    """One GPU; `uuid` is its identity, `index` only NVML's order (CUDA's may differ)."""

    index: int
    uuid: str
    name: str
    memory_total_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSample:
    """One reading of one GPU; `unavailable` maps each field that is None to the reason, in words."""

    uuid: str
    memory_used_bytes: int | None
    utilization_ratio: float | None
    unavailable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One reading of all GPUs; `time` in seconds since the epoch."""

    cursor: int
    time: float
    devices: tuple[DeviceSample, ...]


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
        No sample for ten intervals.
    interval_seconds : float
        Time between samples; 0 for a single reading.
    cursor : int
        Hand back as `since` to get newer samples only.
    devices, samples : tuple
        Samples oldest first.
    """

    state: State
    reason: str = ""
    hint: str = ""
    simulated: bool = False
    stale: bool = False
    interval_seconds: float = 0.0
    cursor: int = 0
    devices: tuple[Device, ...] = ()
    samples: tuple[Sample, ...] = ()

    def __repr__(self) -> str:
        return to_text(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the API contract's GpuStatus, less what only the server knows (version, kernels)."""
        return {
            "state": self.state.value,
            "reason": self.reason,
            "hint": self.hint,
            "simulated": self.simulated,
            "stale": self.stale,
            "interval_seconds": self.interval_seconds,
            "cursor": self.cursor,
            "devices": [_device_json(device) for device in self.devices],
            "samples": [_sample_json(sample) for sample in self.samples],
        }


def _device_json(device: Device) -> dict[str, Any]:
    return {
        "index": device.index,
        "uuid": device.uuid,
        "name": device.name,
        "memory_total_bytes": device.memory_total_bytes,
    }


def _sample_json(sample: Sample) -> dict[str, Any]:
    return {
        "cursor": sample.cursor,
        "time": sample.time,
        "devices": [_reading_json(reading) for reading in sample.devices],
    }


def _reading_json(reading: DeviceSample) -> dict[str, Any]:
    ratio = reading.utilization_ratio
    return {
        "uuid": reading.uuid,
        "memory_used_bytes": reading.memory_used_bytes,
        # JSON has no NaN.
        "utilization_ratio": ratio if ratio is not None and math.isfinite(ratio) else None,
        "unavailable": dict(reading.unavailable),
    }
