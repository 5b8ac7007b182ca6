"""Azure Blob Storage: the SDK's client lists and describes, obstore reads ranges."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_gpu_ext.errors import BadRequestError, BadStorageReplyError, ObjectChangedError, RangeError
from jupyter_gpu_ext.storage import azure_folders, azure_names, object_ranges, trust
from jupyter_gpu_ext.storage.azure_access import Access
from jupyter_gpu_ext.storage.azure_append import AzureAppending
from jupyter_gpu_ext.storage.azure_share import AzureSharing
from jupyter_gpu_ext.storage.azure_transport import transport
from jupyter_gpu_ext.storage.azure_writing import AzureWriting
from jupyter_gpu_ext.storage.direct import DirectReads
from jupyter_gpu_ext.storage.faults import fault, translated
from jupyter_gpu_ext.storage.fill import fill
from jupyter_gpu_ext.storage.hushed import hush
from jupyter_gpu_ext.storage.models import Entry, RawPage, SizesPage, Version
from jupyter_gpu_ext.storage.names import REWRITTEN, last, quoted
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

    from azure.storage.blob.aio import BlobClient, BlobServiceClient
    from obstore.store import AzureStore, ObjectStore

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.credentials import Secret

T = TypeVar("T")


class AzureBackend(DirectReads, AzureSharing, AzureWriting, AzureAppending):
    """The objects below `az://container/prefix`, or the containers of an account.

    Parameters
    ----------
    connection : Connection
    secret : Secret or None
        What its credential needs: a key, a signature, a connection string, a token.
    """

    def __init__(self, connection: Connection, secret: Secret | None) -> None:
        self._connection = connection
        self._container, _, self._prefix = connection.path.partition("/")
        self._access = Access(connection, secret)
        self._service: BlobServiceClient | None = None
        self._stores: dict[str, AzureStore] = {}

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix`: one List Blobs (or List Containers) request."""
        with translated(self._connection, prefix):
            container, below = self._place(prefix)
            if not container:
                return await self._containers(marker, limit, search)
            token, folders = azure_folders.read_marker(marker)
            pages = (
                self._client()
                .get_container_client(container)
                .walk_blobs(
                    name_starts_with=below + search or None, include=["metadata"], delimiter="/", results_per_page=limit
                )
                .by_page(token)
            )
            entries = [self._entry(item, prefix, below) async for item in await anext(pages)]
            return azure_folders.fold(entries, prefix, folders, _marker(pages))

    async def sizes_below(self, prefix: str, *, marker: str | None, limit: int) -> SizesPage:
        """Return one page of the blobs at any depth: one List Blobs request."""
        with translated(self._connection, prefix):
            container, below = self._place(prefix)
            client = self._client().get_container_client(container)
            pages = client.list_blobs(below or None, results_per_page=min(limit, 5000)).by_page(marker)
            sizes = {prefix + one.name[len(below) :]: one.size async for one in await anext(pages)}
            return SizesPage(sizes, _marker(pages))

    async def head(self, key: str) -> Entry:
        """Return the properties of one blob."""
        with translated(self._connection, key):
            found = await self._blob(key).get_blob_properties()
            return _object(key, found)

    async def probe_write(self) -> bool:
        """Return whether this identity may write, by a write that no blob's version fits: none is made.

        Raises
        ------
        DeniedError
            When storage refuses the identity.
        """
        from azure.core import MatchConditions

        key = ".jupyter-gpu-ext-probe"
        try:
            with translated(self._connection, key):
                none: Any = {"etag": '"0x0"', "match_condition": MatchConditions.IfNotModified}
                await self._blob(key).upload_blob(b"", overwrite=True, **none)
        except ObjectChangedError:
            return True
        return False

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version, in one request (two for an empty blob)."""
        with translated(self._connection, key):
            if REWRITTEN.search(self._place(key)[1]):
                return await self._first_by_sdk(key, length)
            try:
                store, path = await self._store(key)
                return await object_ranges.first(store, path, length)
            except Exception as error:
                # An empty blob has no range at all.
                if not isinstance(fault(self._connection, key, error), RangeError):
                    raise
            entry = await self.head(key)
            return b"", Version(entry.size_bytes or 0, str(entry.etag))

    async def _directly(self, key: str, read: Callable[[ObjectStore, str], Awaitable[T]]) -> T | None:
        """Return what is read without the SDK; None where it cannot be, or the blob is empty and has no range."""
        with translated(self._connection, key):
            if REWRITTEN.search(self._place(key)[1]):
                return None
            try:
                return await read(*(await self._store(key)))
            except Exception as error:
                if not isinstance(fault(self._connection, key, error), RangeError):
                    raise
        return None

    async def _first_by_sdk(self, key: str, length: int) -> tuple[bytes, Version]:
        reply = await self._download(key, lambda _: None, offset=0, length=length)
        data: bytes = await reply.readall()
        return data, Version(_whole_size(reply.properties), quoted(reply.properties.etag))

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on, with `If-Match`; range, version and length of the answer are checked."""
        try:
            with translated(self._connection, key):
                await fill(await self._chunks(key, version, start, start + len(out)), out)
        except ObjectChangedError:
            raise await self._changed(key, version) from None

    async def _chunks(self, key: str, version: Version, start: int, stop: int) -> AsyncIterable[Any]:
        if REWRITTEN.search(self._place(key)[1]):
            return await self._chunks_by_sdk(key, version, start, stop)
        store, path = await self._store(key)
        return await object_ranges.chunks(store, path, version.etag, start, stop)

    async def _chunks_by_sdk(self, key: str, version: Version, start: int, stop: int) -> AsyncIterable[Any]:
        from azure.core import MatchConditions

        reply = await self._download(
            key,
            lambda answer: _check_range(answer, version),
            offset=start,
            length=stop - start,
            etag=version.etag,
            match_condition=MatchConditions.IfNotModified,
        )
        chunks: AsyncIterable[Any] = reply.chunks()
        return chunks

    async def _download(self, key: str, check: Callable[[Any], None], **options: Any) -> Any:
        answers: list[Any] = []

        def look(answer: Any) -> None:
            answers.append(answer.http_response)
            check(answer)

        try:
            return await self._blob(key).download_blob(raw_response_hook=look, **options)
        except asyncio.CancelledError:
            # The SDK leaves the socket to the garbage collector.
            for one in answers:
                one.internal_response.close()
            raise

    async def _changed(self, key: str, version: Version) -> ObjectChangedError:
        now = await self.head(key)
        return ObjectChangedError(
            f"{self._connection.name}://{printable(key)} was replaced while it was read: "
            f"{version.etag} before, {now.etag} now.",
            hint="Run it again.",
        )

    @property
    def asked(self) -> int:
        """How often the identity was asked for a token."""
        return self._access.asked

    def renew(self, asked: int) -> bool:
        """Ask for a new token from now on; return whether one can be had: see `Access.renew`."""
        # obstore keeps a token for a moment, whatever is said of its end.
        self._stores.clear()
        return self._access.renew(asked)

    async def close(self) -> None:
        """Close the SDK's connections; obstore closes its own with the store."""
        service, self._service = self._service, None
        self._stores.clear()
        if service is not None:
            await service.close()

    def _place(self, key: str) -> tuple[str, str]:
        if self._container:
            return self._container, f"{self._prefix}/{key}" if self._prefix else key
        name, _, below = key.partition("/")
        return name, below

    def _names(self, key: str) -> tuple[str, str]:
        azure_names.check(key)
        container, path = self._place(key)
        if not container or not path:
            raise BadRequestError(f"{printable(key)!r} names no blob.", hint="Write connection://container/key.")
        return container, path

    def _blob(self, key: str) -> BlobClient:
        return self._client().get_blob_client(*self._names(key))

    async def _store(self, key: str) -> tuple[AzureStore, str]:
        await self._access.ready()
        container, path = self._names(key)
        if container not in self._stores:
            self._stores[container] = self._open_store(container)
        return self._stores[container], path

    def _open_store(self, container: str) -> AzureStore:
        from obstore.store import AzureStore

        options: Any = object_ranges.client_options(self._access.endpoint, trust.pem(self._connection))
        retries: Any = object_ranges.retry_config()
        return AzureStore(
            container_name=container,
            account_name=self._access.account,
            endpoint=self._access.endpoint,
            client_options=options,
            retry_config=retries,
            **self._access.store(),
        )

    def _client(self) -> BlobServiceClient:
        self._access.check()
        if self._service is None:
            self._service = self._open_client()
        return self._service

    def _open_client(self) -> BlobServiceClient:
        from azure.storage.blob.aio import BlobServiceClient

        hush("azure", "msal", "urllib3")
        return BlobServiceClient(
            self._access.endpoint,
            credential=self._access.sdk(),
            transport=transport(
                trust.context(self._connection),
                connect_seconds=object_ranges.CONNECT_SECONDS,
                stall_seconds=object_ranges.STALL_SECONDS,
            ),
            permit_redirects=False,
            # Who calls tries again: see steady.py.
            retry_total=0,
        )

    async def _containers(self, marker: str | None, limit: int, search: str) -> RawPage:
        pages = self._client().list_containers(name_starts_with=search or None, results_per_page=limit).by_page(marker)
        entries = [
            Entry(kind="folder", name=item.name, key=f"{item.name}/", modified=item.last_modified)
            async for item in await anext(pages)
        ]
        return RawPage(tuple(entries), _marker(pages))

    def _entry(self, item: Any, prefix: str, below: str) -> Entry:
        # The provider's name starts with what was asked for; the key is below the connection's root.
        key = prefix + item.name[len(below) :]
        if key.endswith("/") and not hasattr(item, "etag"):
            return Entry(kind="folder", name=last(key), key=key)
        if item.size == 0 and azure_folders.is_marker(item.metadata):
            return azure_folders.marked(key, item.last_modified)
        return _object(key, item)


