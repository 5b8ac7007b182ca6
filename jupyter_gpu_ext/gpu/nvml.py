"""NVIDIA devices through NVML; the only place that imports pynvml (the package nvidia-ml-py)."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu import nvml_errors as codes
from jupyter_gpu_ext.gpu import nvml_slices
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import Device, DeviceSample
from jupyter_gpu_ext.gpu.nvml_library import NO_SUCH_CALL, Answer, Capabilities, Library, Query
from jupyter_gpu_ext.gpu.nvml_processes import Instance, holders
from jupyter_gpu_ext.gpu.nvml_readings import MEMORY, memory_total, read, to_sample
from jupyter_gpu_ext.gpu.system_memory import SystemMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MODULE_VERSION_FILE = Path("/proc/driver/nvidia/version")
_VERSION = re.compile(r"\b\d{3,}(?:\.\d+)+")
# After one of these the handle may never work again, though the device may be back.
_LOST = {codes.UNINITIALIZED, codes.GPU_IS_LOST, codes.RESET_REQUIRED}
# So it is when nothing but these comes back; one query alone may have trouble of its own.
_DOUBTED = {codes.INVALID_ARGUMENT, codes.UNKNOWN}


@dataclass(slots=True)
class _Slot:
    """A device; without a handle, `problem` is the code that says why."""

    device: Device
    capabilities: Capabilities
    handle: Any = None
    problem: int = codes.GPU_IS_LOST
    instance: Instance | None = None
    cut: bool = False
    slices: list[_Slot] = field(default_factory=list)


class NvmlBackend:
    """All cards that NVML shows to this process, and their MIG slices.

    Parameters
    ----------
    pcie_throughput : bool
        Read what goes over the PCIe link, too: each reading watches it for 20 ms a direction and card.
    module_version_file : Path
        Where the kernel module tells its version.
    clock : callable
        Seconds: what a device does not know is asked again after some time.

    Raises
    ------
    BackendError
        NVML cannot be used here, or shows no device.
    """

    simulated = False

    def __init__(
        self,
        *,
        pcie_throughput: bool = False,
        module_version_file: Path = _MODULE_VERSION_FILE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pcie_throughput = pcie_throughput
        self._module_version_file = module_version_file
        self._clock = clock
        self._library = Library(_binding())
        self._cards: list[_Slot] = []
        self._open = False
        self._init()
        try:
            self._refresh()
        except BackendError:
            self.close()
            raise

    def devices(self) -> tuple[Device, ...]:
        """Return the cards, by NVML's index, and behind each its slices."""
        return tuple(slot.device for slot in self._slots())

    def sample(self) -> tuple[DeviceSample, ...]:
        """Read every device; a metric that NVML refuses is None with the refusal in words."""
        self._refresh()
        return tuple(self._read(slot) for slot in self._slots())

    def close(self) -> None:
        """Give NVML back."""
        if self._open:
            self._open = False
            self._library.ask("nvmlShutdown")

    def _slots(self) -> Iterable[_Slot]:
        return [slot for card in self._cards for slot in (card, *card.slices)]

    def _init(self) -> None:
        _, code = self._library.ask("nvmlInit")
        if code:
            raise self._failure(code)
        self._open = True

    def _refresh(self) -> None:
        """Hold a handle for every device that gives one."""
        count = self._count()
        if count != len(self._cards):
            self._cards = [self._slot(_unidentified(index)) for index in range(count)]
        new = [card for card in self._cards if card.handle is None]
        for card in new:
            self._acquire(card)
        if all(card.handle is None for card in self._cards):
            raise self._failure(self._cards[0].problem if self._cards else codes.GPU_NOT_FOUND)
        for card in self._cards:
            self._cut(card)
        for card in new:
            # A device shows its memory's size before its first reading.
            if card.handle is not None:
                self._memory(card)

    def _count(self) -> int:
        count, code = self._library.ask("nvmlDeviceGetCount")
        if code == codes.UNINITIALIZED:
            # Another user of NVML in this process has shut it down once too often.
            self.close()
            self._cards = []
            self._init()
            count, code = self._library.ask("nvmlDeviceGetCount")
        if code:
            raise self._failure(code)
        return int(count)

    def _slot(self, device: Device) -> _Slot:
        return _Slot(device, Capabilities(self._library, self._clock))

    def _acquire(self, card: _Slot) -> None:
        card.handle, card.problem = self._library.ask("nvmlDeviceGetHandleByIndex", card.device.index)
        if card.handle is None:
            return
        card.capabilities = Capabilities(self._library, self._clock)
        card.device = replace(
            card.device,
            uuid=self._library.text("nvmlDeviceGetUUID", card.handle) or card.device.uuid,
            name=self._library.text("nvmlDeviceGetName", card.handle) or card.device.name,
        )

    def _cut(self, card: _Slot) -> None:
        """Find a card's slices; those that are known keep what was found out about them."""
        if card.handle is None:
            for slot in card.slices:
                slot.handle, slot.problem = None, card.problem
            return
        mode = card.capabilities.ask(nvml_slices.MODE, card.handle)
        if mode.value is None and mode.code not in NO_SUCH_CALL:
            return
        cut = bool(mode.value and mode.value[0])
        known = {slot.device.index: slot.device.uuid for slot in card.slices}
        found = nvml_slices.slices(self._library, card.handle, card.device.uuid, known) if cut else []
        if found is not None:
            self._hold(card, found)
        if cut != card.cut:
            # A card that is cut knows other queries than a whole one.
            card.cut, card.capabilities = cut, Capabilities(self._library, self._clock)

    def _hold(self, card: _Slot, found: list[nvml_slices.Slice]) -> None:
        known = {slot.device.uuid: slot for slot in card.slices}
        card.slices = [known.get(one.uuid) or self._new_slice(card, one) for one in found]
        for slot, one in zip(card.slices, found, strict=True):
            slot.handle, slot.problem = one.handle, one.problem

    def _new_slice(self, card: _Slot, found: nvml_slices.Slice) -> _Slot:
        slot = self._slot(
            Device(
                index=found.index,
                uuid=found.uuid,
                name=nvml_slices.name(self._library, found.handle),
                memory_total_bytes=nvml_slices.total_bytes(self._library, found.handle),
                slice_of=card.device.uuid,
            )
        )
        slot.handle = found.handle
        slot.instance = nvml_slices.instance(self._library, found.handle)
        self._memory(slot)
        return slot

    def _read(self, slot: _Slot) -> DeviceSample:
        if slot.handle is None:
            gone = Answer(code=slot.problem, reason=codes.describe(slot.problem), asked=False)
            return to_sample(slot.device.uuid, self._answers(slot, lambda _: gone), gone)
        answers = self._answers(slot, lambda query: self._ask(slot, query))
        processes = holders(slot.capabilities, slot.handle, belongs=_belongs(slot))
        if _is_dead({answer.code for answer in (*answers.values(), processes) if answer.asked}):
            slot.handle = None
        return to_sample(slot.device.uuid, answers, processes)

    def _answers(self, slot: _Slot, ask: Callable[[Query], Answer]) -> dict[Query, Answer]:
        return read(ask, is_slice=slot.device.slice_of is not None, pcie_throughput=self._pcie_throughput)

    def _ask(self, slot: _Slot, query: Query) -> Answer:
        return self._memory(slot) if query is MEMORY else slot.capabilities.ask(query, slot.handle)

    def _memory(self, slot: _Slot) -> Answer:
        """Ask for a device's memory: the system's where it has none of its own."""
        answer = slot.capabilities.ask(MEMORY, slot.handle)
        shares = answer.code == codes.NOT_SUPPORTED and slot.device.slice_of is None and not slot.cut
        if shares:
            answer = replace(answer, value=SystemMemory.now(), reason="")
        if (total := memory_total(answer)) is not None:
            slot.device = replace(slot.device, memory_total_bytes=total, shares_memory=shares)
        return answer

    def _failure(self, code: int) -> BackendError:
        library = self._library.text("nvmlSystemGetNVMLVersion")
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


def _belongs(slot: _Slot) -> Callable[[Instance], bool]:
    if slot.device.slice_of is None:
        elsewhere = {one.instance for one in slot.slices}
        return lambda instance: instance not in elsewhere
    return lambda instance: slot.instance in {None, instance}


def _is_dead(seen: set[int]) -> bool:
    return bool(seen & _LOST) or (bool(seen) and seen <= _DOUBTED)


def _module_version(file: Path) -> str:
    try:
        return _version_in(file.read_text("utf-8", "replace"))
    except OSError:
        return ""


def _version_in(text: str) -> str:
    """Return the driver's version in a line of the kernel module, or in NVML's ('12.570.86.15')."""
    found = _VERSION.search(text)
    return found.group() if found else ""
