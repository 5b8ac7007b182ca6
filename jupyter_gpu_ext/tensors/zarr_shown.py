"""What `info` says of a Zarr store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.zarr_rows import plain, rows
from jupyter_gpu_ext.text import format_bytes, format_count, printable, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
    from jupyter_gpu_ext.tensors.zarr_rows import ArrayRow

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
