"""What S3 does beside reading: uploads, removal, copies on the service's side."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.storage import blocks, conflicts
from jupyter_gpu_ext.storage.models import Entry
from jupyter_gpu_ext.storage.names import last
from jupyter_gpu_ext.storage.s3_client import s3_translated
from jupyter_gpu_ext.storage.s3_upload import UPLOAD_MARK, S3Upload, condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.s3_client import S3Clients

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html: more goes part by part.
_MOST_COPIED_BYTES = 5 * 1024 * blocks.MIB
_COPIED_PART_BYTES = 512 * blocks.MIB


class S3Writing:
    """The writing half of `S3Backend`, which gives it `_connection`, `_clients`, `_object` and `head`."""

    _connection: Connection
    _clients: S3Clients

    def _object(self, key: str) -> tuple[str, str]:
        raise NotImplementedError

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""
        raise NotImplementedError

    async def begin(
        self, key: str, *, overwrite: bool, size_bytes: int | None, upload_id: str | None = None
    ) -> S3Upload:
        """Start an upload, or go on with one; a small object of known size is one request at the commit."""
        conflicts.check_target(key)
        upload = S3Upload(
            self._connection,
            lambda: self._opened(key),
            (key, *self._object(key)),
            size_bytes=size_bytes,
            expected=await self._expected(key, overwrite=overwrite),
            describe=self.head,
        )
        await upload.open(upload_id)
        return upload

    async def metadata(self, key: str) -> Mapping[str, str]:
        """Return the object's own metadata."""
        bucket, path = self._object(key)
        client = await self._opened(key)
        with s3_translated(self._connection, key):
            reply = await client.head_object(Bucket=bucket, Key=path)
        return {str(name): str(value) for name, value in reply.get("Metadata", {}).items()}

    async def delete(self, key: str, *, etag: str | None = None) -> None:
        """Delete this one object; S3 says nothing about one that is not there, so it is asked first."""
        bucket, path = self._object(key)
        client = await self._opened(key)
        entry = await self.head(key)
        if etag not in (None, entry.etag):
            raise conflicts.changed(self._connection.name, key)
        options = {} if etag is None else {"IfMatch": etag}
        with conflicts.conditional(self._connection, key, expected=etag or ""), s3_translated(self._connection, key):
            await client.delete_object(Bucket=bucket, Key=path, **options)

    async def copy(self, key: str, to: str, *, overwrite: bool) -> Entry:
        """Copy one object; no byte comes here."""
        conflicts.check_target(to)
        expected = await self._expected(to, overwrite=overwrite)
        source = await self.head(key)
        client = await self._opened(key)
        if (source.size_bytes or 0) > _MOST_COPIED_BYTES:
            return await self._copy_parts(client, source, to, expected)
        with conflicts.conditional(self._connection, to, expected=expected), s3_translated(self._connection, key):
            await client.copy_object(**self._target(to), **self._source(source), **condition(expected))
        return await self.head(to)

    async def _copy_parts(self, client: Any, source: Entry, to: str, expected: str | None) -> Entry:
        size, target = source.size_bytes or 0, self._target(to)
        parts = []
        with conflicts.conditional(self._connection, to, expected=expected), s3_translated(self._connection, to):
            upload = (await client.create_multipart_upload(**target))["UploadId"]
            try:
                for number, start in enumerate(range(0, size, _COPIED_PART_BYTES), 1):
                    wanted = f"bytes={start}-{min(start + _COPIED_PART_BYTES, size) - 1}"
                    place = {**target, "UploadId": upload, "PartNumber": number, "CopySourceRange": wanted}
                    reply = await client.upload_part_copy(**place, **self._source(source))
                    parts.append({"PartNumber": number, "ETag": reply["CopyPartResult"]["ETag"]})
                await client.complete_multipart_upload(
                    **target, UploadId=upload, MultipartUpload={"Parts": parts}, **condition(expected)
                )
            except BaseException:
                await client.abort_multipart_upload(**target, UploadId=upload)
                raise
        return await self.head(to)

    async def make_folder(self, key: str) -> Entry:
        """Write an empty marker object; one that is there stays as it is."""
        conflicts.check_folder(key)
        client = await self._opened(key)
        try:
            await self.head(key)
        except NotFoundError:
            with s3_translated(self._connection, key):
                await client.put_object(**self._target(key), Body=b"", Metadata={UPLOAD_MARK: secrets.token_hex(8)})
        return Entry(kind="folder", name=last(key), key=key)

    def _target(self, key: str) -> dict[str, str]:
        bucket, path = self._object(key)
        return {"Bucket": bucket, "Key": path}

    def _source(self, entry: Entry) -> dict[str, Any]:
        return {"CopySource": self._target(entry.key), "CopySourceIfMatch": entry.etag}

    async def _opened(self, key: str) -> Any:
        with s3_translated(self._connection, key):
            return await self._clients.client()

    async def _expected(self, key: str, *, overwrite: bool) -> str | None:
        try:
            entry = await self.head(key)
        except NotFoundError:
            return None
        if not overwrite:
            raise conflicts.exists(self._connection.name, key)
        return entry.etag
