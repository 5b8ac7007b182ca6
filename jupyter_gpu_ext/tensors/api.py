"""What a notebook or a script calls before it loads: `jg.info`, `jg.plan`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import DeviceError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.hdf5 import read_hdf5
from jupyter_gpu_ext.tensors.hdf5_shown import Hdf5Info
from jupyter_gpu_ext.tensors.header import MOST_BYTES, IsHdf5Error
from jupyter_gpu_ext.tensors.plan import FetchPlan, make_plan
from jupyter_gpu_ext.tensors.precision import converted_bytes
from jupyter_gpu_ext.tensors.zarr_cost import ZarrCost, cost
from jupyter_gpu_ext.tensors.zarr_load import open_either
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
from jupyter_gpu_ext.tensors.zarr_shown import ZarrInfo
from jupyter_gpu_ext.text import format_bytes, format_count, printable, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_gpu_ext.tensors.models import TensorFile
    from jupyter_gpu_ext.tensors.prepare import Wanted

_SHOWN = 40
_LISTED = 5000
_NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class Info:
    """What is inside a tensor file; prints as a table."""

    file: TensorFile

    def __str__(self) -> str:
        tensors = self.file.tensors
        rows = [
            (
                printable(name[:_NAME_CHARS]),
                one.dtype,
                " × ".join(map(str, one.shape)) or "scalar",
                format_bytes(one.size_bytes),
            )
            for name, one in list(tensors.items())[:_SHOWN]
        ]
        lines = [
            f"{printable(self.file.url)}  {self.file.kind}, {format_count(len(tensors), 'tensor')}, "
            f"{format_bytes(self.file.tensor_bytes)}",
            table(rows, align="<<<>"),
        ]
        if len(tensors) > _SHOWN:
            lines.append(f"… {len(tensors) - _SHOWN:,} more")
        read = f"header only: {format_bytes(self.file.bytes_read)} in {format_count(self.file.requests, 'request')}"
        return "\n".join([*lines, *self.file.notes, read])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        file = self.file
        return {
            "url": file.url,
            "kind": file.kind,
            "size_bytes": file.size_bytes,
            "tensor_count": len(file.tensors),
            "tensor_bytes": file.tensor_bytes,
            "tensors": [
                {"name": name, "dtype": one.dtype, "shape": list(one.shape), "size_bytes": one.size_bytes}
                for name, one in list(file.tensors.items())[:_LISTED]
            ],
            "metadata": dict(file.metadata),
            "notes": list(file.notes),
            "requests": file.requests,
            "bytes_read": file.bytes_read,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load would ask for and hold; prints as one line.

    Attributes
    ----------
    device_bytes : int
        What the tensors take in the end, converted.
    shown : str
        Where, in words.
    verdict : str
        Whether it fits; '' where nobody asked.
    """

    url: str
    fetch: FetchPlan
    device_bytes: int
    shown: str = "the device"
    verdict: str = ""

    def __str__(self) -> str:
        fetch = self.fetch
        where = f": {self.shown}" if ", rest on " in self.shown else f" on {self.shown}"
        line = (
            f"{printable(self.url)}: {format_count(len(fetch.tensors), 'tensor')}, "
            f"{format_count(len(fetch.fetches), 'request')}, reads {format_bytes(fetch.bytes_read)}, "
            f"takes {format_bytes(self.device_bytes)}{where}"
        )
        return f"{line}; {self.verdict}" if self.verdict else line

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        return {
            "url": self.url,
            "tensor_count": len(self.fetch.tensors),
            "requests": len(self.fetch.fetches),
            "bytes_read": self.fetch.bytes_read,
            "bytes_used": self.fetch.bytes_used,
            "bytes_on_device": self.device_bytes,
        }


