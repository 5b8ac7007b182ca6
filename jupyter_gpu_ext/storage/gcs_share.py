"""Signed links of Google Cloud Storage, signed with the service account's key.

https://cloud.google.com/storage/docs/access-control/signed-urls
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.storage.names import object_place
from jupyter_gpu_ext.storage.signing import cannot_sign

if TYPE_CHECKING:
    from datetime import datetime

    from google.cloud.storage import Client

    from jupyter_gpu_ext.storage.connections import Connection


class GCSSharing:
    """The part of `GCSBackend` that signs; it gives `_connection` and `_client`."""

    _connection: Connection

    def _client(self) -> Client:
        raise NotImplementedError

    async def signed(self, key: str, end: datetime) -> str:
        """Return a link that reads this one object until `end`."""
        return await asyncio.to_thread(self._sign, key, end)

    def _sign(self, key: str, end: datetime) -> str:
        from google.oauth2.service_account import Credentials

        bucket, path = object_place(self._connection.path, key)
        client: Any = self._client()
        if not isinstance(client._credentials, Credentials):  # noqa: SLF001 -- it has no other name
            raise cannot_sign(self._connection, 'Only a service account\'s key can: credential = "service-account".')
        endpoint = self._connection.endpoint or "https://storage.googleapis.com"
        url: str = (
            client.bucket(bucket)
            .blob(path)
            .generate_signed_url(version="v4", method="GET", expiration=end, api_access_endpoint=endpoint)
        )
        return url
