"""Made-up GPUs for machines without one: asked for by configuration, always labelled, never a fallback.

`JUPYTER_GPU_SIMULATED` is COUNT or COUNTxMODEL: "1", "2", "1xA100", "4xL4". Empty or "0": real GPUs.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.gpu.models import Device, DeviceSample, unread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VARIABLE = "JUPYTER_GPU_SIMULATED"
_MODELS_GB = {"A100": 40, "H100": 80, "L4": 24, "T4": 16}
_GRAMMAR = re.compile(r"(\d{1,2})(?:x(\w+))?", re.IGNORECASE | re.ASCII)
_MOST_DEVICES = 16
_BASELINE_BYTES = 400_000_000
_WAVE_SECONDS = 60


def simulated_uuid(index: int) -> str:
    """Return the identity of a simulated device."""
    return f"simulated-{index}"


def nothing_held() -> Mapping[str, int]:
    """Return that no load holds bytes on any simulated device."""
    return {}


class SimulatedBackend:
    """Devices whose numbers are a function of time and of what the loads hold.

    Parameters
    ----------
    count : int
        How many devices.
    name : str
        Of each; shown behind the word "Simulated".
    memory_total_bytes : int
        Of each.
    clock : callable
        Seconds; the utilisation is a wave over it.
    held_bytes : callable
        Bytes that loads hold now, by device uuid; called by the thread that samples.
    """

    simulated = True

    def __init__(
        self,
        *,
        count: int = 1,
        name: str = "A100 40 GB",
        memory_total_bytes: int = 40_000_000_000,
        clock: Callable[[], float] = time.monotonic,
        held_bytes: Callable[[], Mapping[str, int]] = nothing_held,
    ) -> None:
        self._clock = clock
        self._held_bytes = held_bytes
        self._devices = tuple(
            Device(
                index=i,
                uuid=simulated_uuid(i),
                name=f"Simulated {name}",
                memory_total_bytes=memory_total_bytes,
            )
            for i in range(count)
        )

    def devices(self) -> tuple[Device, ...]:
        """Return the devices, by index."""
        return self._devices

    def sample(self) -> tuple[DeviceSample, ...]:
        """Return the numbers of this moment."""
        seconds, held = self._clock(), self._held_bytes()
        return tuple(_reading(device, seconds, held.get(device.uuid, 0)) for device in self._devices)

    def close(self) -> None:
        """Do nothing: nothing was opened."""


def parse_simulated(
    value: str,
    *,
    held_bytes: Callable[[], Mapping[str, int]] = nothing_held,
) -> SimulatedBackend | None:
    """Return the devices that a value of `JUPYTER_GPU_SIMULATED` asks for, None when it asks for real ones.

    Raises
    ------
    BadRequestError
        The value is neither COUNT nor COUNTxMODEL.
    """
    if value.strip() in {"", "0"}:
        return None
    found = _GRAMMAR.fullmatch(value.strip())
    count, model = (int(found[1]), (found[2] or "A100").upper()) if found else (0, "")
    if not 1 <= count <= _MOST_DEVICES or model not in _MODELS_GB:
        hint = f"Say 2 or 1xA100: 1 to {_MOST_DEVICES} of {', '.join(_MODELS_GB)}; 0 for real GPUs."
        raise BadRequestError(f"{VARIABLE}={value!r} names no simulated GPU.", hint=hint)
    size_gb = _MODELS_GB[model]
    return SimulatedBackend(
        count=count, name=f"{model} {size_gb} GB", memory_total_bytes=size_gb * 10**9, held_bytes=held_bytes
    )


def _reading(device: Device, seconds: float, held_bytes: int) -> DeviceSample:
    wave = math.sin(2 * math.pi * (seconds / _WAVE_SECONDS + device.index / 3))
    used = _BASELINE_BYTES + held_bytes
    return DeviceSample(
        uuid=device.uuid,
        memory_used_bytes=min(used, device.memory_total_bytes or used),
        # Whole per cent, as a real device counts.
        utilization_ratio=round(0.3 + 0.25 * wave, 2),
        unavailable=unread("memory_used_bytes", "utilization_ratio"),
    )
