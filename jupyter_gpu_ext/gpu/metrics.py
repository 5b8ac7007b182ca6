"""The state of the GPUs as Prometheus metrics, and their text.

Names and units follow https://prometheus.io/docs/practices/naming/, the text is format 0.0.4 of
https://prometheus.io/docs/instrumenting/exposition_formats/. What is not reported has no series, so that nobody
averages a zero that nobody measured.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.gpu.models import State
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jupyter_gpu_ext.gpu.models import Device, DeviceSample, Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "jupyter_gpu_"

# The words are for people and may change, a label's values may not: the first pattern that is found decides.
_REASONS = (
    ("thermal", re.compile(r"heat|hot|therm|temperature", re.IGNORECASE)),
    ("power_brake", re.compile(r"brake|supply", re.IGNORECASE)),
    ("power_cap", re.compile(r"power", re.IGNORECASE)),
    ("sync", re.compile(r"sync", re.IGNORECASE)),
    ("hardware", re.compile(r"hardware", re.IGNORECASE)),
    ("setting", re.compile(r"\bset|application|display", re.IGNORECASE)),
)
REASONS = (*(name for name, _ in _REASONS), "other")


@dataclass(frozen=True, slots=True)
class Series:
    """One number under its labels."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """All series of one name.

    Attributes
    ----------
    name : str
        As the series have it: a counter's ends in `_total`.
    """

    name: str
    help: str
    series: tuple[Series, ...]

    @property
    def kind(self) -> Literal["counter", "gauge"]:
        """What the number does: a counter only grows until its device's driver is loaded anew."""
        return "counter" if self.name.endswith("_total") else "gauge"


@dataclass(frozen=True, slots=True)
class _Reading:
    """A family of the fields of a reading, each with the labels that tell it from the others."""

    name: str
    help: str
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def series(self, labels: Mapping[str, str], reading: DeviceSample) -> Iterator[Series]:
        for name, more in (self.fields or {self.name: {}}).items():
            yield from _series({**labels, **more}, getattr(reading, name))


_READINGS = (
    _Reading("memory_used_bytes", "Device memory that programs hold."),
    _Reading("memory_free_bytes", "Device memory that nobody holds."),
    _Reading("memory_reserved_bytes", "Device memory that the driver keeps for itself."),
    _Reading("utilization_ratio", "Share of the last moment in which a kernel ran, 0 to 1."),
    _Reading("temperature_celsius", "Temperature of the GPU."),
    _Reading("power_watts", "Power that the card draws."),
    _Reading("power_limit_watts", "Power that the card may draw."),
    _Reading("energy_joules_total", "Energy drawn since the driver was loaded.", {"energy_joules": {}}),
    _Reading(
        "clock_hertz",
        "Clock of the multiprocessors (graphics) and of the memory.",
        {"graphics_clock_hertz": {"clock": "graphics"}, "memory_clock_hertz": {"clock": "memory"}},
    ),
    _Reading("fan_ratio", "Speed of the fan, as a share of its highest."),
    _Reading(
        "ecc_errors_total",
        "Memory errors since the driver was loaded.",
        {"ecc_corrected_count": {"kind": "corrected"}, "ecc_uncorrected_count": {"kind": "uncorrected"}},
    ),
    _Reading("remapped_rows", "Rows of memory replaced by spare ones.", {"remapped_rows_count": {}}),
    _Reading("needs_reset", "1: a row of memory waits to be replaced at the next reset."),
    _Reading("pcie_generation", "PCIe generation of the link as it is now."),
    _Reading("pcie_width", "PCIe lanes of the link as it is now."),
    _Reading("pcie_received_bytes_per_second", "Bytes a second that the device receives over PCIe."),
    _Reading("pcie_sent_bytes_per_second", "Bytes a second that the device sends over PCIe."),
)


