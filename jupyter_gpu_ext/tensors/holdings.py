"""What the loads of this process still hold: asked by the panel while a cell runs, so it never blocks."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu.accelerator import ACCELERATOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_gpu_ext.tensors.device import Target


@dataclass(eq=False, slots=True)
class Load:
    """One load; `alive` has each storage's bytes and the tensors over it that still exist."""

    name: str
    url: str
    target: Target
    alive: dict[str, tuple[int, list[weakref.ref[Any]]]] = field(default_factory=dict)

    @property
    def held_bytes(self) -> int:
        """Bytes of the storages of which a tensor is alive."""
        return sum(size for size, tensors in self.alive.values() if any(ref() is not None for ref in tensors))


class Holdings:
    """The loads of this process that have a tensor alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loads: list[Load] = []

    def add(self, name: str, url: str, target: Target, tensors: Iterable[tuple[str, int, Any]]) -> None:
        """Note a load: for each tensor its storage, the storage's bytes and the tensor."""
        load = Load(name, url, target)
        for storage, size, tensor in tensors:
            load.alive.setdefault(storage, (size, []))[1].append(weakref.ref(tensor))
        with self._lock:
            self._loads = [one for one in self._loads if one.held_bytes] + [load]

    def owners(self, device: str) -> dict[str, int]:
        """Return the bytes on a device by the names that the loads were given, most first."""
        with self._lock:
            loads = [one for one in self._loads if one.target.device == device]
        sums: dict[str, int] = {}
        for one in loads:
            name = one.name or one.url.rpartition("/")[2]
            sums[name] = sums.get(name, 0) + one.held_bytes
        return {name: size for name, size in sorted(sums.items(), key=lambda item: -item[1]) if size}

    def report(self) -> dict[str, Any]:
        """Return what is held, as plain data: 'held' a device, 'loads' a value."""
        with self._lock:
            self._loads = [one for one in self._loads if one.held_bytes]
            loads = list(self._loads)
        return {
            "held": [*_by_loads(loads), *_by_torch()],
            "loads": [
                {"name": one.name, "url": one.url, "device": one.target.meter, "bytes": one.held_bytes} for one in loads
            ],
        }


def _by_loads(loads: list[Load]) -> list[dict[str, Any]]:
    # On an accelerator torch's own count is the better one: it has what was not loaded by us, too.
    held: dict[tuple[str, str | None], int] = {}
    for one in loads:
        if one.target.device == "cpu":
            place = (one.target.meter, one.target.simulated)
            held[place] = held.get(place, 0) + one.held_bytes
    return [
        {"device": device, "uuid": uuid, "bytes": size, "peak_bytes": None, "cached_bytes": None}
        for (device, uuid), size in held.items()
    ]


def _by_torch() -> list[dict[str, Any]]:
    return [
        {
            "device": one.device,
            "uuid": one.uuid,
            "bytes": one.reserved_bytes,
            "peak_bytes": one.peak_bytes,
            "cached_bytes": one.cached_bytes,
        }
        for one in ACCELERATOR.in_use()
    ]


HOLDINGS = Holdings()
