"""What holds this process's memory: its tensors by size, with the names that lead to them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu import storages
from jupyter_gpu_ext.gpu.accelerator import ACCELERATOR
from jupyter_gpu_ext.text import format_bytes, format_count, printable, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jupyter_gpu_ext.gpu.accelerator import DeviceUse
    from jupyter_gpu_ext.gpu.storages import Storage

_ROWS = 20
_NO_TORCH = "No tensors: torch is not imported in this process."
_HINT = "`%gpu who` in a notebook lists that notebook's tensors; `jupyter gpu status` shows the devices."


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One piece of memory, which several tensors may share.

    Attributes
    ----------
    names : tuple of str
        The first ways that lead to it; none where nothing with a name does.
    device, dtype : str
    shape : tuple of int
        Of the largest of the tensors.
    size_bytes : int
    """

    names: tuple[str, ...]
    device: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "names": list(self.names), "device": self.device, "dtype": self.dtype, "shape": list(self.shape),
            "size_bytes": self.size_bytes,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Holdings:
    """The tensors of this process, largest first, and what torch has of each device.

    Attributes
    ----------
    rows : tuple of Holding
    devices : tuple of DeviceUse
    note : str
        Why there are none.
    """

    rows: tuple[Holding, ...] = ()
    devices: tuple[DeviceUse, ...] = ()
    note: str = ""

    def __repr__(self) -> str:
        return "\n".join(_lines(self))

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        devices = [
            {
                "device": one.device, "reserved_bytes": one.reserved_bytes, "allocated_bytes": one.allocated_bytes,
                "cached_bytes": one.cached_bytes, "peak_bytes": one.peak_bytes,
            }
            for one in self.devices
        ]  # fmt: skip
        return {"rows": [one.to_json() for one in self.rows], "devices": devices, "note": self.note}


def who(namespace: Mapping[str, Any] | None = None) -> Holdings:
    """List the tensors of this process by size, with the names that lead to them.

    Found are those that variables, outputs (`Out[n]`, `_`), the last error's frames, models, optimizers and containers
    lead to, and those that nothing with a name holds. Memory that several tensors share is counted once.

    Parameters
    ----------
    namespace : mapping, optional
        The variables to begin with; the notebook's or the program's own otherwise.

    Returns
    -------
    Holdings
        Prints as a table.
    """
    if "torch" not in sys.modules:
        return Holdings(note=f"{_NO_TORCH} {_HINT}")
    found = storages.find(vars(sys.modules["__main__"]) if namespace is None else namespace)
    every = [*found.values(), *storages.unnamed(found).values()]
    rows = tuple(_row(one) for one in sorted(every, key=lambda one: -one.size_bytes))
    return Holdings(rows=rows, devices=ACCELERATOR.in_use(), note="" if rows else "No tensors.")


def _row(storage: Storage) -> Holding:
    return Holding(
        names=tuple(storage.names), device=storage.device, dtype=storage.dtype, shape=storage.shape,
        size_bytes=storage.size_bytes,
    )  # fmt: skip


def _lines(holdings: Holdings) -> Iterator[str]:
    if holdings.note:
        yield holdings.note
    if holdings.rows:
        shown = [_cells(one) for one in holdings.rows[:_ROWS]]
        yield table([("bytes", "device", "dtype", "shape", "held by"), *shown], align="><<<<")
    if rest := holdings.rows[_ROWS:]:
        yield f"and {format_count(len(rest), 'more', 'more')}, {format_bytes(sum(one.size_bytes for one in rest))}"
    for device in holdings.devices:
        yield f"{device.device}: {_words(device)}"


def _cells(holding: Holding) -> tuple[str, ...]:
    shape = " × ".join(map(str, holding.shape)) or "scalar"
    names = ", ".join(printable(name) for name in holding.names) or "nothing with a name"
    return format_bytes(holding.size_bytes), holding.device, holding.dtype, shape, names


def _words(device: DeviceUse) -> str:
    return (
        f"torch has {format_bytes(device.reserved_bytes)}, {format_bytes(device.allocated_bytes)} in tensors, "
        f"{format_bytes(device.cached_bytes)} cached; {format_bytes(device.peak_bytes)} at most"
    )
