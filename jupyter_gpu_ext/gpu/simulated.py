"""Made-up GPUs for machines without one: asked for by configuration, always labelled, never a fallback.

`JUPYTER_GPU_SIMULATED` is COUNT or COUNTxMODEL: "1", "2", "1xA100", "4xL4". Empty or "0": real GPUs.
"""

from __future__ import annotations

import math
import re
import time
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.gpu.models import Device, DeviceSample
from jupyter_gpu_ext.gpu.simulated_models import A100, MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_gpu_ext.gpu.simulated_models import Model

VARIABLE = "JUPYTER_GPU_SIMULATED"
_GRAMMAR = re.compile(r"(\d{1,2})(?:x(\w+))?", re.IGNORECASE | re.ASCII)
_MOST_DEVICES = 16
_BASELINE_BYTES = 400_000_000
_RESERVED_BYTES = 300_000_000
_WAVE_SECONDS = 60
_MEAN_RATIO, _SWING_RATIO = 0.3, 0.25
# Metal is warm later than it is busy.
_WARMING_SECONDS = 5
_COOL_CELSIUS, _WARMTH_CELSIUS = 33.0, 70.0


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
    model : Model
        What each of them is.
    clock : callable
        Seconds; the utilisation is a wave over it, and all else follows from that.
    held_bytes : callable
        Bytes that loads hold now, by device uuid; called by the thread that samples.
    """

    simulated = True

    def __init__(
        self,
        *,
        count: int = 1,
        model: Model = A100,
        clock: Callable[[], float] = time.monotonic,
        held_bytes: Callable[[], Mapping[str, int]] = nothing_held,
    ) -> None:
        self._model = model
        self._clock = clock
        self._held_bytes = held_bytes
        self._devices = tuple(
            Device(
                index=i,
                uuid=simulated_uuid(i),
                name=f"Simulated {model.name}",
                memory_total_bytes=model.memory_bytes,
            )
            for i in range(count)
        )

    def devices(self) -> tuple[Device, ...]:
        """Return the devices, by index."""
        return self._devices

    def sample(self) -> tuple[DeviceSample, ...]:
        """Return the numbers of this moment."""
        seconds, held = self._clock(), self._held_bytes()
        return tuple(_reading(device, self._model, seconds, held.get(device.uuid, 0)) for device in self._devices)

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
    if not 1 <= count <= _MOST_DEVICES or model not in MODELS:
        hint = f"Say 2 or 1xA100: 1 to {_MOST_DEVICES} of {', '.join(MODELS)}; 0 for real GPUs."
        raise BadRequestError(f"{VARIABLE}={value!r} names no simulated GPU.", hint=hint)
    return SimulatedBackend(count=count, model=MODELS[model], held_bytes=held_bytes)


def _reading(device: Device, model: Model, seconds: float, held_bytes: int) -> DeviceSample:
    busy = _busy(seconds, device.index)
    warmth = _busy(seconds - _WARMING_SECONDS, device.index)
    load = busy / (_MEAN_RATIO + _SWING_RATIO)
    # At the crest of the wave the card meets its power limit, as real ones do at work.
    throttled = load > 0.98
    used = min(_BASELINE_BYTES + held_bytes, model.memory_bytes)
    mean_watts = model.watts(_MEAN_RATIO / (_MEAN_RATIO + _SWING_RATIO))
    return DeviceSample(
        uuid=device.uuid,
        memory_used_bytes=used,
        memory_free_bytes=max(0, model.memory_bytes - used - _RESERVED_BYTES),
        memory_reserved_bytes=min(_RESERVED_BYTES, model.memory_bytes - used),
        utilization_ratio=busy,
        temperature_celsius=float(round(_COOL_CELSIUS + _WARMTH_CELSIUS * warmth)),
        power_watts=round(model.watts(load), 1),
        power_limit_watts=model.limit_watts,
        graphics_clock_hertz=int(model.graphics_hertz * (0.92 if throttled else 1)),
        memory_clock_hertz=model.memory_hertz,
        throttled_by=("power limit",) if throttled else (),
        fan_ratio=round(0.2 + 0.5 * warmth, 2),
        energy_joules=round(mean_watts * seconds, 1),
        ecc_corrected_count=0,
        ecc_uncorrected_count=0,
        remapped_rows_count=0,
        needs_reset=False,
        pcie_generation=model.pcie_generation,
        pcie_width=16,
        pcie_received_bytes_per_second=int(2e9 * busy),
        pcie_sent_bytes_per_second=int(3e8 * busy),
        processes=(),
    )


def _busy(seconds: float, index: int) -> float:
    wave = math.sin(2 * math.pi * (seconds / _WAVE_SECONDS + index / 3))
    # Whole per cent, as a real device counts.
    return round(_MEAN_RATIO + _SWING_RATIO * wave, 2)