def families(
    status: Status,
    kernels: Sequence[Mapping[str, Any]] | None = None,
    storage_bytes_per_second: float | None = None,
) -> tuple[Family, ...]:
    """Return what can be said of the GPUs now, a family a name; those without a series are left out.

    Parameters
    ----------
    status : Status
        Readings that are stale are no readings of now, and are left out.
    kernels : sequence of mappings or None
        The rows of a server's kernels (`KernelUse` of the HTTP contract); None: not known. Neither a notebook's path
        nor a person's name becomes a label.
    storage_bytes_per_second : float or None
        What these notebooks receive from storage.
    """
    # A second series under the same labels would spoil the whole scrape.
    devices = list({printable(device.uuid): device for device in status.devices}.values())
    found = [*_of_machine(status), *_of_devices(devices)]
    if not status.stale:
        found += _of_readings(devices, {reading.uuid: reading for reading in status.now})
    if kernels is not None:
        found += _of_kernels(devices, kernels)
    received = _series({}, storage_bytes_per_second)
    found.append(_family("storage_received_bytes_per_second", "What the notebooks receive from storage.", received))
    return tuple(family for family in found if family.series)


def exposition(found: Iterable[Family]) -> str:
    r"""Return families as text.

    Examples
    --------
    >>> print(exposition([Family(name="a_ratio", help="A.", series=(Series({"b": 'c"'}, 0.5),))]), end="")
    # HELP a_ratio A.
    # TYPE a_ratio gauge
    a_ratio{b="c\""} 0.5
    """
    return "".join(f"{line}\n" for family in found for line in _lines(family))


def _of_machine(status: Status) -> Iterator[Family]:
    states = [Series({"state": state.value}, int(state is status.state)) for state in State]
    yield _family("state", "1 for the state that the machine's GPUs are in, 0 for the others.", states)
    yield _family("stale", "1: the driver has not answered for a while.", _series({}, status.stale))
    yield _family("simulated", "1: the devices and their numbers are made up.", _series({}, status.simulated))


def _of_devices(devices: Sequence[Device]) -> Iterator[Family]:
    infos = [
        Series({**_labels(device), "name": printable(device.name), "slice_of": printable(device.slice_of or "")}, 1)
        for device in devices
    ]
    yield _family("info", "The name of a device; of a MIG slice also the card that it is a part of.", infos)
    sizes = [one for device in devices for one in _series(_labels(device), device.memory_total_bytes)]
    yield _family("memory_total_bytes", "Device memory.", sizes)


def _of_readings(devices: Sequence[Device], readings: Mapping[str, DeviceSample]) -> Iterator[Family]:
    read = [(_labels(device), readings[device.uuid]) for device in devices if device.uuid in readings]
    for one in _READINGS:
        series = [each for labels, reading in read for each in one.series(labels, reading)]
        yield _family(one.name, one.help, series)
    throttled = [each for labels, reading in read for each in _throttled(labels, reading.throttled_by)]
    yield _family("throttled", "1 for each reason that slows the clocks now.", throttled)


def _of_kernels(devices: Sequence[Device], kernels: Sequence[Mapping[str, Any]]) -> Iterator[Family]:
    # What a kernel says is its person's words: only devices that the driver knows become labels.
    known = {device.uuid for device in devices}
    uses = [[use for use in row["uses"] if use["uuid"] in known] for row in kernels]
    yield _family("kernels", "Notebook kernels that hold device memory.", _series({}, sum(map(bool, uses))))
    held = [one for device in devices for one in _series(*_held(device, [use for row in uses for use in row]))]
    yield _family("kernels_memory_bytes", "Device memory of all notebook kernels; absent where one cannot tell.", held)


def _held(device: Device, uses: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, str], int | None]:
    sizes = [use["bytes"] for use in uses if use["uuid"] == device.uuid]
    return {"uuid": printable(device.uuid)}, None if None in sizes else sum(sizes)


def _throttled(labels: Mapping[str, str], words: Sequence[str] | None) -> Iterator[Series]:
    if words is None:
        return
    now = {_reason(one) for one in words}
    yield from (Series({**labels, "reason": reason}, int(reason in now)) for reason in REASONS)


def _reason(words: str) -> str:
    return next((name for name, pattern in _REASONS if pattern.search(words)), "other")


def _labels(device: Device) -> dict[str, str]:
    return {"uuid": printable(device.uuid), "index": str(device.index)}


def _family(name: str, text: str, series: Iterable[Series]) -> Family:
    return Family(name=PREFIX + name, help=text, series=tuple(series))


def _series(labels: Mapping[str, str], value: float | None) -> Iterator[Series]:
    if value is not None and math.isfinite(value):
        yield Series(labels, int(value) if isinstance(value, bool) else value)


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    for series in family.series:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in series.labels.items())
        yield f"{family.name}{{{labels}}} {series.value!r}" if labels else f"{family.name} {series.value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
