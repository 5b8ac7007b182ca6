"""S3 and what speaks like it: botocore lists and describes, obstore reads ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_gpu_ext.errors import ObjectChangedError, RangeError
from jupyter_gpu_ext.storage import object_ranges
from jupyter_gpu_ext.storage.direct import DirectReads
from jupyter_gpu_ext.storage.faults import fault
from jupyter_gpu_ext.storage.fill import fill
from jupyter_gpu_ext.storage.models import Entry, RawPage, SizesPage, Version
from jupyter_gpu_ext.storage.names import REWRITTEN, folded, last, object_place, place, quoted, unaddressable
from jupyter_gpu_ext.storage.s3_client import S3Clients, s3_translated
from jupyter_gpu_ext.storage.s3_share import S3Sharing
from jupyter_gpu_ext.storage.s3_writing import S3Writing
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable

    from obstore.store import ObjectStore

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.credentials import Secret

T = TypeVar("T")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html
_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}


class S3Backend(DirectReads, S3Sharing, S3Writing):
    """The objects below `s3://bucket/prefix`, or the buckets of an identity.

    Parameters
    ----------
    secret : Secret or None
        For the credential 'keys': 'ID:SECRET' or 'ID:SECRET:TOKEN'.
    """

    def __init__(self, connection: Connection, secret: Secret | None) -> None:
        self._connection = connection
        self._clients = S3Clients(connection, secret)

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix`: one ListObjectsV2 (or ListBuckets) request."""
        with s3_translated(self._connection, prefix):
            bucket, below = place(self._connection.path, prefix)
            client = await self._clients.client()
            more = {"ContinuationToken": marker} if marker else {}
            if not bucket:
                return _buckets(await client.list_buckets(MaxBuckets=limit, Prefix=search, **more))
            reply = await client.list_objects_v2(
                Bucket=bucket, Prefix=below + search, Delimiter="/", MaxKeys=limit, **more
            )
            start = len(below)
            found = [prefix + item["Prefix"][start:] for item in reply.get("CommonPrefixes", [])]
            rows = [Entry(kind="folder", name=last(key), key=key) for key in found]
            rows += [_object(prefix + item["Key"][start:], item) for item in reply.get("Contents", [])]
            return RawPage(tuple(folded(rows, prefix)), reply.get("NextContinuationToken"))

    async def sizes_below(self, prefix: str, *, marker: str | None, limit: int) -> SizesPage:
        """Return one page of the objects at any depth: one ListObjectsV2 request."""
        with s3_translated(self._connection, prefix):
            bucket, below = place(self._connection.path, prefix)
            more = {"ContinuationToken": marker} if marker else {}
            client = await self._clients.client()
            reply = await client.list_objects_v2(Bucket=bucket, Prefix=below, MaxKeys=min(limit, 1000), **more)
            sizes = {prefix + item["Key"][len(below) :]: item["Size"] for item in reply.get("Contents", [])}
            return SizesPage(sizes, reply.get("NextContinuationToken"))

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""
        bucket, path = self._object(key)
        with s3_translated(self._connection, key):
            reply = await (await self._clients.client()).head_object(Bucket=bucket, Key=path)
            return _object(key, {**reply, "Size": reply["ContentLength"]})

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version, in one request (two for an empty object)."""
        bucket, path = self._object(key)
        with s3_translated(self._connection, key):
            try:
                if not REWRITTEN.search(path):
                    return await object_ranges.first(await self._clients.store(bucket), path, length)
                data, reply = await self._literally(bucket, path, 0, length)
                return data, Version(int(reply["ContentRange"].rpartition("/")[2]), quoted(reply["ETag"]))
            except Exception as error:
                # An empty object has no range at all.
                if not _is_empty(self._connection, key, error):
                    raise
        entry = await self.head(key)
        return b"", Version(entry.size_bytes or 0, str(entry.etag))

    async def _directly(self, key: str, read: Callable[[ObjectStore, str], Awaitable[T]]) -> T | None:
        """Return what is read by name; None where the name cannot be sent, or the object is empty: it has no range."""
        bucket, path = self._object(key)
        if REWRITTEN.search(path):
            return None
        with s3_translated(self._connection, key):
            try:
                return await read(await self._clients.store(bucket), path)
            except Exception as error:
                if not _is_empty(self._connection, key, error):
                    raise
        return None

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on, with `If-Match`, and check the length."""
        try:
            with s3_translated(self._connection, key):
                await fill(await self._chunks(key, version, start, start + len(out)), out)
        except ObjectChangedError:
            now = await self.head(key)
            raise ObjectChangedError(
                f"{self._connection.name}://{printable(key)} was replaced while it was read: "
                f"{version.etag} before, {now.etag} now.",
                hint="Run it again.",
            ) from None

    async def _chunks(self, key: str, version: Version, start: int, stop: int) -> AsyncIterable[Any]:
        bucket, path = self._object(key)
        if REWRITTEN.search(path):
            data, _ = await self._literally(bucket, path, start, stop, IfMatch=version.etag)
            return object_ranges.one_chunk(data)
        return await object_ranges.chunks(await self._clients.store(bucket), path, version.etag, start, stop)

    async def _literally(
        self, bucket: str, path: str, start: int, stop: int, **condition: str
    ) -> tuple[bytes, dict[str, Any]]:
        client = await self._clients.client()
        reply = await client.get_object(Bucket=bucket, Key=path, Range=f"bytes={start}-{stop - 1}", **condition)
        async with reply["Body"] as body:
            return await body.read(), reply

    @property
    def asked(self) -> int:
        """How often credentials were looked for."""
        return self._clients.asked

    def renew(self, asked: int) -> bool:
        """Look for credentials anew: see `S3Clients.renew`."""
        return self._clients.renew(asked)

    async def close(self) -> None:
        """Close both clients."""
        await self._clients.close()

    def _object(self, key: str) -> tuple[str, str]:
        return object_place(self._connection.path, key)


def _buckets(reply: dict[str, Any]) -> RawPage:
    rows = [
        Entry(kind="folder", name=item["Name"], key=f"{item['Name']}/", modified=item.get("CreationDate"))
        for item in reply.get("Buckets", [])
    ]
    return RawPage(tuple(rows), reply.get("ContinuationToken"))


def _object(key: str, item: dict[str, Any]) -> Entry:
    tier = item.get("StorageClass")
    return Entry(
        kind="object",
        name=last(key),
        key=key,
        size_bytes=item["Size"],
        modified=item["LastModified"],
        etag=quoted(item["ETag"]),
        tier=tier,
        unreadable="archived: cannot be read" if tier in _ARCHIVED else unaddressable(key),
    )


def _is_empty(connection: Connection, key: str, error: Exception) -> bool:
    response = getattr(error, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    return status == 416 or isinstance(fault(connection, key, error), RangeError)
