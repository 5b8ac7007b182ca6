"""What `info` says of a Zarr store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.zarr_rows import MOST_LISTED, cells, metadata, plain, rows
from jupyter_gpu_ext.text import format_bytes, format_count, table

if TYPE_CHECKING:
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class ZarrInfo:
    """What is inside a Zarr array or group; prints as a table."""

    node: ZarrNode

    def __str__(self) -> str:
        found = rows(self.node)
        size = format_bytes(sum(one.size_bytes for one in found))
        about = f"zarr {self.node.version} {self.node.kind}, {format_count(len(found), 'array')}, {size} decoded"
        lines = [f"{self.node.shown}  {about}", table([cells(one) for one in found[:_SHOWN]], align="<<<<>")]
        if len(found) > _SHOWN:
            lines.append(f"… {len(found) - _SHOWN:,} more")
        objects = self.node.objects
        read = f"metadata only: {format_bytes(objects.bytes_read)} in {format_count(self.node.requests, 'request')}"
        if self.node.unread:
            lines.append(f"{format_count(len(self.node.unread), 'group')} not looked into")
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
            "tensors": [one.to_json() for one in found[:MOST_LISTED]],
            "metadata": metadata(self.node.attributes),
            "notes": [],
            "requests": self.node.requests,
            "bytes_read": self.node.objects.bytes_read,
            "groups": [
                {"name": name, "attributes": plain(dict(attributes)), "unread": name in self.node.unread}
                for name, attributes in list(self.node.groups.items())[:MOST_LISTED]
            ],
            "consolidated": self.node.consolidated,
        }
