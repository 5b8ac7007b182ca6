"""What `info` and `plan` say of a Zarr store."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.device import ring_bytes
from jupyter_gpu_ext.tensors.slab_load import lay_out
from jupyter_gpu_ext.tensors.zarr_load import counted
from jupyter_gpu_ext.tensors.zarr_rows import plain, rows
from jupyter_gpu_ext.tensors.zarr_sizes import requests_of, stored_bytes
from jupyter_gpu_ext.tensors.zarr_store import plan_arrays
from jupyter_gpu_ext.text import format_bytes, format_count, printable, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
    from jupyter_gpu_ext.tensors.zarr_rows import ArrayRow
    from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan

_SHOWN = 40
_LISTED = 5000
_NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class ZarrInfo:
    """What is inside a Zarr array or group; prints as a table."""

    node: ZarrNode

    def __str__(self) -> str:
        found = rows(self.node)
        size = format_bytes(sum(one.size_bytes for one in found))
        about = f"zarr {self.node.version} {self.node.kind}, {format_count(len(found), 'array')}, {size} decoded"
        lines = [f"{self.node.shown}  {about}", table([_cells(one) for one in found[:_SHOWN]], align="<<<<>")]
        if len(found) > _SHOWN:
            lines.append(f"… {len(found) - _SHOWN:,} more")
        objects = self.node.objects
        read = f"metadata only: {format_bytes(objects.bytes_read)} in {format_count(self.node.requests, 'request')}"
        return "\n".join([*lines, read])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        found = rows(self.node)
        size_bytes = sum(one.size_bytes for one in found)
        return {
            "url": self.node.url,
            "kind": "zarr",
            "size_bytes": size_bytes,
            "tensor_count": len(found),
            "tensor_bytes": size_bytes,
            "tensors": [one.to_json() for one in found[:_LISTED]],
            "metadata": {key: _text(value) for key, value in self.node.attributes.items()},
            "notes": [],
            "requests": self.node.requests,
            "bytes_read": self.node.objects.bytes_read,
        }


def _cells(row: ArrayRow) -> tuple[str, ...]:
    pieces = f"chunks {_times(row.chunks)}" + (f" in shards {_times(row.shards)}" if row.shards else "")
    about = ", ".join(
        [pieces, *row.codecs, *([row.units] if row.units else []), *([row.long_name] if row.long_name else [])]
    )
    return (
        printable(row.name[:_NAME_CHARS]),
        printable(row.dtype),
        " × ".join(map(str, row.shape)) or "scalar",
        f"not read: {row.unreadable}" if row.unreadable else about,
        format_bytes(row.size_bytes),
    )


def _times(lengths: Sequence[int]) -> str:
    return "×".join(map(str, lengths)) or "1"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrCost:
    """What a load of Zarr arrays would ask for and hold; prints as one line.

    Attributes
    ----------
    object_count, requests : int
        Chunks or shards, and what asking for them takes, metadata apart; fewer where some were never written.
    bytes_read : int
        Of stored chunks; the sizes of some of the objects were asked for.
    sampled_count : int
        How many; where these are all, `bytes_read` is exact.
    bytes_used, bytes_on_device : int
        Decoded values that are wanted, and what a load takes on the device at most.
    host_bytes : Mapping of str to int
        What host memory holds beside results on the 'cpu', and for a 'device'.
    """

    url: str
    plan: ZarrPlan
    object_count: int
    requests: int
    bytes_read: int
    sampled_count: int
    bytes_used: int
    bytes_on_device: int
    host_bytes: Mapping[str, int]

    def __str__(self) -> str:
        about = "" if self.sampled_count == self.object_count else "≈ "
        arrays = "; ".join(_array(name, self.plan) for name in list(self.plan.arrays)[:3])
        more = f"; {len(self.plan.arrays) - 3} more" if len(self.plan.arrays) > 3 else ""
        device, cpu = (format_bytes(self.host_bytes[key]) for key in ("device", "cpu"))
        return (
            f"{printable(self.url)}: {arrays}{more}: {format_count(self.object_count, 'object')}, "
            f"{format_count(self.requests, 'request')}, reads {about}{format_bytes(self.bytes_read)}, "
            f"takes {format_bytes(self.bytes_on_device)} on the device, at most {device} of host memory "
            f"(on the cpu {cpu} beside the result)"
        )

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        return {
            "url": self.url,
            "tensor_count": len(self.plan.arrays),
            "requests": self.requests,
            "bytes_read": self.bytes_read,
            "bytes_used": self.bytes_used,
            "bytes_on_device": self.bytes_on_device,
            "object_count": self.object_count,
            "sampled_count": self.sampled_count,
            "host_bytes": dict(self.host_bytes),
            "tensors": [
                {"name": name, "dtype": one.dtype, "shape": list(one.shape), "size_bytes": one.size_bytes}
                for name, one in list(self.plan.arrays.items())[:_LISTED]
            ],
        }


def _array(name: str, plan: ZarrPlan) -> str:
    one = plan.arrays[name]
    unit = f" ({found})" if (found := counted(one)) else ""
    return f"{printable(name[:_NAME_CHARS])} {' × '.join(map(str, one.shape)) or 'scalar'} {one.dtype}{unit}"


async def cost(node: ZarrNode, keys: Sequence[str] = (), select: str = "", *, raw: bool = False) -> ZarrCost:
    """Plan a load; asks for the sizes of a few objects.

    Parameters
    ----------
    keys, select, raw
        As for `jg.load`.
    """
    plan = await plan_arrays(node, keys, select, raw=raw)
    on_device, on_cpu = (
        lay_out(plan, None, on_device=there, ring_bytes=ring_bytes(os.environ, on_device=there))
        for there in (True, False)
    )
    bytes_read, sampled = await stored_bytes(plan)
    return ZarrCost(
        url=node.url,
        plan=plan,
        object_count=plan.object_count,
        requests=requests_of(plan),
        bytes_read=bytes_read,
        sampled_count=sampled,
        bytes_used=plan.size_bytes,
        bytes_on_device=plan.size_bytes + on_device.staging_bytes,
        host_bytes={"device": on_device.host_bytes, "cpu": on_cpu.host_bytes},
    )