def info(url: str) -> Info | ZarrInfo | Hdf5Info:
    """Read the header of a tensor file, or the metadata of a Zarr store or an HDF5 file: names, types, shapes, bytes.

    Parameters
    ----------
    url : str
        'connection://key', or the path of a local file.

    Returns
    -------
    Info, ZarrInfo or Hdf5Info
        Prints as a table; `to_json()` gives plain data.

    Raises
    ------
    NotFoundError, DeniedError, UnreachableError
        When storage does not give the object.
    UnsupportedFormatError, TensorFormatError
        When it is no tensor file, damaged, or holds code.
    NotInstalledError
        When it is HDF5 and h5py is missing.
    """
    return LOOP.run(read_info(url))


def plan(
    url: str,
    *,
    keys: Sequence[str] = (),
    device: str | None = None,
    dtype: Any = None,
    select: str | None = None,
    raw: bool = False,
) -> Plan | ZarrCost:
    """Say what a load would request, read and hold; reads the header only, of Zarr also the sizes of a few objects.

    Parameters
    ----------
    url : str
        As for `info`.
    keys : sequence of str
        Globs over the dotted names; '!GLOB' excludes.
    device, dtype, select, raw
        As for `load`. With a device, and wherever torch is in use already, the plan says whether it fits.
    """
    from jupyter_gpu_ext.tensors.prepare import prepare, refuse_selection, want

    keys = (keys,) if isinstance(keys, str) else tuple(keys)
    asked = device is not None or dtype is not None
    wanted = want("auto" if device is None else device, keys, dtype) if asked else _want_or_none(keys)
    opened = LOOP.run(open_either(url, keys=keys))
    if isinstance(opened, ZarrNode):
        return LOOP.run(cost(opened, keys, select or "", raw=raw, **_where(opened, wanted if asked else None)))
    file = opened.file
    refuse_selection(file, select, raw=raw)
    if wanted is None:
        return _plan(file, keys)
    prepared = prepare(file, wanted)
    size = converted_bytes(prepared.plan, prepared.changed)
    return Plan(file.url, prepared.plan, size, prepared.shown, prepared.refusal or prepared.verdict)


def _where(node: ZarrNode, wanted: Wanted | None) -> dict[str, Any]:
    """Return what a plan of a store has to know of the device, where one is asked for."""
    if wanted is None:
        return {}
    from jupyter_gpu_ext.tensors.copies import copies_to

    on_device = not copies_to(wanted.only_target(node.shown).device).is_host
    return {"dtype": wanted.dtype, "on_device": on_device}


def _want_or_none(keys: Sequence[str]) -> Wanted | None:
    """Return what a load would be asked for, where torch is in use already and finds its device."""
    from jupyter_gpu_ext.tensors.prepare import want

    if "torch" not in sys.modules:
        return None
    try:
        return want("auto", keys)
    except DeviceError:
        return None


async def read_info(url: str, *, most_bytes: int = MOST_BYTES, deep: bool = True) -> Info | ZarrInfo | Hdf5Info:
    """Await what `info` gives.

    Parameters
    ----------
    most_bytes : int
        The longest header to read.
    deep : bool
        False looks into no group below the first of a Zarr store, unless one document describes all.
    """
    try:
        opened = await open_either(url, most_bytes=most_bytes, data=False, deep=deep)
    except IsHdf5Error as error:
        return Hdf5Info(await read_hdf5(error.reader))
    return ZarrInfo(opened) if isinstance(opened, ZarrNode) else Info(opened.file)


async def read_plan(
    url: str, keys: Sequence[str] = (), *, select: str = "", raw: bool = False, most_bytes: int = MOST_BYTES
) -> Plan | ZarrCost:
    """Await what `plan` gives."""
    from jupyter_gpu_ext.tensors.prepare import refuse_selection

    opened = await open_either(url, keys=keys, most_bytes=most_bytes)
    if isinstance(opened, ZarrNode):
        return await cost(opened, keys, select, raw=raw)
    refuse_selection(opened.file, select or None, raw=raw)
    return _plan(opened.file, keys)


def _plan(file: TensorFile, keys: Sequence[str]) -> Plan:
    fetch = make_plan(file, keys)
    return Plan(file.url, fetch, fetch.bytes_used)
