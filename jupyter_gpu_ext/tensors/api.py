"""What a notebook or a script calls before it loads: `jg.info`, `jg.plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.header import MOST_BYTES
from jupyter_gpu_ext.tensors.plan import FetchPlan, make_plan
from jupyter_gpu_ext.tensors.zarr_load import check_options, open_either
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
from jupyter_gpu_ext.tensors.zarr_shown import ZarrCost, ZarrInfo, cost
from jupyter_gpu_ext.text import format_bytes, format_count, printable, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_gpu_ext.tensors.models import TensorFile

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
        return "\n".join([*lines, read])

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
            "requests": file.requests,
            "bytes_read": file.bytes_read,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load would ask for and hold; prints as one line."""

    url: str
    fetch: FetchPlan

    def __str__(self) -> str:
        fetch = self.fetch
        return (
            f"{printable(self.url)}: {format_count(len(fetch.tensors), 'tensor')}, "
            f"{format_count(len(fetch.fetches), 'request')}, reads {format_bytes(fetch.bytes_read)}, "
            f"takes {format_bytes(fetch.bytes_used)} on the device"
        )

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        return {
            "url": self.url,
            "tensor_count": len(self.fetch.tensors),
            "requests": len(self.fetch.fetches),
            "bytes_read": self.fetch.bytes_read,
            "bytes_used": self.fetch.bytes_used,
            "bytes_on_device": self.fetch.bytes_used,
        }


def info(url: str) -> Info | ZarrInfo:
    """Read the header of a tensor file, or the metadata of a Zarr store: names, types, shapes, bytes.

    Parameters
    ----------
    url : str
        'connection://key', or the path of a local file.

    Returns
    -------
    Info or ZarrInfo
        Prints as a table; `to_json()` gives plain data.

    Raises
    ------
    NotFoundError, DeniedError, UnreachableError
        When storage does not give the object.
    UnsupportedFormatError, TensorFormatError
        When it is no tensor file, damaged, or holds code.
    """
    return LOOP.run(read_info(url))


def plan(url: str, *, keys: Sequence[str] = (), select: str = "", raw: bool = False) -> Plan | ZarrCost:
    """Say what a load would request, read and hold; reads the header only, of Zarr also the sizes of a few objects.

    Parameters
    ----------
    url : str
        As for `info`.
    keys : sequence of str
        Globs over the dotted names; '!GLOB' excludes.
    select, raw
        Of Zarr arrays, as for `jg.load`.
    """
    return LOOP.run(read_plan(url, keys, select=select, raw=raw))


async def read_info(url: str, *, most_bytes: int = MOST_BYTES) -> Info | ZarrInfo:
    """Await what `info` gives; `most_bytes` bounds the header."""
    opened = await open_either(url, most_bytes=most_bytes)
    return ZarrInfo(opened) if isinstance(opened, ZarrNode) else Info(opened.file)


async def read_plan(
    url: str, keys: Sequence[str] = (), *, select: str = "", raw: bool = False, most_bytes: int = MOST_BYTES
) -> Plan | ZarrCost:
    """Await what `plan` gives."""
    opened = await open_either(url, most_bytes=most_bytes)
    if isinstance(opened, ZarrNode):
        return await cost(opened, keys, select, raw=raw)
    check_options(select, raw=raw, shown=printable(opened.file.url))
    return Plan(opened.file.url, make_plan(opened.file, keys))
