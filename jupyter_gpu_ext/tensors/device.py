"""Where tensors go: which device a name means, and how much memory it has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, DeviceError
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.tensors.host import host_memory
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


@dataclass(frozen=True, slots=True)
class Target:
    """A device to load to.

    Attributes
    ----------
    device : str
        As torch names it: 'cpu', 'cuda:0'.
    simulated : str or None
        The simulated device whose meter counts the bytes; these lie on the cpu.
    """

    device: str
    simulated: str | None = None

    @property
    def meter(self) -> str:
        """The device that counts the bytes, as torch would name it: 'cuda:0', 'cpu', 'simulated:0'."""
        return self.simulated.replace("-", ":") if self.simulated else self.device

    @property
    def shown(self) -> str:
        """The device as people read it."""
        return f"{self.device} (counted on a simulated GPU)" if self.simulated else self.device


def find_target(name: str, environ: Mapping[str, str] = os.environ) -> Target:
    """Return the device that `name` means here.

    Parameters
    ----------
    name : str
        'auto', 'cpu', or a device of torch. 'auto' is the accelerator of this process (by `LOCAL_RANK`
        where a launcher set it), a simulated GPU where one is configured, and cpu only where there is no GPU.

    Raises
    ------
    BadRequestError
        When torch knows no such device.
    DeviceError
        When the device is not here, or a GPU is here that this torch cannot use.
    """
    import torch

    if name != "auto":
        return Target(str(_existing(name)))
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is not None:
        index = int(environ.get("LOCAL_RANK", torch.accelerator.current_device_index()))
        return Target(str(_existing(f"{accelerator.type}:{index}")))
    return Target("cpu", _simulated_or_none(environ, torch.__version__))


def ring_bytes(environ: Mapping[str, str], *, on_device: bool) -> int:
    """Return how much host memory a load may use beside its tensors.

    64 MiB on the cpu, 256 MiB of page-locked buffers for a device; `JUPYTER_GPU_RING_MIB` says otherwise, for networks
    that are faster than some 10 GB/s. Two ranges are always on their way: 24 MiB, of files above 512 MiB up to 48 MiB.

    Raises
    ------
    BadRequestError
        When the setting is no number from 16 to 65536.
    """
    text = environ.get("JUPYTER_GPU_RING_MIB", "256" if on_device else "64")
    if not text.isdecimal() or not 16 <= int(text) <= 65536:
        raise BadRequestError(
            f"JUPYTER_GPU_RING_MIB is {text[:40]!r}.", hint="A number of MiB, 16 to 65536; 256 on a device otherwise."
        )
    return int(text) << 20


def check_room(device: str, size_bytes: int, shown: str) -> None:
    """Refuse what a device has no room for.

    Raises
    ------
    DeviceError
        With what it needs and what is free.
    """
    memory = device_memory(device)
    if memory is not None and size_bytes > memory[0]:
        raise DeviceError(
            f"{shown} needs {format_bytes(size_bytes)} on {device}; "
            f"{format_bytes(memory[0])} of {format_bytes(memory[1])} are free.",
            hint="--keys GLOB loads a part, --device cpu loads into RAM; `%gpu` shows what is in use.",
        )


def device_memory(device: str) -> tuple[int, int] | None:
    """Return what this process can have of a device's memory and its total, in bytes; None where torch cannot say."""
    import torch

    if device == "cpu":
        return host_memory()
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(device)
        # What torch keeps for reuse is free for this process too.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device), total
    try:
        return torch.accelerator.get_memory_info(device)
    except (AttributeError, NotImplementedError, RuntimeError):
        # torch before 2.9, or a backend that does not count.
        return None


def _existing(name: str) -> torch.device:
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadRequestError(f"{name!r} is no device.", hint="auto, cpu, cuda or cuda:N.") from None
    if device.type in ("cpu", "meta"):
        if device.type == "meta":
            raise BadRequestError("The meta device holds no data.", hint="`%blob info` shows names and shapes.")
        return device
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    count = torch.accelerator.device_count() if accelerator else 0
    if accelerator is None or device.type != accelerator.type or (device.index or 0) >= count:
        here = ", ".join(f"{accelerator.type}:{i}" for i in range(count)) if accelerator else "none"
        raise DeviceError(
            f"{name} is not here (accelerators that this torch can use: {here}).",
            hint="--device cpu loads into RAM; `%gpu` shows the hardware.",
        )
    return torch.device(device.type, device.index or 0)


def _simulated_or_none(environ: Mapping[str, str], torch_version: str) -> str | None:
    from jupyter_gpu_ext import gpu

    try:
        backend = gpu.open_backend(environ)
    except BackendError:
        return None
    try:
        devices = backend.devices()
        if backend.simulated:
            return devices[0].uuid
    finally:
        backend.close()
    if devices:
        raise DeviceError(
            f"{devices[0].name} is here, but this kernel's torch {torch_version} cannot use it; nothing was loaded.",
            hint="Install a torch build for CUDA and restart the kernel; or --device cpu.",
        )
    return None
