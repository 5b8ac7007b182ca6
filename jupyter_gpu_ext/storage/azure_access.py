"""How one connection's requests to Azure are signed: one credential for both clients.

The SDK's client and obstore would each ask for a token of their own, and might each find another identity. Both
are given the same: whoever asks first, one token is fetched, and the identity that won is remembered by name.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError, NoCredentialError
from jupyter_gpu_ext.storage import connection_string
from jupyter_gpu_ext.storage.credentials import Secret, claims, expires_at, remember
from jupyter_gpu_ext.storage.expiry import expired

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import AccessToken, TokenCredential

    from jupyter_gpu_ext.storage.connections import Connection

SCOPE = "https://storage.azure.com/.default"
# A token is renewed this long before its end: a range that is being read outlives it.
_MARGIN_SECONDS = 300
# Both clients keep a token until five minutes before its end. They are told less, so that they ask each time:
# whether a token still counts is decided in one place.
_ASK_AGAIN_SECONDS = 60
_BURST_SECONDS = 5
_UNKNOWN_END_SECONDS = 86_400

_CURES = {
    "default": "Sign in with `az login`, give this machine a managed identity, or connect by a SAS link.",
    "managed-identity": "Give this machine a managed identity (for one of several set AZURE_CLIENT_ID).",
    "workload-identity": "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE must be set here.",
    "azure-cli": "Run `az login` in a terminal of this machine.",
    "device-code": "Run it again and enter the code that is shown.",
}

_FORBIDDEN: set[str] = set()


class Access:
    """What both clients of a connection are given.

    Parameters
    ----------
    connection : Connection
    secret : Secret or None
        Where the credential needs one.

    Attributes
    ----------
    account, endpoint : str
    """

    def __init__(self, connection: Connection, secret: Secret | None) -> None:
        self._connection = connection
        self._ends = expires_at(connection, secret) if secret else None
        self.account, endpoint, kind, value = _effective(connection, secret)
        self.endpoint = endpoint or f"https://{self.account}.blob.core.windows.net"
        self._kind, self._secret = kind, value
        self._tokens = Tokens(connection, lambda: self._identity(kind)) if kind in (*_CURES, "bearer") else None

    def check(self) -> None:
        """Raise `ExpiredError` when the credential has ended by now, before anything is sent."""
        if self._ends is not None and self._ends <= datetime.now(UTC):
            raise expired(self._connection, self._ends)

    @property
    def asked(self) -> int:
        """How many tokens were asked for by now."""
        return self._tokens.fetched if self._tokens else 0

    def renew(self, asked: int) -> bool:
        """Drop the token that the service says has ended; return whether another can be had.

        Parameters
        ----------
        asked : int
            What `asked` was when the request began: a token that came later is not dropped.
        """
        # A person who entered a code is not asked again in the middle of a read.
        if self._tokens is None or self._kind in ("bearer", "device-code"):
            return False
        self._tokens.forget(asked)
        return True

    async def ready(self) -> None:
        """Have a valid token, so that obstore's own question for it is answered at once."""
        self.check()
        if self._tokens is not None:
            await self._tokens.get_token(SCOPE)

    def sdk(self) -> Any:
        """Return the credential for the SDK's asynchronous client."""
        from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

        if self._tokens is not None or self._secret is None:
            return self._tokens
        value = self._secret.reveal()
        # With the name: from an endpoint of its own kind the client cannot tell it.
        return AzureSasCredential(value) if self._kind == "sas" else AzureNamedKeyCredential(self.account, value)

    @property
    def is_identity(self) -> bool:
        """Whether somebody asks by tokens, rather than by a key, a signature or as nobody."""
        return self._tokens is not None

    @property
    def account_key(self) -> str | None:
        """The account's key, for signing; None where the credential is another one."""
        return self._secret.reveal() if self._kind == "account-key" and self._secret else None

    def source(self, url: str) -> str:
        """Return the URL of a blob as the service itself may read it: a copy's source asks for itself."""
        return f"{url}?{self._secret.reveal()}" if self._kind == "sas" and self._secret else url

    def store(self) -> dict[str, Any]:
        """Return the options for obstore's store."""
        if self._tokens is None and self._secret is None:
            return {"skip_signature": True}
        return {"credential_provider": self._provide}

    async def _provide(self) -> dict[str, Any]:
        # A signature that is given, rather than set in the options, wins over AZURE_STORAGE_* of the environment.
        if self._tokens is not None:
            token = await self._tokens.get_token(SCOPE)
            return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}
        value = self._secret.reveal() if self._secret else ""
        return {"sas_token" if self._kind == "sas" else "access_key": value, "expires_at": None}

    def _identity(self, kind: str) -> TokenCredential:
        if kind != "bearer" or self._secret is None:
            return _identity(kind)
        end = int(self._ends.timestamp()) if self._ends else int(time.time()) + _UNKNOWN_END_SECONDS
        return _Fixed(self._secret.reveal(), end)


