"""What Azure does beside reading: uploads, removal, copies on the service's side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadStorageReplyError, NotFoundError
from jupyter_gpu_ext.storage import conflicts
from jupyter_gpu_ext.storage.azure_upload import AzureUpload, condition
from jupyter_gpu_ext.storage.faults import translated
from jupyter_gpu_ext.storage.models import Entry
from jupyter_gpu_ext.storage.names import last, quoted
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.storage.blob.aio import BlobClient

    from jupyter_gpu_ext.storage.azure_access import Access
    from jupyter_gpu_ext.storage.connections import Connection

_POLL_SECONDS = 0.5


class AzureWriting:
    """The writing half of `AzureBackend`, which gives it `_connection` and `_blob`."""

    _connection: Connection
    _access: Access

    def _blob(self, key: str) -> BlobClient:
        raise NotImplementedError

    async def begin(
        self, key: str, *, overwrite: bool, size_bytes: int | None, upload_id: str | None = None
    ) -> AzureUpload:
        """Start an upload of staged blocks, or go on with one."""
        conflicts.check_target(key)
        return AzureUpload(
            self._connection,
            key,
            self._blob(key),
            size_bytes=size_bytes,
            expected=await self._expected(key, overwrite=overwrite),
            upload_id=upload_id,
        )

    async def metadata(self, key: str) -> Mapping[str, str]:
        """Return the blob's metadata."""
        with translated(self._connection, key):
            found = await self._blob(key).get_blob_properties()
        return {str(name): str(value) for name, value in (found.metadata or {}).items()}

    async def delete(self, key: str, *, etag: str | None = None) -> None:
        """Delete this one blob, with `If-Match` where an ETag is given."""
        options = {} if etag is None else condition(etag)
        with conflicts.conditional(self._connection, key, expected=etag or ""):
            await self._blob(key).delete_blob(**options)

    async def copy(self, key: str, to: str, *, overwrite: bool) -> Entry:
        """Copy one blob within the account; no byte comes here."""
        conflicts.check_target(to)
        expected = await self._expected(to, overwrite=overwrite)
        target = self._blob(to)
        with conflicts.conditional(self._connection, to, expected=expected):
            source = self._access.source(self._blob(key).url)
            reply = await target.start_copy_from_url(source, **condition(expected))
        with translated(self._connection, to):
            found = await target.get_blob_properties()
            while found.copy.status == "pending" and found.copy.id == reply["copy_id"]:
                await asyncio.sleep(_POLL_SECONDS)
                found = await target.get_blob_properties()
        if found.copy.status not in (None, "success"):
            raise BadStorageReplyError(f"The copy of {printable(key)!r} did not finish.", hint="Copy it again.")
        return Entry(
            kind="object",
            name=last(to),
            key=to,
            size_bytes=found.size,
            modified=found.last_modified,
            etag=quoted(found.etag),
        )

    async def make_folder(self, key: str) -> Entry:
        """Write an empty marker blob; one that is there stays as it is."""
        conflicts.check_folder(key)
        with translated(self._connection, key):
            await self._blob(key).upload_blob(b"", overwrite=True)
        return Entry(kind="folder", name=last(key), key=key)

    async def _expected(self, key: str, *, overwrite: bool) -> str | None:
        try:
            with translated(self._connection, key):
                found = await self._blob(key).get_blob_properties()
        except NotFoundError:
            return None
        if not overwrite:
            raise conflicts.exists(self._connection.name, key)
        return quoted(found.etag)
