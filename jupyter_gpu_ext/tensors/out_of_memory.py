"""What a person needs to know when the device's memory is full: who has it, what the error itself holds, what next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu import last_error
from jupyter_gpu_ext.tensors.sizes import held_by, storages
from jupyter_gpu_ext.tensors.torch_build import is_out_of_memory
from jupyter_gpu_ext.tensors.unfinished import UNFINISHED
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WANTED = re.compile(r"Tried to allocate ([\d.]+) (bytes|[KMGT]iB)", re.IGNORECASE)
_DEVICE = re.compile(r"\bGPU (\d+)\b")
_UNITS = {"bytes": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_OWNERS = 3


def is_device_memory(error: BaseException | None) -> bool:
    """Tell whether an error says that a device's memory is full; the host's is another matter."""
    return isinstance(error, RuntimeError) and is_out_of_memory(error)


def card(error: BaseException, namespace: Mapping[str, Any]) -> str:
    """Return the words that stand below the traceback.

    Parameters
    ----------
    error : BaseException
        What torch raised.
    namespace : mapping
        The notebook's variables.
    """
    text = str(error)
    device = _device(text)
    wanted = _WANTED.search(text)
    said = f"Out of memory on {device}"
    memory = _memory(device)
    if wanted is not None:
        size = float(wanted[1]) * _UNITS[wanted[2].lower()]
        said += f": wanted {format_bytes(size)}"
    if memory is not None:
        free, total, mine, cached = memory
        said += f"{',' if wanted else ':'} {format_bytes(free)} left of {format_bytes(total)}. This notebook "
        said += format_bytes(mine) + (f" ({format_bytes(cached)} of it cached)" if cached else "")
        said += f"{_owners(device, namespace)}, others {format_bytes(max(0, total - free - mine))}"
    return f"{said}. — {' '.join(_next(error, device, namespace))}"


def _next(error: BaseException, device: str, namespace: Mapping[str, Any]) -> Iterator[str]:
    held = held_by_error(error, namespace).get(device, 0)
    if held:
        yield f"The error itself holds {format_bytes(held)}: `%gpu release` frees it."
    if report := UNFINISHED.report():
        yield f"So does an unfinished load ({report}): `%gpu release` frees its parts."
    yield "`%gpu who` lists the tensors."


def held_by_error(error: BaseException, namespace: Mapping[str, Any]) -> dict[str, int]:
    """Return the bytes, by device, that only the frames of a traceback keep alive."""
    local = [value for _, value in last_error.variables(error)]
    kept = storages(*namespace.values())
    held: dict[str, int] = {}
    for memory, (device, size) in storages(*local).items():
        if memory not in kept:
            held[device] = held.get(device, 0) + size
    return held


def _owners(device: str, namespace: Mapping[str, Any]) -> str:
    sizes = {name: held_by(value).get(device, 0) for name, value in namespace.items() if not name.startswith("_")}
    most = sorted((name for name, size in sizes.items() if size), key=lambda name: -sizes[name])[:_OWNERS]
    return f": {', '.join(f'{printable(name[:60])} {format_bytes(sizes[name])}' for name in most)}" if most else ""


def _device(text: str) -> str:
    import torch

    kind = torch.accelerator.current_accelerator()
    named = _DEVICE.search(text)
    index = int(named[1]) if named else torch.accelerator.current_device_index()
    return f"{kind.type}:{index}" if kind is not None else "the device"


def _memory(device: str) -> tuple[int, int, int, int] | None:
    """Return free, total, what this process has, and how much of that is only kept for reuse."""
    import torch

    try:
        if device.startswith("cuda"):
            free, total = torch.cuda.mem_get_info(device)
            mine, used = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
        else:
            free, total = torch.accelerator.get_memory_info(device)
            mine, used = torch.accelerator.memory_reserved(device), torch.accelerator.memory_allocated(device)
    except (AttributeError, NotImplementedError, RuntimeError):
        return None
    return free, total, mine, max(0, mine - used)
