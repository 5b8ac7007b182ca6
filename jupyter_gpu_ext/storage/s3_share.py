"""Signed links of S3, made here and without a request.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.s3_client import s3_translated
from jupyter_gpu_ext.storage.signing import cannot_sign, check_outlives

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.s3_client import S3Clients


class S3Sharing:
    """The part of `S3Backend` that signs; it gives `_connection`, `_clients` and `_object`."""

    _connection: Connection
    _clients: S3Clients

    def _object(self, key: str) -> tuple[str, str]:
        raise NotImplementedError

    async def signed(self, key: str, end: datetime) -> str:
        """Return a link that reads this one object until `end`."""
        bucket, path = self._object(key)
        if self._connection.credential == "anonymous":
            raise cannot_sign(self._connection, "It asks as nobody: the object's own address needs no signature.")
        with s3_translated(self._connection, key):
            session_end = await self._clients.session_end()
            if session_end is None:
                # S3 lets no link outlive the session whose keys signed it.
                hint = "Its keys are a session's, whose end nobody here knows: use keys of a user, or a profile."
                raise cannot_sign(self._connection, hint)
            check_outlives(self._connection, session_end, end)
            client = await self._clients.client()
            seconds = int((end - datetime.now(UTC)).total_seconds()) + 1
            url: str = await client.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": path}, ExpiresIn=seconds
            )
            return url
