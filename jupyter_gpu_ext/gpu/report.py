"""A status as lines of text: the same in a notebook, a script and a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.text import format_bytes, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.gpu.models import Device, DeviceSample, Status


def to_text(status: Status) -> str:
    """Return one line a device, or the reason and the hint where there is none.

    Examples
    --------
    >>> from jupyter_gpu_ext.gpu.models import State, Status
    >>> print(to_text(Status(state=State.NO_GPU, reason="No GPU here.", hint="Choose another profile.")))
    No GPU here.
    Choose another profile.
    """
    return "\n".join(_lines(status))


def _lines(status: Status) -> Iterator[str]:
    if status.simulated:
        yield "Simulated GPUs: the numbers are made up."
    if status.stale:
        yield "The GPU has not answered for a while; these numbers are old."
    yield from filter(None, (status.reason, status.hint))
    if status.devices:
        yield table(_rows(status), align="<<<>><")


def _rows(status: Status) -> Iterator[tuple[str, ...]]:
    readings = {reading.uuid: reading for reading in status.now}
    for device in status.devices:
        reading = readings.get(device.uuid)
        yield (
            _name(device),
            _memory(device, reading),
            _busy(reading),
            _heat(reading),
            _power(reading),
            _throttled(reading),
        )


def _name(device: Device) -> str:
    kind = "GPU" if device.slice_of is None else "  slice"
    return f"{kind} {device.index} · {printable(device.name)}"


def _memory(device: Device, reading: DeviceSample | None) -> str:
    total = format_bytes(device.memory_total_bytes) if device.memory_total_bytes is not None else ""
    used = reading.memory_used_bytes if reading else None
    if used is None:
        return f"memory {_unknown(reading, 'memory_used_bytes')}" + (f" / {total}" if total else "")
    return _used(used, total) + (" of the system" if device.shares_memory else "")


def _used(used: int, total: str) -> str:
    number, unit = format_bytes(used).split()
    if not total:
        return f"{number} {unit} used"
    return f"{number} / {total}" if total.endswith(f" {unit}") else f"{number} {unit} / {total}"


def _busy(reading: DeviceSample | None) -> str:
    ratio = reading.utilization_ratio if reading else None
    return f"busy {_unknown(reading, 'utilization_ratio') if ratio is None else f'{100 * ratio:.0f} %'}"


def _unknown(reading: DeviceSample | None, field: str) -> str:
    return f"unknown ({reading.unavailable.get(field, 'not reported')})" if reading else "not read yet"


# Not every device has these, and a line is short: what is not known is left out.


def _heat(reading: DeviceSample | None) -> str:
    celsius = reading.temperature_celsius if reading else None
    return "" if celsius is None else f"{celsius:.0f} °C"


def _power(reading: DeviceSample | None) -> str:
    if reading is None or reading.power_watts is None:
        return ""
    limit = reading.power_limit_watts
    return f"{reading.power_watts:.0f} W" if limit is None else f"{reading.power_watts:.0f} / {limit:.0f} W"


def _throttled(reading: DeviceSample | None) -> str:
    reasons = reading.throttled_by if reading else None
    return f"throttled: {', '.join(reasons)}" if reasons else ""
