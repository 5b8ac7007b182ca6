"""`%load_ext jupyter_gpu_ext`: register the magics and the link, say what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext import __version__, gpu
from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.magics import cell, link, memory_card, verbs
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.filesystem import register_all
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_gpu_ext.gpu.models import Device


def load(shell: InteractiveShell) -> None:
    """Register everything with `shell` and print three lines."""
    verbs.register(shell)
    cell.register(shell)
    link.register(shell)
    memory_card.register(shell)
    register_all()
    print("\n".join(greeting()))  # noqa: T201 -- what the person asked to be told


def greeting() -> list[str]:
    """Return the lines: version and device, connections, and where the rest is."""
    return [f"jupyter_gpu_ext {__version__} · {_devices()}", _connections(), "Help: %blob --help, %gpu --help"]


def _devices() -> str:
    try:
        status = gpu.status()
    except GpuExtError as error:
        return str(error)
    used = {one.uuid: one.memory_used_bytes for one in status.now}
    return ", ".join(_device(one, used.get(one.uuid)) for one in status.devices) or status.reason


def _device(device: Device, used_bytes: int | None) -> str:
    if device.memory_total_bytes is None or used_bytes is None:
        return device.name
    free = format_bytes(device.memory_total_bytes - used_bytes)
    return f"{device.name}, {free} of {format_bytes(device.memory_total_bytes)} free"


def _connections() -> str:
    found = connections.load()
    names = [f"{name}://" for name in found.connections]
    names += [f"{name} is not usable (`%blob ls` says why)" for name in found.problems]
    return f"connections: {', '.join(names)}" if names else "connections: none, %blob connect"
