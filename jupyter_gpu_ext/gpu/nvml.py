"""NVIDIA devices through NVML; the only place that imports pynvml (the package nvidia-ml-py)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from inspect import unwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu import nvml_errors as codes
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import Device, DeviceSample, unread

if TYPE_CHECKING:
    from collections.abc import Callable

_MODULE_VERSION_FILE = Path("/proc/driver/nvidia/version")
_VERSION = re.compile(r"\b\d{3,}(?:\.\d+)+")
# NVML's own "no value": all bits set.
_NO_VALUE = 2**64 - 1
_NO_SUCH_CALL = {
    codes.NOT_SUPPORTED,
    codes.FUNCTION_NOT_FOUND,
    codes.ARGUMENT_VERSION_MISMATCH,
    codes.DEPRECATED,
}
# After these the handle may never work again, though the device may be back.
_DEAD_HANDLE = {
    codes.UNINITIALIZED,
    codes.INVALID_ARGUMENT,
    codes.GPU_IS_LOST,
    codes.RESET_REQUIRED,
    codes.UNKNOWN,
}


@dataclass(slots=True)
class _Slot:
    """One index of NVML; without a handle, `problem` is the code that says why."""

    device: Device
    handle: Any = None
    problem: int = codes.GPU_IS_LOST


class NvmlBackend:
    """All devices that NVML shows to this process.

    Parameters
    ----------
    module_version_file : Path
        Where the kernel module tells its version.

    Raises
    ------
    BackendError
        NVML cannot be used here, or shows no device.
    """

    simulated = False

    def __init__(self, *, module_version_file: Path = _MODULE_VERSION_FILE) -> None:
        self._module_version_file = module_version_file
        self._nvml = _binding()
        self._slots: list[_Slot] = []
        self._open = False
        self._init()
        try:
            self._refresh()
        except BackendError:
            self.close()
            raise

    def devices(self) -> tuple[Device, ...]:
        """Return the devices, by NVML's index."""
        return tuple(slot.device for slot in self._slots)

    def sample(self) -> tuple[DeviceSample, ...]:
        """Read every device; a metric that NVML refuses is None with the refusal in words."""
        self._refresh()
        return tuple(self._read(slot) for slot in self._slots)

    def close(self) -> None:
        """Give NVML back."""
        if self._open:
            self._open = False
            self._ask(self._nvml.nvmlShutdown)

    def _init(self) -> None:
        _, code = self._ask(self._nvml.nvmlInit)
        if code:
            raise self._failure(code)
        self._open = True

    def _refresh(self) -> None:
        """Hold a handle for every device that gives one."""
        count = self._count()
        if count != len(self._slots):
            self._slots = [_Slot(_unidentified(index)) for index in range(count)]
        for slot in self._slots:
            if slot.handle is None:
                self._acquire(slot)
        if all(slot.handle is None for slot in self._slots):
            raise self._failure(self._slots[0].problem if self._slots else codes.GPU_NOT_FOUND)

    def _count(self) -> int:
        count, code = self._ask(self._nvml.nvmlDeviceGetCount)
        if code == codes.UNINITIALIZED:
            # Another user of NVML in this process has shut it down once too often.
            self.close()
            self._slots = []
            self._init()
            count, code = self._ask(self._nvml.nvmlDeviceGetCount)
        if code:
            raise self._failure(code)
        return int(count)

    def _acquire(self, slot: _Slot) -> None:
        slot.handle, slot.problem = self._ask(self._nvml.nvmlDeviceGetHandleByIndex, slot.device.index)
        if slot.handle is not None:
            self._identify(slot)
            self._memory(slot)

    def _identify(self, slot: _Slot) -> None:
        slot.device = replace(
            slot.device,
            uuid=self._string(self._nvml.nvmlDeviceGetUUID, slot.handle) or slot.device.uuid,
            name=self._string(self._nvml.nvmlDeviceGetName, slot.handle) or slot.device.name,
        )

    def _read(self, slot: _Slot) -> DeviceSample:
        if slot.handle is None:
            return _sample(slot.device.uuid, (None, slot.problem), (None, slot.problem))
        memory = self._memory(slot)
        rates = self._ask(self._nvml.nvmlDeviceGetUtilizationRates, slot.handle)
        if {memory[1], rates[1]} & _DEAD_HANDLE:
            slot.handle = None
        return _sample(slot.device.uuid, memory, rates)

    def _memory(self, slot: _Slot) -> tuple[Any, int]:
        """Ask for the layout that tells reserved bytes from used ones, else for the older one."""
        info, code = self._ask(self._nvml.nvmlDeviceGetMemoryInfo, slot.handle, self._nvml.nvmlMemory_v2)
        if code in _NO_SUCH_CALL:
            info, code = self._ask(self._nvml.nvmlDeviceGetMemoryInfo, slot.handle)
        total = _value(info, "total")
        if total is not None:
            slot.device = replace(slot.device, memory_total_bytes=total)
        return info, code

    def _string(self, query: Callable[..., Any], *arguments: Any) -> str:
        # The binding decodes strictly; below its decorator are the bytes.
        raw, _ = self._ask(unwrap(query), *arguments)
        return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw or "")

    def _ask(self, query: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
        """Return NVML's answer and 0, or None and its return code."""
        try:
            return query(*arguments), 0
        except self._nvml.NVMLError as error:
            return None, int(error.value)

    def _failure(self, code: int) -> BackendError:
        library = self._string(self._nvml.nvmlSystemGetNVMLVersion)
        module = _module_version(self._module_version_file)
        return codes.opening_failed(code, module=module, library=_version_in(library))


def _binding() -> Any:
    try:
        import pynvml
    except ImportError as error:
        raise codes.no_binding() from error
    return pynvml


def _unidentified(index: int) -> Device:
    return Device(index=index, uuid=f"index-{index}", name="name not reported", memory_total_bytes=None)


def _sample(uuid: str, memory: tuple[Any, int], rates: tuple[Any, int]) -> DeviceSample:
    used, percent = _value(memory[0], "used"), _value(rates[0], "gpu")
    ratio = percent / 100 if percent is not None and percent <= 100 else None
    readings = {"memory_used_bytes": (used, memory[1]), "utilization_ratio": (ratio, rates[1])}
    unavailable = unread(*readings) | {
        field: _reason(code) for field, (value, code) in readings.items() if value is None
    }
    return DeviceSample(uuid=uuid, memory_used_bytes=used, utilization_ratio=ratio, unavailable=unavailable)


def _value(struct: Any, field: str) -> int | None:
    value = None if struct is None else int(getattr(struct, field))
    return None if value == _NO_VALUE else value


def _reason(code: int) -> str:
    return codes.describe(code) if code else "the driver gave no value"


def _module_version(file: Path) -> str:
    try:
        return _version_in(file.read_text("utf-8", "replace"))
    except OSError:
        return ""


def _version_in(text: str) -> str:
    """Return the driver's version in a line of the kernel module, or in NVML's ('12.570.86.15')."""
    found = _VERSION.search(text)
    return found.group() if found else ""
