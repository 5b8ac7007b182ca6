"""Signed links of Azure: by the account's key, or by a key that the service gives to an identity.

https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_gpu_ext.errors import DeniedError, NoCredentialError
from jupyter_gpu_ext.storage.faults import translated
from jupyter_gpu_ext.storage.signing import cannot_sign

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobServiceClient

    from jupyter_gpu_ext.storage.azure_access import Access
    from jupyter_gpu_ext.storage.connections import Connection


class AzureSharing:
    """The part of `AzureBackend` that signs; it gives `_connection`, `_access`, `_names` and `_client`."""

    _connection: Connection
    _access: Access

    def _names(self, key: str) -> tuple[str, str]:
        raise NotImplementedError

    def _client(self) -> BlobServiceClient:
        raise NotImplementedError

    async def signed(self, key: str, end: datetime) -> str:
        """Return a link that reads this one blob until `end`."""
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        container, blob = self._names(key)
        signature = generate_blob_sas(
            self._access.account,
            container,
            blob,
            permission=BlobSasPermissions(read=True),
            expiry=end,
            protocol="https" if self._access.endpoint.startswith("https://") else None,
            **await self._signer(end),
        )
        return f"{self._access.endpoint}/{quote(container)}/{quote(blob)}?{signature}"

    async def _signer(self, end: datetime) -> dict[str, Any]:
        if (key := self._access.account_key) is not None:
            return {"account_key": key}
        if not self._access.is_identity:
            raise cannot_sign(
                self._connection, "A SAS cannot make another one: connect as yourself (credential azure-cli)."
            )
        try:
            with translated(self._connection, ""):
                begin = datetime.now(UTC).replace(microsecond=0)
                return {"user_delegation_key": await self._client().get_user_delegation_key(begin, end)}
        except NoCredentialError:
            raise
        except DeniedError as error:
            if type(error) is not DeniedError:
                # An end of the token is another matter than a right that is missing.
                raise
            raise cannot_sign(
                self._connection,
                f"To sign links its identity needs the role Storage Blob Delegator on account {self._access.account}.",
            ) from None
