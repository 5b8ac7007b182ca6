"""Every metric of a device: what NVML is asked for it, and how the answer becomes a value.

Functions, units and bits: nvml.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.backend import OF_THE_CARD, OFF
from jupyter_gpu_ext.gpu.models import DeviceSample
from jupyter_gpu_ext.gpu.nvml_library import Answer, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MEMORY_V2 = 0x0200_0028
_CORE_SENSOR = 0
_GRAPHICS_CLOCK, _MEMORY_CLOCK = 0, 2
_CORRECTED, _UNCORRECTED, _SINCE_LOADED = 0, 1, 0
_SENT, _RECEIVED = 0, 1
# NVML's own "no value": all bits set, of 32 or 64; signed, that is -1.
_NO_VALUE = {-1, 2**32 - 1, 2**64 - 1}
_NO_VALUE_REASON = "the driver gave no value"
# Idle clocks (bit 0) are low because nothing runs: that slows nobody.
_IDLE = 0x1
_THROTTLES = {
    0x2: "application clocks",
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "temperature",
    0x40: "overheating",
    0x80: "power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability",
}


def number(value: Any) -> int | None:
    """Return a whole number, None where NVML says that it has none."""
    return None if value is None or int(value) in _NO_VALUE else int(value)


def _of(name: str) -> Callable[[Any], int | None]:
    return lambda answer: number(getattr(answer, name, None))


def _scaled(unit: float) -> Callable[[Any], float | None]:
    return lambda answer: None if number(answer) is None else answer * unit


def _times(unit: int) -> Callable[[Any], int | None]:
    return lambda answer: None if number(answer) is None else answer * unit


def _busy(answer: Any) -> float | None:
    percent = number(answer.gpu)
    return percent / 100 if percent is not None and percent <= 100 else None


def throttled_by(bits: int) -> tuple[str, ...]:
    """Return what slows the clocks, in words."""
    set_ = [1 << at for at in range(bits.bit_length()) if bits >> at & 1 and 1 << at != _IDLE]
    return tuple(_THROTTLES.get(bit, f"reason {bit:#x}") for bit in set_)


MEMORY = Query(
    # The newer layout tells reserved bytes from used ones.
    calls=(("nvmlDeviceGetMemoryInfo", _MEMORY_V2), ("nvmlDeviceGetMemoryInfo",)),
    fields={
        "memory_used_bytes": _of("used"),
        "memory_free_bytes": _of("free"),
        "memory_reserved_bytes": _of("reserved"),
    },
    of_slices=True,
)

QUERIES = (
    MEMORY,
    Query(calls=(("nvmlDeviceGetUtilizationRates",),), fields={"utilization_ratio": _busy}, of_slices=True),
    Query(
        calls=(("nvmlDeviceGetTemperatureV", _CORE_SENSOR), ("nvmlDeviceGetTemperature", _CORE_SENSOR)),
        fields={"temperature_celsius": _scaled(1.0)},
    ),
    Query(calls=(("nvmlDeviceGetPowerUsage",),), fields={"power_watts": _scaled(1e-3)}),
    Query(calls=(("nvmlDeviceGetEnforcedPowerLimit",),), fields={"power_limit_watts": _scaled(1e-3)}),
    Query(calls=(("nvmlDeviceGetClockInfo", _GRAPHICS_CLOCK),), fields={"graphics_clock_hertz": _times(10**6)}),
    Query(calls=(("nvmlDeviceGetClockInfo", _MEMORY_CLOCK),), fields={"memory_clock_hertz": _times(10**6)}),
    Query(
        calls=(("nvmlDeviceGetCurrentClocksEventReasons",), ("nvmlDeviceGetCurrentClocksThrottleReasons",)),
        fields={"throttled_by": lambda bits: None if number(bits) is None else throttled_by(bits)},
    ),
    Query(calls=(("nvmlDeviceGetFanSpeed",),), fields={"fan_ratio": _scaled(1e-2)}),
    Query(calls=(("nvmlDeviceGetTotalEnergyConsumption",),), fields={"energy_joules": _scaled(1e-3)}),
    Query(calls=(("nvmlDeviceGetTotalEccErrors", _CORRECTED, _SINCE_LOADED),), fields={"ecc_corrected_count": number}),
    Query(
        calls=(("nvmlDeviceGetTotalEccErrors", _UNCORRECTED, _SINCE_LOADED),),
        fields={"ecc_uncorrected_count": number},
    ),
    Query(
        # Corrected, uncorrected, pending, failed.
        calls=(("nvmlDeviceGetRemappedRows",),),
        fields={"remapped_rows_count": lambda rows: rows[0] + rows[1], "needs_reset": lambda rows: bool(rows[2])},
    ),
    Query(calls=(("nvmlDeviceGetCurrPcieLinkGeneration",),), fields={"pcie_generation": number}),
    Query(calls=(("nvmlDeviceGetCurrPcieLinkWidth",),), fields={"pcie_width": number}),
)

# Each watches the link for 20 ms; in KiB/s.
PCIE_QUERIES = (
    Query(calls=(("nvmlDeviceGetPcieThroughput", _RECEIVED),), fields={"pcie_received_bytes_per_second": _times(1024)}),
    Query(calls=(("nvmlDeviceGetPcieThroughput", _SENT),), fields={"pcie_sent_bytes_per_second": _times(1024)}),
)

_NOT_THE_SLICE = Answer(reason=OF_THE_CARD, asked=False)
_OFF = Answer(reason=OFF, asked=False)


def read(ask: Callable[[Query], Answer], *, is_slice: bool, pcie_throughput: bool) -> dict[Query, Answer]:
    """Ask everything that a device can be asked; what a slice shares with its card is not asked of the slice."""
    answers = {}
    for query in (*QUERIES, *PCIE_QUERIES):
        if is_slice and not query.of_slices:
            answers[query] = _NOT_THE_SLICE
        elif query in PCIE_QUERIES and not pcie_throughput:
            answers[query] = _OFF
        else:
            answers[query] = ask(query)
    return answers


def to_sample(uuid: str, answers: Mapping[Query, Answer], processes: Answer) -> DeviceSample:
    """Return the reading that answers make, with a reason beside each value that is missing."""
    values: dict[str, Any] = {"processes": processes.value}
    reasons = {"processes": processes.reason}
    for query, answer in answers.items():
        for field, convert in query.fields.items():
            values[field] = None if answer.value is None else convert(answer.value)
            reasons[field] = answer.reason
    missing = {field: reasons[field] or _NO_VALUE_REASON for field, value in values.items() if value is None}
    return DeviceSample(uuid=uuid, **values, unavailable=missing)


def memory_total(answer: Answer) -> int | None:
    """Return the bytes of a device in an answer to `MEMORY`."""
    return number(getattr(answer.value, "total", None))