def _object(key: str, item: Any) -> Entry:
    tier = str(getattr(item.blob_tier, "value", item.blob_tier)) if item.blob_tier else None
    return Entry(
        kind="object",
        name=last(key),
        key=key,
        size_bytes=item.size,
        modified=item.last_modified,
        etag=quoted(item.etag),
        tier=tier,
        unreadable="archived: cannot be read" if tier == "Archive" else azure_names.unaddressable(key),
        md5=bytes(item.content_settings.content_md5) if item.content_settings.content_md5 else None,
    )


def _check_range(reply: Any, version: Version) -> None:
    """Refuse a whole body, another range or another version, which the SDK would pass on."""
    headers, asked = reply.http_response.headers, reply.http_request.headers.get("x-ms-range", "")
    if reply.http_response.status_code not in (200, 206):
        return
    if not str(headers.get("Content-Range", "")).startswith(asked.replace("=", " ", 1) + "/"):
        raise BadStorageReplyError("Another range came than the one that was asked for.", hint="Run it again.")
    if quoted(headers.get("ETag")) != version.etag:
        raise ObjectChangedError("")


def _whole_size(properties: Any) -> int:
    # Of a range's reply `size` is the range's; the whole stands at the end of 'bytes 0-9/1234'.
    return int((properties.content_range or "").rpartition("/")[2] or properties.size)


def _marker(pages: Any) -> str | None:
    # The SDK's page iterator has it, its annotation does not.
    return pages.continuation_token or None
