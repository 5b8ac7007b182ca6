"""What a load of Zarr arrays would cost: objects, requests, bytes, memory, money, and what would make it cheaper."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.advice import advise
from jupyter_gpu_ext.tensors.chunks import read_ratio
from jupyter_gpu_ext.tensors.device import ring_bytes
from jupyter_gpu_ext.tensors.forecast import forecast
from jupyter_gpu_ext.tensors.prices import price
from jupyter_gpu_ext.tensors.selection import count_of
from jupyter_gpu_ext.tensors.slab_load import lay_out
from jupyter_gpu_ext.tensors.zarr_load import counted
from jupyter_gpu_ext.tensors.zarr_store import documents_of, plan_arrays
from jupyter_gpu_ext.text import format_bytes, format_count, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_gpu_ext.tensors.advice import Advice
    from jupyter_gpu_ext.tensors.forecast import Forecast
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
    from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan

_LISTED = 5000
_NAME_CHARS = 120
_MUCH = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ZarrCost:
    """What a load of Zarr arrays would ask for and hold; prints as one line.

    Attributes
    ----------
    chunks : Forecast
        What the chunks take.
    opening, checking : mapping of str to int, int
        Requests before the chunks by class, 'list', 'head' and 'get', and those for the metadata's ETags at the end.
    metadata_bytes : int
        What opening reads.
    bytes_used, bytes_on_device : int
        Decoded values that are wanted, and what a load takes on the device at most.
    host_bytes : Mapping of str to int
        What host memory holds beside results on the 'cpu', and for a 'device'.
    """

    url: str
    plan: ZarrPlan
    chunks: Forecast
    opening: Mapping[str, int]
    checking: int
    metadata_bytes: int
    bytes_used: int
    bytes_on_device: int
    host_bytes: Mapping[str, int]
    price: tuple[float, str] | None
    advice: tuple[Advice, ...]

    @property
    def requests_by_class(self) -> dict[str, int]:
        """All that a load sends, as providers bill it."""
        more = {"list": 0, "head": self.checking, "get": self.chunks.requests}
        return {name: self.opening.get(name, 0) + count for name, count in more.items()}

    @property
    def read_ratio(self) -> float:
        """Values in the chunks that are read, for each value that is wanted."""
        wanted = [(one, count_of(one.axes)) for one in self.plan.arrays.values()]
        total = sum(count * one.array.stored.itemsize for one, count in wanted)
        read = sum(read_ratio(one.array, one.axes) * count * one.array.stored.itemsize for one, count in wanted)
        return round(read / total, 3) if total else 0.0

    def __str__(self) -> str:
        return "\n".join([self._line(), *map(str, self.advice), *dict.fromkeys(one.snippet for one in self.advice)])

    def _line(self) -> str:
        about = "" if self.chunks.exact else "≈ "
        arrays = "; ".join(_array(name, self.plan) for name in list(self.plan.arrays)[:3])
        more = f"; {len(self.plan.arrays) - 3} more" if len(self.plan.arrays) > 3 else ""
        device, cpu = (format_bytes(self.host_bytes[key]) for key in ("device", "cpu"))
        parts = [
            f"{printable(self.url)}: {arrays}{more}: {format_count(self.plan.object_count, 'object')}{self._missing()}",
            f"{about}{format_count(self.chunks.requests, 'request')}",
            f"reads {about}{format_bytes(self.chunks.bytes_read)}{self._ratio()}{self._money()}",
            f"takes {format_bytes(self.bytes_on_device)} on the device",
            f"at most {device} of host memory (on the cpu {cpu} beside the result)",
        ]
        return ", ".join(parts)

    def _missing(self) -> str:
        missing = self.chunks.missing_count
        return f" ({missing:,} of {format_count(self.plan.chunk_count, 'chunk')} never written)" if missing else ""

    def _ratio(self) -> str:
        return f", {self.read_ratio:.1f}x what you use" if self.read_ratio >= _MUCH else ""

    def _money(self) -> str:
        return "" if self.price is None else f", costs {self.price[0]:.4g} {self.price[1]}".rstrip()

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        return {
            "url": self.url,
            "tensor_count": len(self.plan.arrays),
            "requests": self.chunks.requests,
            "bytes_read": self.chunks.bytes_read,
            "bytes_used": self.bytes_used,
            "bytes_on_device": self.bytes_on_device,
            "object_count": self.plan.object_count,
            "sampled_count": self.chunks.known_count,
            "host_bytes": dict(self.host_bytes),
            "exact": self.chunks.exact,
            "chunk_count": self.plan.chunk_count,
            "missing_count": self.chunks.missing_count,
            "read_ratio": self.read_ratio,
            "metadata_bytes": self.metadata_bytes,
            "requests_by_class": self.requests_by_class,
            "price": None if self.price is None else {"amount": self.price[0], "currency": self.price[1]},
            "advice": [one.to_json() for one in self.advice],
            "tensors": [
                {"name": name, "dtype": one.dtype, "shape": list(one.shape), "size_bytes": one.size_bytes}
                for name, one in list(self.plan.arrays.items())[:_LISTED]
            ],
        }


def _array(name: str, plan: ZarrPlan) -> str:
    one = plan.arrays[name]
    unit = f" ({found})" if (found := counted(one)) else ""
    return f"{printable(name[:_NAME_CHARS])} {' × '.join(map(str, one.shape)) or 'scalar'} {one.dtype}{unit}"


async def cost(
    node: ZarrNode,
    keys: Sequence[str] = (),
    select: str = "",
    *,
    raw: bool = False,
    dtype: str | None = None,
    on_device: bool = False,
) -> ZarrCost:
    """Plan a load; asks for the sizes of a few objects.

    Parameters
    ----------
    keys, select, raw, dtype
        As for `jg.load`.
    on_device : bool
        The requests are those of a load that goes past the cpu; they differ where a shard is larger than a buffer.
    """
    plan = await plan_arrays(node, keys, select, raw=raw)
    opening, metadata_bytes = dict(node.objects.asked), node.objects.bytes_read
    layouts = {
        there: lay_out(plan, dtype, on_device=there, ring_bytes=ring_bytes(os.environ, on_device=there))
        for there in (True, False)
    }
    chunks, checking = await forecast(plan, layouts[on_device]), len(documents_of(plan))
    found = ZarrCost(
        url=node.url,
        plan=plan,
        chunks=chunks,
        opening=opening,
        checking=checking,
        metadata_bytes=metadata_bytes,
        bytes_used=plan.size_bytes,
        bytes_on_device=layouts[True].final_bytes(plan) + layouts[True].staging_bytes,
        host_bytes={"device": layouts[True].host_bytes, "cpu": layouts[False].host_bytes},
        price=None,
        advice=advise(node.url, plan.arrays),
    )
    money = price(os.environ, found.requests_by_class, chunks.bytes_read + metadata_bytes)
    return dataclasses.replace(found, price=money)
