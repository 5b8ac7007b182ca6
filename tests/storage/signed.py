"""Real shared access signatures and the traces that a secret could leave."""

from __future__ import annotations

import base64
import urllib.parse
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from azure.storage.blob import (
    AccountSasPermissions,
    BlobSasPermissions,
    ContainerSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)

from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

# Whole minutes and a half: what is left reads the same for a while.
USUAL = timedelta(minutes=50, seconds=30)


def container_link(container: ContainerClient, path: str = "", *, rights: str = "rl", lasts: timedelta = USUAL) -> str:
    """Return a SAS link to a container."""
    token = generate_container_sas(
        AZURITE_ACCOUNT, container.container_name, account_key=AZURITE_KEY,
        permission=ContainerSasPermissions.from_string(rights), expiry=datetime.now(UTC) + lasts,
    )  # fmt: skip
    return f"{container.url}{path}?{token}"


def blob_link(container: ContainerClient, name: str, *, rights: str = "r", lasts: timedelta = USUAL) -> str:
    """Return a SAS link to one blob."""
    token = generate_blob_sas(
        AZURITE_ACCOUNT, container.container_name, name, account_key=AZURITE_KEY,
        permission=BlobSasPermissions.from_string(rights), expiry=datetime.now(UTC) + lasts,
    )  # fmt: skip
    return f"{container.url}/{urllib.parse.quote(name)}?{token}"


def account_token(*, rights: str = "rl", lasts: timedelta = USUAL) -> str:
    """Return a SAS token for all of the account."""
    return generate_account_sas(
        AZURITE_ACCOUNT, AZURITE_KEY, ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions.from_string(rights), datetime.now(UTC) + lasts,
    )  # fmt: skip


def signature(link: str) -> str:
    """Return the signature of a link, decoded."""
    return urllib.parse.parse_qs(link.partition("?")[2])["sig"][0]


def traces(secret: str) -> set[str]:
    """Return the forms in which a secret could show."""
    raw = secret.encode()
    return {
        secret[:24],
        urllib.parse.quote(secret, safe="")[:24],
        urllib.parse.quote_plus(urllib.parse.quote(secret, safe=""))[:24],
        base64.b64encode(raw).decode()[:24],
        base64.b64encode(b"x" + raw).decode()[4:24],
        base64.b64encode(b"xx" + raw).decode()[4:24],
    }


def assert_clean(text: str, *secrets: str) -> None:
    """Fail when a text holds a trace of a secret."""
    for secret in secrets:
        for trace in traces(secret):
            assert trace not in text
