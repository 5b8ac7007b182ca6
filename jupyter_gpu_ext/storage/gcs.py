"""Google Cloud Storage, read with Google's own client in threads; it takes every name as it is.

Writing is left out: its conditions could not be proven without the service itself.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_gpu_ext.errors import (
    BadStorageReplyError,
    NoCredentialError,
    NotFoundError,
    NotInstalledError,
    ObjectChangedError,
)
from jupyter_gpu_ext.storage import conflicts
from jupyter_gpu_ext.storage.faults import translated
from jupyter_gpu_ext.storage.models import Entry, RawPage, Version
from jupyter_gpu_ext.storage.names import folded, last, object_place, place, unaddressable
from jupyter_gpu_ext.storage.statuses import from_status
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.cloud.storage import Client

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.credentials import Secret

T = TypeVar("T")

# Connecting, and between two bytes.
_TIMEOUT = (10, 15)
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
# Google's client asks for a project even where none is needed.
_NO_PROJECT = "none"


class GCSBackend:
    """The objects below `gs://bucket/prefix`, or the buckets of a project.

    The ETag is the object's generation, which says exactly which bytes are meant.

    Parameters
    ----------
    secret : Secret or None
        For the credential 'service-account': the JSON text of its key.
    """

    def __init__(self, connection: Connection, secret: Secret | None) -> None:
        self._connection = connection
        self._secret = secret
        self._opened: Client | None = None
        self._lock = threading.Lock()

    async def list_page(self, prefix: str, *, marker: str | None, limit: int, search: str = "") -> RawPage:
        """Return one page of the folder `prefix`, in one request."""
        return await self._call(prefix, lambda: self._list(prefix, marker, limit, search))

    async def head(self, key: str) -> Entry:
        """Return the properties of one object."""
        return await self._call(key, lambda: _object(key, self._properties(key)))

    async def first(self, key: str, length: int) -> tuple[bytes, Version]:
        """Return the first bytes and the version, in two requests: the client hides a range's total."""
        entry = await self.head(key)
        version = Version(entry.size_bytes or 0, str(entry.etag))
        data = bytearray(min(length, version.size_bytes))
        if data:
            await self.read_into(key, version, 0, memoryview(data))
        return bytes(data), version

    async def read_into(self, key: str, version: Version, start: int, out: memoryview) -> None:
        """Fill `out` from `start` on with that generation, and check the length."""
        try:
            data = await self._call(key, lambda: self._range(key, version, start, start + len(out)))
        except NotFoundError:
            # An older generation is not found any more; the object itself may well be.
            now = await self.head(key)
            raise ObjectChangedError(
                f"{self._connection.name}://{printable(key)} was replaced while it was read: "
                f"{version.etag} before, {now.etag} now.",
                hint="Run it again.",
            ) from None
        if len(data) != len(out):
            raise BadStorageReplyError(
                f"{printable(key)!r}: {len(out)} bytes were asked for, {len(data)} came.", hint="Run it again."
            )
        out[:] = data

    async def close(self) -> None:
        """Close the client's connections."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    async def _call(self, key: str, work: Callable[[], T]) -> T:
        with translated(self._connection, key):
            try:
                return await asyncio.to_thread(work)
            except Exception as error:
                if (ours := _fault(self._connection, key, error)) is not None:
                    raise ours from None
                raise

    def _list(self, prefix: str, marker: str | None, limit: int, search: str) -> RawPage:
        bucket, below = place(self._connection.path, prefix)
        client = self._client()
        options: Any = {"page_token": marker, "timeout": _TIMEOUT, "retry": None, "page_size": limit}
        if not bucket:
            return _buckets(client.list_buckets(prefix=search or None, **options))
        found = client.list_blobs(bucket, prefix=below + search, delimiter="/", **options)
        page = next(found.pages)
        keys = sorted(prefix + name[len(below) :] for name in page.prefixes)
        rows = [Entry(kind="folder", name=last(key), key=key) for key in keys]
        rows += [_object(prefix + blob.name[len(below) :], blob) for blob in page]
        return RawPage(tuple(folded(rows, prefix)), found.next_page_token)

    def _properties(self, key: str) -> Any:
        bucket, path = object_place(self._connection.path, key)
        blob = self._client().bucket(bucket).blob(path)
        blob.reload(timeout=_TIMEOUT, retry=None)
        return blob

    def _range(self, key: str, version: Version, start: int, stop: int) -> bytes:
        bucket, path = object_place(self._connection.path, key)
        generation = version.etag.strip('"')
        if not generation.isdigit():
            raise conflicts.missing(self._connection.name, key)
        blob = self._client().bucket(bucket).blob(path, generation=int(generation))
        # As stored: without `raw_download` the service unpacks what says it is gzip.
        data: bytes = blob.download_as_bytes(
            start=start, end=stop - 1, raw_download=True, checksum=None, timeout=_TIMEOUT, retry=None
        )
        return data

    def _client(self) -> Client:
        with self._lock:
            if self._opened is None:
                self._opened = self._open_client()
            return self._opened

    def _open_client(self) -> Client:
        try:
            from google.api_core.client_options import ClientOptions
            from google.cloud.storage import Client
        except ImportError:
            raise NotInstalledError(
                "Google Cloud Storage needs google-cloud-storage.",
                hint="pip install 'jupyter_gpu_ext[gcs]', then restart.",
            ) from None
        credentials, project = self._credentials()
        endpoint = self._connection.endpoint
        options = ClientOptions(api_endpoint=endpoint) if endpoint else None
        return Client(project=project or _NO_PROJECT, credentials=credentials, client_options=options)

    def _credentials(self) -> tuple[Any, str | None]:
        from google.auth.credentials import AnonymousCredentials

        if self._connection.credential == "anonymous":
            return AnonymousCredentials(), None
        return self._default() if self._secret is None else self._service_account(self._secret)

    def _default(self) -> tuple[Any, str | None]:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            credentials, project = google.auth.default(scopes=[_SCOPE])
        except DefaultCredentialsError:
            raise NoCredentialError(
                f"Connection {self._connection.name!r} finds no Google credentials.", hint=_HINT
            ) from None
        return credentials, project

    def _service_account(self, secret: Secret) -> tuple[Any, str | None]:
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2 import service_account

        try:
            key = json.loads(secret.reveal())
            build: Any = service_account.Credentials.from_service_account_info
            return build(key, scopes=[_SCOPE]), key["project_id"]
        except (GoogleAuthError, ValueError, KeyError, TypeError, AttributeError):
            # The parser's own text may quote the key.
            raise NoCredentialError(
                f"The secret of connection {self._connection.name!r} is no key of a service account.",
                hint='It is the JSON file that Google Cloud wrote; name it: secret = "file:/path".',
            ) from None


_HINT = "Run `gcloud auth application-default login`, or name a service account's key."


def _fault(connection: Connection, key: str, error: Exception) -> Exception | None:
    # The client's own retries end with an error that holds the last one.
    error = getattr(error, "cause", None) or error
    if isinstance(code := getattr(error, "code", None), int):
        return from_status(connection, key, code, "")
    if type(error).__module__.startswith("google.auth") and type(error).__name__ != "TransportError":
        return NoCredentialError(f"Connection {connection.name!r} gets no Google token.", hint=_HINT)
    return None


def _buckets(found: Any) -> RawPage:
    rows = [
        Entry(kind="folder", name=bucket.name, key=f"{bucket.name}/", modified=bucket.time_created)
        for bucket in next(found.pages)
    ]
    return RawPage(tuple(rows), found.next_page_token)


def _object(key: str, blob: Any) -> Entry:
    # Archive and cold classes are read at once here, only dearer.
    return Entry(
        kind="object",
        name=last(key),
        key=key,
        size_bytes=blob.size,
        modified=blob.updated,
        etag=f'"{blob.generation}"',
        tier=blob.storage_class,
        unreadable=unaddressable(key),
    )