class Tokens:
    """One identity's token, fetched once for all who ask, renewed before it ends.

    Parameters
    ----------
    connection : Connection
        Remembered together with the identity that answered.
    open_identity : callable
        Returns the synchronous credential, when it is first needed.
    """

    def __init__(self, connection: Connection, open_identity: Callable[[], TokenCredential]) -> None:
        self._connection = connection
        self._open = open_identity
        self._identity: TokenCredential | None = None
        self._token: AccessToken | None = None
        self._lock = threading.Lock()
        self._answered: tuple[dict[str, Any], float] = {}, 0.0
        self.fetched = 0

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token that is valid for five minutes at least; the name and form are azure-core's.

        Its stated end is sooner, so that the client asks again before each request.
        """
        from azure.core.credentials import AccessToken

        # A challenge of the account names a tenant or a claim: the token at hand does not answer it.
        challenged = bool(options.get("claims") or options.get("tenant_id"))
        token = self._token
        if token is None or challenged or _ends_soon(token):
            token = await asyncio.to_thread(self._get, scopes, options, challenged)
        return AccessToken(token.token, min(token.expires_on, int(time.time()) + _ASK_AGAIN_SECONDS))

    def forget(self, fetched: int) -> None:
        """Drop the token, unless there were more than `fetched` by now; the next one is new."""
        with self._lock:
            if self.fetched == fetched:
                self._token = self._identity = None

    async def close(self) -> None:
        """Keep the token: the SDK closes what it was given, obstore may still need it."""

    async def __aenter__(self) -> Tokens:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def _get(self, scopes: tuple[str, ...], options: dict[str, Any], challenged: bool) -> AccessToken:
        with self._lock:
            if challenged and self._answered[0] == options and time.monotonic() - self._answered[1] < _BURST_SECONDS:
                # Requests side by side are challenged side by side.
                challenged = False
            if challenged and self._connection.credential != "device-code":
                # The identity keeps tokens too, and would give the one that was just refused.
                self._identity = None
            if self._token is None or challenged or _ends_soon(self._token):
                self._token = self._fetch(scopes, options)
                self._answered = options, time.monotonic()
                self.fetched += 1
            return self._token

    def _fetch(self, scopes: tuple[str, ...], options: dict[str, Any]) -> AccessToken:
        from azure.core.exceptions import AzureError

        try:
            if self._identity is None:
                self._identity = self._open()
            token = self._identity.get_token(*scopes, **options)
        except GpuExtError:
            raise
        except (AzureError, ValueError):
            kind = self._connection.credential
            raise NoCredentialError(
                f"Connection {self._connection.name!r} found nobody to sign in as ({kind.replace('-', ' ')}).",
                hint=_CURES.get(kind, "Check the connection's credential."),
            ) from None
        remember(self._connection, _words(self._identity, token.token))
        return token


def _ends_soon(token: AccessToken) -> bool:
    return token.expires_on - time.time() < _MARGIN_SECONDS


class _Fixed:
    """A token that the person gave; it cannot be renewed."""

    def __init__(self, token: str, end: int) -> None:
        self._token, self._end = token, end

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        from azure.core.credentials import AccessToken

        return AccessToken(self._token, self._end)


def _effective(connection: Connection, secret: Secret | None) -> tuple[str, str, str, Secret | None]:
    if connection.credential != "connection-string" or secret is None:
        return connection.account, connection.endpoint, connection.credential, secret
    said = connection_string.parse(secret.reveal())
    kind = "account-key" if said.key else "sas"
    return said.name, connection.endpoint or said.endpoint, kind, Secret(said.key or said.sas)


def forbid_questions() -> None:
    """Sign in without asking anybody, in this process: nobody reads what a server prints."""
    _FORBIDDEN.add("device-code")


def _identity(kind: str) -> TokenCredential:
    from azure import identity

    if kind in _FORBIDDEN:
        raise NoCredentialError(
            "A sign-in by code needs somebody who reads it, and this is a server.",
            hint="Run `az login` in a terminal and set credential to azure-cli, or use it in a notebook.",
        )

    if kind == "default":
        # Only what needs no window and starts no other shell: a server has neither.
        return identity.DefaultAzureCredential(
            exclude_visual_studio_code_credential=True,
            exclude_powershell_credential=True,
            exclude_developer_cli_credential=True,
            exclude_shared_token_cache_credential=True,
        )
    if kind == "managed-identity":
        return identity.ManagedIdentityCredential(client_id=os.environ.get("AZURE_CLIENT_ID"))
    if kind == "workload-identity":
        return identity.WorkloadIdentityCredential()
    if kind == "azure-cli":
        return identity.AzureCliCredential()
    return identity.DeviceCodeCredential(prompt_callback=_show_code)


def _show_code(address: str, code: str, _ends: datetime) -> None:
    sys.stdout.write(f"To sign in, open {address} and enter {code}.\n")
    sys.stdout.flush()


def _words(identity: Any, token: str) -> str:
    won = type(getattr(identity, "_successful_credential", None) or identity).__name__
    said = claims(token)
    person = said.get("upn") or said.get("unique_name") or said.get("preferred_username")
    resource = str(said.get("xms_mirid", "")).rpartition("/")[2]
    name = str(person or resource or said.get("appid") or "").strip()
    kinds = {"AzureCli": "az login", "ManagedIdentity": "managed identity", "WorkloadIdentity": "workload identity"}
    kinds |= {"Environment": "service principal", "DeviceCode": "signed in as", "_Fixed": "token of"}
    return f"{kinds.get(won.removesuffix('Credential'), 'identity')} {name}".strip()
