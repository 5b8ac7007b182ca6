"""Writing a block blob: blocks are staged, and the commit of their list makes the object.

https://learn.microsoft.com/rest/api/storageservices/put-block-list
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import blocks, conflicts
from jupyter_gpu_ext.storage.faults import translated
from jupyter_gpu_ext.storage.models import Entry
from jupyter_gpu_ext.storage.names import last, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.storage.blob.aio import BlobClient

    from jupyter_gpu_ext.storage.connections import Connection

_MOST_BLOCKS = 50_000
_ID = re.compile(r"[0-9a-f]{16}")


class AzureUpload:
    """Staged blocks of one blob, named `<upload id>-<index>`.

    Azure drops what was never committed after a week; it has no request that drops it earlier without
    touching the blob itself.

    Parameters
    ----------
    expected : str or None
        The ETag that the commit must find; None for no blob.
    """

    def __init__(
        self,
        connection: Connection,
        key: str,
        blob: BlobClient,
        *,
        size_bytes: int | None,
        expected: str | None,
        upload_id: str | None,
    ) -> None:
        if upload_id is not None and not _ID.fullmatch(upload_id):
            raise BadRequestError("The id of the upload is not of its form.", hint="Start the upload again.")
        self.id = upload_id or secrets.token_hex(8)
        self.block_bytes = blocks.block_size(size_bytes, most_blocks=_MOST_BLOCKS)
        self._connection = connection
        self._key = key
        self._blob = blob
        self._size_bytes = size_bytes
        self._expected = expected
        self._ended = False

    async def put(self, index: int, data: bytes | memoryview) -> None:
        """Stage the block; the service checks its MD5."""
        blocks.check_block(index, len(data), block_bytes=self.block_bytes, most_blocks=_MOST_BLOCKS)
        self._check_open()
        with translated(self._connection, self._key):
            # The SDK takes bytes, or anything that it reads piece by piece.
            await self._blob.stage_block(self._name(index), bytes(data), length=len(data), validate_content=True)

    async def received(self) -> set[int]:
        """Return the staged blocks of this upload, as the service lists them."""
        return set(await self._sizes())

    async def commit(self, *, metadata: Mapping[str, str]) -> Entry:
        """Commit the list, with `If-None-Match: *` or `If-Match`."""
        from azure.storage.blob import BlobBlock

        self._check_open()
        sizes = await self._sizes()
        total = blocks.check_whole(sizes, block_bytes=self.block_bytes, size_bytes=self._size_bytes)
        names = [BlobBlock(self._name(index)) for index in range(len(sizes))]
        with conflicts.conditional(self._connection, self._key, expected=self._expected):
            reply: Any = await self._blob.commit_block_list(names, metadata=dict(metadata), **condition(self._expected))
        self._ended = True
        return Entry(
            kind="object",
            name=last(self._key),
            key=self._key,
            size_bytes=total,
            modified=reply["last_modified"],
            etag=quoted(reply["etag"]),
        )

    async def abort(self) -> None:
        """Stage and commit nothing more."""
        self._ended = True

    async def _sizes(self) -> dict[int, int]:
        from azure.core.exceptions import ResourceNotFoundError

        with translated(self._connection, self._key):
            try:
                _, staged = await self._blob.get_block_list("uncommitted")
            except ResourceNotFoundError:
                return {}
        mine = ((block.id.partition("-"), block.size) for block in staged)
        return {int(index): size for (upload, _, index), size in mine if upload == self.id}

    def _name(self, index: int) -> str:
        # Every name of a blob's blocks must have the same length.
        return f"{self.id}-{index:05d}"

    def _check_open(self) -> None:
        if self._ended:
            raise conflicts.upload_gone(self._connection.name, self._key)


def condition(expected: str | None) -> dict[str, Any]:
    """Return the SDK's arguments for a write that must find this ETag, or no blob at all."""
    from azure.core import MatchConditions

    if expected is None:
        return {"match_condition": MatchConditions.IfMissing}
    return {"etag": expected, "match_condition": MatchConditions.IfNotModified}
