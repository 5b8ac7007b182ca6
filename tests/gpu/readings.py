"""Readings in which everything is reported: what is not must be taken away on purpose."""

from __future__ import annotations

from jupyter_gpu_ext.gpu.models import Device, DeviceSample, Sample, State, Status

CARD, SLICE = "GPU-fa4e0000-0000-4000-8000-000000000000", "MIG-fa4e0000-0000-4000-8000-000000000001"


def device(**changes) -> Device:
    return Device(
        **{"index": 0, "uuid": CARD, "name": "NVIDIA A100 40 GB", "memory_total_bytes": 40 * 10**9, **changes}
    )


def reading(**changes) -> DeviceSample:
    everything = {
        "uuid": CARD,
        "memory_used_bytes": 14_900_000_000,
        "memory_free_bytes": 24_600_000_000,
        "memory_reserved_bytes": 500_000_000,
        "utilization_ratio": 0.52,
        "temperature_celsius": 61.0,
        "power_watts": 212.5,
        "power_limit_watts": 400.0,
        "graphics_clock_hertz": 1_410_000_000,
        "memory_clock_hertz": 1_215_000_000,
        "throttled_by": ("power limit",),
        "fan_ratio": 0.3,
        "energy_joules": 81_234.5,
        "ecc_corrected_count": 2,
        "ecc_uncorrected_count": 0,
        "remapped_rows_count": 1,
        "needs_reset": False,
        "pcie_generation": 4,
        "pcie_width": 16,
        "pcie_received_bytes_per_second": 1_900_000_000,
        "pcie_sent_bytes_per_second": 2_000_000,
    }
    return DeviceSample(**{**everything, **changes})


def status(**changes) -> Status:
    """A card of which everything is known, and a slice of it of which only the memory is."""
    part = device(index=1, uuid=SLICE, name='MIG "1g.5gb"', memory_total_bytes=5 * 10**9, slice_of=CARD)
    now = (reading(), DeviceSample(uuid=SLICE, memory_used_bytes=5 * 10**8, utilization_ratio=None))
    sample = Sample(cursor=7, time=1.0, devices=now)
    whole = {"state": State.OK, "devices": (device(), part), "now": now, "samples": (sample,), "cursor": 7}
    return Status(**{**whole, **changes})


def kernel(*uses: tuple[str | None, int | None]) -> dict:
    """A kernel's row that holds bytes on devices."""
    return {"id": "k", "path": "train.ipynb", "uses": [{"uuid": uuid, "bytes": size} for uuid, size in uses]}
