"""Azure Blob Storage: the SDK's client lists and describes, obstore reads ranges."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, BadStorageReplyError, ObjectChangedError, RangeError
from jupyter_gpu_ext.storage import url
from jupyter_gpu_ext.storage.faults import fault, translated
from jupyter_gpu_ext.storage.models import Entry, RawPage, Version
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobClient, BlobServiceClient
    from obstore.store import AzureStore

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.credentials import Secret

# What obstore would rewrite or refuse: empty and dot segments, slashes at the ends, control characters.
# Such a key goes through the SDK's client, which takes it as it is.
_REWRITTEN = re.compile(r"(^|/)\.{0,2}(/|$)|[\x00-\x1f\x7f]")

_CONNECT_SECONDS = 10
_STALL_SECONDS = 15


class AzureBackend:
    """The objects below `az://container/prefix`, or the containers of an account.

    Parameters
    ----------
    connection : Connection
    secret : Secret or None
        The account key; None asks anonymously.
    """

    def __init__(self, connection: Connection, secret: Secret | None) -> None:
        self._connection = connection
        self._secret = secret
        self._service: BlobServiceClient | None = None
        self._stores: dict[str, AzureStore] = {}

    async def list_page(self, prefix: str, *, marker: str | None, limit: int) -> RawPage:
        """Return one page of the folder `prefix`: one List Blobs (or List Containers) request."""
        with translated(self._connection, prefix):
            container, below = self._place(prefix)
            if not container:
                return await self._containers(marker, limit)
            pages = (
                self._client()
                .get_container_client(container)
                .walk_blobs(name_starts_with=below or None, delimiter="/", results_per_page=limit)
                .by_page(marker)
            )
            entries = [self._entry(item, prefix, below) async for item in await anext(pages)]
            return RawPage(tuple(entries), _marker(pages))

    async def head(self, key: str) -> Entry:
        """Return the properties of one blob."""
        with translated(self._connection, key):
            found = await self._blob(key).get_blob_properties()
            return _object(key, found)

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version, in one request (two for an empty blob)."""
        with translated(self._connection, key):
            if _REWRITTEN.search(self._place(key)[1]):
                data, found = await self._literally(key, offset=0, length=length)
                return data, Version(_whole_size(found), _etag(found.etag))
            try:
                return await self._first_range(key, length)
            except Exception as error:
                # An empty blob has no range at all.
                if not isinstance(fault(self._connection, key, error), RangeError):
                    raise
            entry = await self.head(key)
            return b"", Version(entry.size_bytes or 0, str(entry.etag))

    async def _first_range(self, key: str, length: int) -> tuple[bytes, Version]:
        import obstore

        store, path = self._store(key)
        reply = await obstore.get_async(store, path, options={"range": (0, length)})
        data = bytes(await reply.bytes_async())
        version = Version(int(reply.meta["size"]), _etag(reply.meta["e_tag"]))
        if len(data) != min(length, version.size_bytes):
            raise BadStorageReplyError(f"{printable(key)!r} came short.", hint="Run it again.")
        return data, version

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on, with `If-Match`, and check the length."""
        try:
            with translated(self._connection, key):
                data = await self._range(key, version, start, start + len(out))
        except ObjectChangedError:
            raise await self._changed(key, version) from None
        if len(data) != len(out):
            raise BadStorageReplyError(
                f"{printable(key)!r}: {len(out)} bytes were asked for, {len(data)} came.",
                hint="Run it again.",
            )
        out[:] = data

    async def _range(self, key: str, version: Version, start: int, stop: int) -> memoryview:
        import obstore
        from azure.core import MatchConditions

        if _REWRITTEN.search(self._place(key)[1]):
            condition: Any = {"etag": version.etag, "match_condition": MatchConditions.IfNotModified}
            return memoryview((await self._literally(key, offset=start, length=stop - start, **condition))[0])
        store, path = self._store(key)
        options: Any = {"range": (start, stop), "if_match": version.etag}
        answer = await obstore.get_async(store, path, options=options)
        if answer.range != (start, stop):
            raise BadStorageReplyError(f"{printable(key)!r}: another range came.", hint="Run it again.")
        return memoryview(await answer.bytes_async())

    async def _literally(self, key: str, **options: Any) -> tuple[bytes, Any]:
        # A client of its own: a cancelled download of the SDK keeps its socket, closing the client closes it.
        container, path = self._names(key)
        async with self._open_client() as service:
            reply = await service.get_blob_client(container, path).download_blob(**options)
            return await reply.readall(), reply.properties

    async def _changed(self, key: str, version: Version) -> ObjectChangedError:
        now = await self.head(key)
        return ObjectChangedError(
            f"{self._connection.name}://{printable(key)} was replaced while it was read: "
            f"{version.etag} before, {now.etag} now.",
            hint="Run it again.",
        )

    async def close(self) -> None:
        """Close the SDK's connections; obstore closes its own with the store."""
        service, self._service = self._service, None
        self._stores.clear()
        if service is not None:
            await service.close()

    def _place(self, key: str) -> tuple[str, str]:
        container, _, prefix = self._connection.path.partition("/")
        if container:
            return container, f"{prefix}/{key}" if prefix else key
        name, _, below = key.partition("/")
        return name, below

    def _names(self, key: str) -> tuple[str, str]:
        container, path = self._place(key)
        if not container or not path:
            raise BadRequestError(f"{printable(key)!r} names no blob.", hint="Write connection://container/key.")
        return container, path

    def _blob(self, key: str) -> BlobClient:
        return self._client().get_blob_client(*self._names(key))

    def _store(self, key: str) -> tuple[AzureStore, str]:
        container, path = self._names(key)
        if container not in self._stores:
            self._stores[container] = self._open_store(container)
        return self._stores[container], path

    def _open_store(self, container: str) -> AzureStore:
        from obstore.store import AzureStore

        access: Any = {"account_key": self._secret.reveal()} if self._secret else {"skip_signature": True}
        return AzureStore(
            container_name=container,
            account_name=self._connection.account,
            endpoint=self._endpoint(),
            client_options={
                "allow_http": self._endpoint().startswith("http://"),
                "connect_timeout": f"{_CONNECT_SECONDS}s",
                "read_timeout": f"{_STALL_SECONDS}s",
                "timeout": "10m",
            },
            retry_config={
                "max_retries": 5,
                "retry_timeout": timedelta(seconds=60),
                "backoff": {
                    "init_backoff": timedelta(seconds=0.2),
                    "max_backoff": timedelta(seconds=8),
                    "base": 2,
                },
            },
            **access,
        )

    def _client(self) -> BlobServiceClient:
        if self._service is None:
            self._service = self._open_client()
        return self._service

    def _open_client(self) -> BlobServiceClient:
        from azure.core.credentials import AzureNamedKeyCredential
        from azure.storage.blob.aio import BlobServiceClient, ExponentialRetry

        # With the name: from an endpoint of its own kind the client cannot tell it.
        key = AzureNamedKeyCredential(self._connection.account, self._secret.reveal()) if self._secret else None
        return BlobServiceClient(
            self._endpoint(),
            credential=key,
            permit_redirects=False,
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_STALL_SECONDS,
            # The SDK's own first wait is 15 s; these are 2, 4 and 8 s, and one for a connection that fails.
            retry_policy=ExponentialRetry(
                initial_backoff=0, increment_base=2, retry_total=3, retry_connect=1, random_jitter_range=1
            ),
        )

    def _endpoint(self) -> str:
        return self._connection.endpoint or f"https://{self._connection.account}.blob.core.windows.net"

    async def _containers(self, marker: str | None, limit: int) -> RawPage:
        pages = self._client().list_containers(results_per_page=limit).by_page(marker)
        entries = [
            Entry(kind="folder", name=item.name, key=f"{item.name}/", modified=item.last_modified)
            async for item in await anext(pages)
        ]
        return RawPage(tuple(entries), _marker(pages))

    def _entry(self, item: Any, prefix: str, below: str) -> Entry:
        # The provider's name starts with what was asked for; the key is below the connection's root.
        key = prefix + item.name[len(below) :]
        if key.endswith("/") and not hasattr(item, "etag"):
            return Entry(kind="folder", name=_last(key), key=key)
        return _object(key, item)


def _object(key: str, item: Any) -> Entry:
    tier = str(getattr(item.blob_tier, "value", item.blob_tier)) if item.blob_tier else None
    return Entry(
        kind="object",
        name=_last(key),
        key=key,
        size_bytes=item.size,
        modified=item.last_modified,
        etag=_etag(item.etag),
        tier=tier,
        unreadable="archived: cannot be read" if tier == "Archive" else _unaddressable(key),
    )


def _whole_size(properties: Any) -> int:
    # Of a range's reply `size` is the range's; the whole stands at the end of 'bytes 0-9/1234'.
    return int((properties.content_range or "").rpartition("/")[2] or properties.size)


def _marker(pages: Any) -> str | None:
    # The SDK's page iterator has it, its annotation does not.
    return pages.continuation_token or None


def _etag(text: str | None) -> str:
    # The same tag comes quoted in a header and bare in a listing.
    return f'"{(text or "").strip(chr(34))}"'


def _unaddressable(key: str) -> str | None:
    try:
        url.check_key(key)
    except BadRequestError as error:
        return error.message
    return None


def _last(key: str) -> str:
    return key.rstrip("/").rpartition("/")[2] or key
