"""Google Cloud Storage, read with Google's own client in threads; it takes every name as it is.

Writing is left out: its conditions could not be proven without the service itself.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NoCredentialError, NotInstalledError
from jupyter_gpu_ext.storage import conflicts, trust
from jupyter_gpu_ext.storage.faults import asked_seconds
from jupyter_gpu_ext.storage.gcs_share import GCSSharing
from jupyter_gpu_ext.storage.hushed import hush
from jupyter_gpu_ext.storage.models import Entry, RawPage
from jupyter_gpu_ext.storage.names import folded, last, object_place, place, unaddressable
from jupyter_gpu_ext.storage.statuses import from_status
from jupyter_gpu_ext.storage.threaded import ThreadedBackend

if TYPE_CHECKING:
    from pathlib import Path

    from google.cloud.storage import Client

    from jupyter_gpu_ext.errors import GpuExtError
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.credentials import Secret
    from jupyter_gpu_ext.storage.models import Version

# Connecting, and between two bytes.
_TIMEOUT = (10, 15)
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
# Google's client asks for a project even where none is needed.
_NO_PROJECT = "none"


class GCSBackend(GCSSharing, ThreadedBackend):
    """The objects below `gs://bucket/prefix`, or the buckets of a project.

    The ETag is the object's generation, which says exactly which bytes are meant.

    Parameters
    ----------
    secret : Secret or None
        For the credential 'service-account': the JSON text of its key.
    """

    def __init__(self, connection: Connection, secret: Secret | None) -> None:
        super().__init__(connection)
        self._secret = secret
        self._opened: Client | None = None

    async def close(self) -> None:
        """Close the client's connections."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _page(self, prefix: str, marker: str | None, limit: int, search: str) -> RawPage:
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

    def _describe(self, key: str) -> Entry:
        bucket, path = object_place(self._connection.path, key)
        blob = self._client().bucket(bucket).blob(path)
        blob.reload(timeout=_TIMEOUT, retry=None)
        return _object(key, blob)

    def _range(self, key: str, version: Version, start: int, stop: int) -> bytes:
        bucket, path = object_place(self._connection.path, key)
        generation = version.etag.strip('"')
        if not generation.isdigit():
            raise conflicts.missing(self._connection.name, key)
        blob = self._client().bucket(bucket).blob(path, generation=int(generation))
        try:
            # As stored: without `raw_download` the service unpacks what says it is gzip.
            data: bytes = blob.download_as_bytes(
                start=start, end=stop - 1, raw_download=True, checksum=None, timeout=_TIMEOUT, retry=None
            )
        except Exception as error:
            if getattr(error, "code", None) != 404:
                raise
            # An older generation is not found any more; the object itself may well be.
            raise self._changed(key, version, self._describe(key).etag) from None
        return data

    def _told(self, key: str, error: Exception) -> GpuExtError | None:
        # The client's own retries end with an error that holds the last one.
        error = getattr(error, "cause", None) or error
        if isinstance(code := getattr(error, "code", None), int):
            told = from_status(self._connection, key, code, "")
            told.retry_after_seconds = asked_seconds(error)
            return told
        if type(error).__module__.startswith("google.auth") and type(error).__name__ != "TransportError":
            return NoCredentialError(f"Connection {self._connection.name!r} gets no Google token.", hint=_HINT)
        return None

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
        options: Any = ClientOptions(api_endpoint=endpoint) if endpoint else None
        session = google_session(credentials, trust.certificates(self._connection))
        client = Client(project=project or _NO_PROJECT, credentials=credentials, client_options=options, _http=session)
        # For tracing it would ask for each bucket's properties, unasked and by a right that a reader need not have.
        client._bucket_metadata_cache = None  # noqa: SLF001
        hush("google", "urllib3")
        return client

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
        found = _service_account(secret)
        if found is None:
            raise NoCredentialError(
                f"The secret of connection {self._connection.name!r} is no key of a service account.",
                hint='It is the JSON file that Google Cloud wrote; name it: secret = "file:/path".',
            )
        return found


def google_session(credentials: Any, certificates: Path | None) -> Any:
    """Return the session in which Google's client asks for tokens and for objects alike.

    Parameters
    ----------
    certificates : Path or None
        What its servers may show; None for the usual ones.
    """
    from google.auth.transport.requests import AuthorizedSession, Request
    from requests import Session
    from requests.adapters import HTTPAdapter

    class Trusting(HTTPAdapter):
        # Of a session the environment's certificates count more than its own.
        def send(self, *args: Any, **options: Any) -> Any:
            return super().send(*args, **{**options, "verify": str(certificates)})

    for_tokens = Session()
    session: Any = AuthorizedSession(credentials, auth_request=Request(for_tokens))
    if certificates is not None:
        for one in (session, for_tokens):
            one.mount("https://", Trusting())
    return session


_HINT = "Run `gcloud auth application-default login`, or name a service account's key."


def _service_account(secret: Secret) -> tuple[Any, str | None] | None:
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    try:
        key = json.loads(secret.reveal())
        build: Any = service_account.Credentials.from_service_account_info
        return build(key, scopes=[_SCOPE]), key["project_id"]
    except (GoogleAuthError, ValueError, KeyError, TypeError, AttributeError):
        # The parser's own text may quote the key, and a traceback its variables.
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
