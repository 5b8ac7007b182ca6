"""What this process's torch says of its devices, asked so that nothing wakes up: no import, no context, no waiting."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUse:
    """What torch's allocator of this process has of one device.

    Attributes
    ----------
    device : str
        As torch names it: 'cuda:0'.
    uuid : str or None
        The driver's identity of it, where torch knows it.
    reserved_bytes, allocated_bytes : int
        Taken from the driver, and filled by tensors; the difference is kept for reuse.
    peak_bytes : int
        The most that was reserved since this process began.
    """

    device: str
    uuid: str | None
    reserved_bytes: int
    allocated_bytes: int
    peak_bytes: int

    @property
    def cached_bytes(self) -> int:
        """Reserved and not filled."""
        return max(0, self.reserved_bytes - self.allocated_bytes)


class Accelerator:
    """The devices of this process's torch, as far as it uses them already."""

    def __init__(self) -> None:
        # What was reserved at most before somebody began to count anew.
        self._peaks: dict[str, int] = {}

    def in_use(self) -> tuple[DeviceUse, ...]:
        """Return the devices that torch holds memory of, or did; none before anything was put on one."""
        try:
            kind = _kind()
            count = _torch().accelerator.device_count() if kind else 0
            return tuple(one for index in range(count) if (one := self._use(kind, index)).peak_bytes)
        except (AttributeError, RuntimeError):
            # torch is not imported, or is being imported on another thread, or this backend does not count.
            return ()

    def reset_peaks(self) -> None:
        """Count the most that is allocated from now on anew."""
        for one in self.in_use():
            self._peaks[one.device] = one.peak_bytes
            _memory(one.device).reset_peak_memory_stats(one.device)

    def _use(self, kind: str, index: int) -> DeviceUse:
        device = f"{kind}:{index}"
        memory = _memory(device)
        reserved = memory.memory_reserved(device)
        peak = max(reserved, memory.max_memory_reserved(device), self._peaks.get(device, 0))
        return DeviceUse(
            device=device,
            uuid=_uuid(kind, index),
            reserved_bytes=reserved,
            allocated_bytes=memory.memory_allocated(device),
            peak_bytes=peak,
        )


def allocated_peaks() -> dict[str, int]:
    """Return the most that tensors filled of each device since the last `reset_peaks`, in bytes."""
    return {one.device: _memory(one.device).max_memory_allocated(one.device) for one in ACCELERATOR.in_use()}


def empty_cache() -> None:
    """Give back to the driver what no tensor fills; nothing where no device is in use."""
    for one in ACCELERATOR.in_use()[:1]:
        _memory(one.device).empty_cache()


def _torch() -> Any:
    return sys.modules.get("torch")


def _kind() -> str:
    """Return the kind of the devices in use, '' where torch has not touched any."""
    found = _torch().accelerator.current_accelerator()
    # Asking a device that nobody uses would open a context on it.
    return found.type if found is not None and _torch().get_device_module(found).is_initialized() else ""


def _memory(device: str) -> Any:
    # torch.accelerator counts from torch 2.9 on; before, each kind of device does.
    common = _torch().accelerator
    return common if hasattr(common, "memory_reserved") else _torch().get_device_module(device)


def _uuid(kind: str, index: int) -> str | None:
    if kind != "cuda":
        return None
    uuid = getattr(_torch().cuda.get_device_properties(index), "uuid", None)
    return None if uuid is None else f"GPU-{uuid}"


ACCELERATOR = Accelerator()
