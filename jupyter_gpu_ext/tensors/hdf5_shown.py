"""What `info` says of an HDF5 file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.zarr_rows import MOST_LISTED, ArrayRow, cells, metadata, plain
from jupyter_gpu_ext.text import format_bytes, format_count, printable, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.tensors.hdf5 import Hdf5File

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Hdf5Info:
    """What is inside an HDF5 file; prints as a table."""

    file: Hdf5File

    def __str__(self) -> str:
        file = self.file
        found = [_row(one) for one in file.arrays]
        size = format_bytes(sum(one.size_bytes for one in found))
        lines = [
            f"{file.shown}  hdf5, {format_count(len(found), 'dataset')}, {size} decoded",
            table([cells(one) for one in found[:_SHOWN]], align="<<<<>"),
        ]
        if len(found) > _SHOWN:
            lines.append(f"… {len(found) - _SHOWN:,} more")
        if file.links:
            some = ", ".join(
                " → ".join(printable(one[key][:80]) for key in ("name", "target")) for one in file.links[:5]
            )
            lines.append(f"not followed: {some}{' …' if len(file.links) > 5 else ''}")
        read = f"metadata only: {format_bytes(file.bytes_read)} in {format_count(file.requests, 'request')}"
        return "\n".join([*lines, *file.notes, read])

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        file = self.file
        found = [_row(one) for one in file.arrays]
        return {
            "url": file.url,
            "kind": "hdf5",
            "size_bytes": file.size_bytes,
            "tensor_count": len(found),
            "tensor_bytes": sum(one.size_bytes for one in found),
            "tensors": [one.to_json() for one in found[:MOST_LISTED]],
            "metadata": metadata(file.attributes),
            "notes": list(file.notes),
            "requests": file.requests,
            "bytes_read": file.bytes_read,
            "groups": [plain(dict(one)) for one in file.groups[:MOST_LISTED]],
            "links": [dict(one) for one in file.links],
        }


def _row(found: Mapping[str, Any]) -> ArrayRow:
    dimensions, chunks = found["dimensions"], found["chunks"]
    return ArrayRow.of(
        found["attributes"],
        name=found["name"],
        dtype=found["dtype"],
        shape=tuple(found["shape"]),
        size_bytes=found["size_bytes"],
        chunks=None if chunks is None else tuple(chunks),
        shards=None,
        codecs=tuple(found["codecs"]),
        dimensions=None if dimensions is None else tuple(dimensions),
        unreadable=found["unreadable"],
    )
