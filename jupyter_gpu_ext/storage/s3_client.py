"""The two clients of an S3 connection, which ask under one identity: botocore's."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NoCredentialError, NotInstalledError, UnreachableError
from jupyter_gpu_ext.storage import trust
from jupyter_gpu_ext.storage.faults import asked_seconds, translated
from jupyter_gpu_ext.storage.hushed import hush
from jupyter_gpu_ext.storage.object_ranges import CONNECT_SECONDS, STALL_SECONDS, client_options, retry_config
from jupyter_gpu_ext.storage.statuses import from_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import S3Store

    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.credentials import Secret

_AWS = re.compile(r"\.amazonaws\.com(\.cn)?$")
# obstore asks again for credentials after this time; botocore renews them when they need it.
_ASK_AGAIN = timedelta(minutes=5)


class S3Clients:
    """Opened with the first use, on the loop that uses them.

    Parameters
    ----------
    secret : Secret or None
        'ID:SECRET' or 'ID:SECRET:TOKEN' for the credential 'keys'; otherwise botocore looks where it always
        does: the environment, the configuration files, the machine's role.
    """

    def __init__(self, connection: Connection, secret: Secret | None) -> None:
        self._connection = connection
        self._secret = secret
        self._open = AsyncExitStack()
        self._client: Any = None
        self._session: Any = None
        self._stores: dict[str, S3Store] = {}
        self.asked = 0

    async def client(self) -> Any:
        """Return botocore's client, which lists, describes, writes and removes."""
        if self._client is None:
            from botocore.handlers import add_expect_header

            context = self._sessions().create_client("s3", **self._options())
            self._client = await self._open.enter_async_context(context)
            # Only now it has imported what it signs and sends with.
            hush("aiobotocore", "botocore")
            # aiohttp would wait without end where a proxy passes no "100 Continue" on.
            self._client.meta.events.unregister("before-call.s3", add_expect_header)
        return self._client

    async def store(self, bucket: str) -> S3Store:
        """Return obstore's client, which reads ranges of one bucket."""
        if bucket not in self._stores:
            self._stores[bucket] = await self._open_store(bucket)
        return self._stores[bucket]

    def renew(self, asked: int) -> bool:
        """Look for credentials anew, as after `aws sso login`; return whether there may be others.

        botocore renews what has an end by itself; what came from a file it reads once.
        """
        if self._secret is not None or self._connection.credential == "anonymous":
            return False
        if self.asked == asked:
            self._client = self._session = None
            self._stores.clear()
        return True

    async def close(self) -> None:
        """Close the connections that are open."""
        self._client = self._session = None
        self._stores.clear()
        opened, self._open = self._open, AsyncExitStack()
        await opened.aclose()

    def _sessions(self) -> Any:
        if self._session is None:
            try:
                from aiobotocore.session import AioSession
            except ImportError:
                raise NotInstalledError(
                    "S3 needs aiobotocore.", hint="pip install 'jupyter_gpu_ext[s3]', then restart."
                ) from None
            session = AioSession(profile=self._connection.profile or None)
            if self._secret is not None:
                if not _keys(self._secret):
                    raise NoCredentialError(
                        f"The secret of connection {self._connection.name!r} is no pair of AWS keys.",
                        hint="Write ID:SECRET into it.",
                    )
                session.set_credentials(*_keys(self._secret))
            self._session = session
            self.asked += 1
        return self._session

    def _options(self) -> dict[str, Any]:
        from aiobotocore.config import AioConfig
        from botocore import UNSIGNED

        endpoint = self._connection.endpoint
        # Said, for links: their signature would be of the second version, which ends in other fields.
        signature = UNSIGNED if self._connection.credential == "anonymous" else "s3v4"
        return {
            "endpoint_url": endpoint or None,
            "verify": str(trust.certificates(self._connection) or "") or None,
            "region_name": self._connection.region or ("us-east-1" if endpoint else None),
            "config": AioConfig(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=STALL_SECONDS,
                # Who calls tries again: see steady.py.
                retries={"mode": "standard", "total_max_attempts": 1},
                # Names of buckets are no names of hosts at an endpoint of one's own.
                s3={"addressing_style": "path" if endpoint else "auto"},
                # Our uploads send an MD5 a part, which every S3 checks.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                signature_version=signature,
            ),
        }

    async def _open_store(self, bucket: str) -> S3Store:
        from obstore.store import S3Store

        anonymous = self._connection.credential == "anonymous"
        access: Any = {"skip_signature": True} if anonymous else {"credential_provider": self._credentials}
        if not anonymous:
            # obstore hides what its provider says; a connection without credentials ends here.
            await self._credentials()
        # An endpoint may also come from the AWS configuration, which obstore does not read.
        endpoint = str((await self.client()).meta.endpoint_url)
        if not _AWS.search(endpoint):
            access["endpoint"] = endpoint
        options: Any = client_options(endpoint, trust.pem(self._connection))
        retries: Any = retry_config()
        region = await self._region(bucket)
        return S3Store(bucket, region=region, client_options=options, retry_config=retries, **access)

    async def _region(self, bucket: str) -> str:
        from botocore.exceptions import ClientError

        client = await self.client()
        if self._connection.region or not _AWS.search(client.meta.endpoint_url):
            return str(client.meta.region_name or "us-east-1")
        try:
            reply = await client.head_bucket(Bucket=bucket)
        except ClientError as error:
            # A refusal says the region too.
            reply = error.response
        headers = reply["ResponseMetadata"].get("HTTPHeaders", {})
        return str(headers.get("x-amz-bucket-region") or client.meta.region_name or "us-east-1")

    async def session_end(self) -> datetime | None:
        """Return when what is signed now ends with its session, UTC; the last moment of all for lasting keys.

        None is for the keys of a session whose end nobody says.
        """
        found = await self._found()
        frozen = await found.get_frozen_credentials()
        if frozen.token is None:
            return datetime.max.replace(tzinfo=UTC)
        # botocore gives it no public name.
        end = getattr(found, "_expiry_time", None)
        return end.astimezone(UTC) if isinstance(end, datetime) else None

    async def _found(self) -> Any:
        found = await self._sessions().get_credentials()
        if found is None:
            raise NoCredentialError(f"Connection {self._connection.name!r} finds no AWS credentials.", hint=_HINT)
        return found

    async def _credentials(self) -> Any:
        frozen = await (await self._found()).get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _ASK_AGAIN,
        }


