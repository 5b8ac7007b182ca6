"""Writing an S3 object: parts, and a completion that makes the object; or one request for a small one.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NotFoundError
from jupyter_gpu_ext.storage import blocks, conflicts
from jupyter_gpu_ext.storage.s3_client import s3_translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.models import Entry

MOST_BLOCKS = 10_000
# Beside the object, so that a commit whose answer was lost is known to have been ours.
UPLOAD_MARK = "jupyter-gpu-upload"
_WHOLE = "whole"


class S3Upload:
    """An upload of parts; its id is '<mark>.<the service's id>'.

    S3 takes metadata at the start only: what `commit` is given stands beside objects of one block.

    Parameters
    ----------
    place : tuple of str
        The key below the connection, the bucket, the key in the bucket.
    client : callable
        Gives botocore's client: another one when the credentials were renewed.
    expected : str or None
        The ETag that the commit must find; None for no object.
    """

    def __init__(
        self,
        connection: Connection,
        client: Callable[[], Awaitable[Any]],
        place: tuple[str, str, str],
        *,
        size_bytes: int | None,
        expected: str | None,
        describe: Callable[[str], Awaitable[Entry]],
    ) -> None:
        self.block_bytes = blocks.block_size(size_bytes, most_blocks=MOST_BLOCKS)
        self._connection = connection
        self._client = client
        self._key = place[0]
        self._target = {"Bucket": place[1], "Key": place[2]}
        self._size_bytes = size_bytes
        self._expected = expected
        self._describe = describe
        self._mark = secrets.token_hex(8)
        self._upload = _WHOLE
        # The part's ETag and size; of a small object the block itself.
        self._parts: dict[int, tuple[str, int]] = {}
        self._block = b""
        self._ended = False

    @property
    def id(self) -> str:
        """What to hand to `begin` to go on."""
        return f"{self._mark}.{self._upload}"

    @property
    def _is_small(self) -> bool:
        return self._size_bytes is not None and self._size_bytes <= self.block_bytes

    async def open(self, upload_id: str | None) -> None:
        """Start the upload at the service, or find it again."""
        if upload_id is not None:
            self._mark, dot, self._upload = upload_id.partition(".")
            if not dot or not self._upload or len(self._mark) != 16:
                raise BadRequestError("The id of the upload is not of its form.", hint="Start the upload again.")
            if (self._upload == _WHOLE) != self._is_small:
                raise conflicts.upload_gone(self._connection.name, self._key)
            self._parts = await self._listed()
        elif not self._is_small:
            with s3_translated(self._connection, self._key):
                client = await self._client()
                reply = await client.create_multipart_upload(**self._target, Metadata={UPLOAD_MARK: self._mark})
            self._upload = reply["UploadId"]

    async def put(self, index: int, data: bytes | memoryview) -> None:
        """Upload the part with its MD5; keep the only block of a small object until the commit."""
        blocks.check_block(index, len(data), block_bytes=self.block_bytes, most_blocks=MOST_BLOCKS)
        self._check_open()
        if self._is_small:
            self._block, self._parts[index] = bytes(data), ("", len(data))
            return
        digest = await asyncio.to_thread(_md5, data)
        with self._translated():
            reply = await (await self._client()).upload_part(
                **self._target, UploadId=self._upload, PartNumber=index + 1, Body=bytes(data), ContentMD5=digest
            )
        self._parts[index] = (reply["ETag"], len(data))

    async def received(self) -> set[int]:
        """Return the parts, as the service lists them."""
        return set(self._parts if self._is_small else await self._listed())

    async def commit(self, *, metadata: Mapping[str, str]) -> Entry:
        """Complete the upload, with `If-None-Match: *` or `If-Match`."""
        self._check_open()
        sizes = {index: size for index, (_, size) in self._parts.items()}
        total = blocks.check_whole(sizes, block_bytes=self.block_bytes, size_bytes=self._size_bytes)
        try:
            with conflicts.conditional(self._connection, self._key, expected=self._expected), self._translated():
                await (self._complete() if total and not self._is_small else self._put_whole(metadata))
        except GpuExtError:
            # The answer may have been lost, and the retry then finds our own object.
            if not await self._is_ours():
                raise
        self._ended = True
        return await self._describe(self._key)

    async def abort(self) -> None:
        """Have the service drop the parts."""
        self._ended = True
        if self._upload != _WHOLE:
            try:
                with s3_translated(self._connection, self._key):
                    await (await self._client()).abort_multipart_upload(**self._target, UploadId=self._upload)
            except NotFoundError:
                return

    async def _complete(self) -> None:
        parts = [{"PartNumber": index + 1, "ETag": self._parts[index][0]} for index in sorted(self._parts)]
        await (await self._client()).complete_multipart_upload(
            **self._target, UploadId=self._upload, MultipartUpload={"Parts": parts}, **condition(self._expected)
        )

    async def _put_whole(self, metadata: Mapping[str, str]) -> None:
        await (await self._client()).put_object(
            **self._target,
            Body=self._block,
            ContentMD5=_md5(self._block),
            Metadata={**metadata, UPLOAD_MARK: self._mark},
            **condition(self._expected),
        )
        # A stream of unknown length that ended at once: S3 completes no upload without parts.
        if self._upload != _WHOLE:
            await (await self._client()).abort_multipart_upload(**self._target, UploadId=self._upload)

    async def _is_ours(self) -> bool:
        try:
            with s3_translated(self._connection, self._key):
                reply = await (await self._client()).head_object(**self._target)
        except GpuExtError:
            return False
        return bool(reply.get("Metadata", {}).get(UPLOAD_MARK) == self._mark)

    async def _listed(self) -> dict[int, tuple[str, int]]:
        if self._upload == _WHOLE:
            return {}
        found = {}
        with self._translated():
            pages = (await self._client()).get_paginator("list_parts").paginate(**self._target, UploadId=self._upload)
            async for page in pages:
                found.update({part["PartNumber"] - 1: (part["ETag"], part["Size"]) for part in page.get("Parts", [])})
        return found

    def _translated(self) -> Any:
        return s3_translated(self._connection, self._key)

    def _check_open(self) -> None:
        if self._ended:
            raise conflicts.upload_gone(self._connection.name, self._key)


def condition(expected: str | None) -> dict[str, str]:
    """Return botocore's arguments for a write that must find this ETag, or no object at all."""
    return {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}


def _md5(data: bytes | memoryview) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
