"""Appending to a blob: each block at a position, so that one whose answer was lost is never written twice.

https://learn.microsoft.com/rest/api/storageservices/append-block
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import ExistsError, ObjectChangedError
from jupyter_gpu_ext.storage import conflicts
from jupyter_gpu_ext.storage.azure_upload import condition
from jupyter_gpu_ext.storage.faults import translated

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient

    from jupyter_gpu_ext.storage.connections import Connection

# Limits of the service: a blob's blocks, and the bytes of one block that every version of it takes.
MOST_BLOCKS = 50_000
BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class AppendEnd:
    """How long an append blob is, and how many of its blocks are used."""

    size_bytes: int
    blocks: int


class AzureAppending:
    """The appending part of `AzureBackend`, which gives it `_connection` and `_blob`."""

    _connection: Connection

    def _blob(self, key: str) -> BlobClient:
        raise NotImplementedError

    async def begin_append(self, key: str) -> None:
        """Make an empty append blob; what is there stays."""
        conflicts.check_target(key)
        try:
            with conflicts.conditional(self._connection, key, expected=None):
                await self._blob(key).create_append_blob(**condition(None))
        except (ExistsError, ObjectChangedError):
            return

    async def append_end(self, key: str) -> AppendEnd | None:
        """Return where an append blob ends, None for a blob of another type."""
        with translated(self._connection, key):
            found = await self._blob(key).get_blob_properties()
        if str(getattr(found.blob_type, "value", found.blob_type)) != "AppendBlob":
            return None
        return AppendEnd(int(found.size), int(found.append_blob_committed_block_count or 0))

    async def append(self, key: str, data: bytes, *, position: int) -> None:
        """Append one block at `position`.

        Raises
        ------
        ObjectChangedError
            When the blob does not end there.
        """
        with translated(self._connection, key):
            await self._blob(key).append_block(
                data, length=len(data), appendpos_condition=position, validate_content=True
            )

    async def appended(self, key: str, data: bytes, *, position: int) -> bool:
        """Whether the blob holds `data` at `position`."""
        with translated(self._connection, key):
            reply = await self._blob(key).download_blob(offset=position, length=len(data))
            found: bytes = await reply.readall()
        return found == data