_HINT = "Run `aws configure` or `aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."


@contextmanager
def s3_translated(connection: Connection, key: str) -> Iterator[None]:
    """Turn what botocore or obstore raises inside into one of our errors."""
    with translated(connection, key):
        try:
            yield
        except ImportError:
            raise
        except Exception as error:
            if (ours := _fault(connection, key, error)) is not None:
                raise ours from None
            raise


def _fault(connection: Connection, key: str, error: Exception) -> Exception | None:
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        code = str(error.response.get("Error", {}).get("Code", ""))
        told = from_status(connection, key, int(status), "" if code.isdigit() else code)
        told.retry_after_seconds = asked_seconds(error)
        return told
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return NoCredentialError(f"Connection {connection.name!r} finds no AWS credentials.", hint=_HINT)
    if isinstance(error, (exceptions.ProfileNotFound, exceptions.ConfigParseError)):
        return NoCredentialError(
            f"Connection {connection.name!r} names an AWS profile that is not there.",
            hint="`aws configure list-profiles` shows which are.",
        )
    if isinstance(error, (exceptions.TokenRetrievalError, exceptions.SSOError, exceptions.CredentialRetrievalError)):
        return NoCredentialError(f"Connection {connection.name!r} gets no AWS credentials.", hint=_HINT)
    odd = isinstance(error, exceptions.SSLError) or "Timeout" in type(error).__name__
    if isinstance(error, exceptions.ConnectionError) and not odd:
        return UnreachableError(
            f"{connection.path or connection.root} cannot be reached.",
            hint=f"Check endpoint and region of connection {connection.name!r}, and the network or proxy.",
        )
    return None


def _keys(secret: Secret) -> list[str]:
    parts = secret.reveal().split(":", 2)
    return parts if len(parts) >= 2 and all(parts) else []
