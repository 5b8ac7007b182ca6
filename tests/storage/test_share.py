"""Links for others: they open without credentials, end when promised, and never outlive what signed them."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from jupyter_gpu_ext import errors
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.share import MOST_MINUTES, SharedLink, share
from jupyter_gpu_ext.storage.signing import Signing
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Azurite, azure_fields, write_connections
from tests.faults.proxy import Fault, Rule, fault_proxy
from tests.storage.clouds import gcs_fields, s3_fields
from tests.storage.identities import public_key, service_account, token
from tests.storage.servers import endpoint
from tests.storage.signed import container_link

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from tests.storage.clouds import GCSStore, S3Store
    from tests.storage.identities import TokenService
    from tests.storage.tls import Certificates

KEYS = ["x.bin", "a b/ü#?%41.bin"]


def shared(name: str, key: str = "x.bin", minutes: int = 5) -> SharedLink:
    return LOOP.run(share(connections.load().find(name), key, minutes=minutes))


def fields_of(link: SharedLink) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link.url).query).items()}


def assert_in(link: SharedLink, minutes: int) -> None:
    assert abs((link.expires_at - datetime.now(UTC)).total_seconds() - minutes * 60) < 30


def assert_private(url: str, **options: object) -> None:
    with pytest.raises(HTTPError) as refused:
        urlopen(url, **options)
    assert refused.value.code in (401, 403, 404)


@pytest.fixture
def identity(
    guarded: Azurite, certificates: Certificates, service: TokenService, tmp_path: Path
) -> tuple[ssl.SSLContext, str]:
    """The connection `me://` of an identity without any key, on a container of Azurite that takes tokens."""
    from azure.storage.blob import BlobServiceClient

    place = str(certificates.authority)
    owner = BlobServiceClient(guarded.secure, credential=AZURITE_KEY, connection_verify=place)
    made = owner.create_container(f"shared-{time.monotonic_ns()}")
    for key in KEYS:
        made.upload_blob(key, key.encode())
    fields = {"root": f"az://{made.container_name}", "endpoint": guarded.secure, "ca_file": place}
    write_connections(tmp_path / "connections.toml", me={**fields, "credential": "managed-identity"})
    return certificates.back(), made.container_name


@pytest.mark.parametrize("key", KEYS)
def test_an_identity_shares_by_a_key_that_the_service_gives_it(identity: tuple[ssl.SSLContext, str], key: str) -> None:
    link = shared("me", key)
    with urlopen(link.url, context=identity[0]) as answer:
        assert answer.read() == key.encode()
    said = fields_of(link)
    assert (said["sp"], said["sr"], said["spr"]) == ("r", "b", "https")
    assert {"skoid", "sktid", "ske"} <= set(said), "signed for the identity, not by the account's key"
    assert datetime.fromisoformat(said["se"]) == link.expires_at
    # The service's key ends with the link: whoever finds the one has no more than the other.
    assert datetime.fromisoformat(said["ske"]) == link.expires_at
    assert_in(link, 5)
    other = link.url.replace(urlsplit(link.url).path, f"/devstoreaccount1/{identity[1]}/other")
    assert_private(other, context=identity[0])


def test_a_given_token_shares_no_longer_than_it_lasts(
    identity: tuple[ssl.SSLContext, str], guarded: Azurite, certificates: Certificates, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("A_TOKEN", token(lasts=600))
    fields = {"root": f"az://{identity[1]}", "endpoint": guarded.secure, "ca_file": str(certificates.authority)}
    write_connections(tmp_path / "connections.toml", given={**fields, "credential": "bearer", "secret": "env:A_TOKEN"})
    with urlopen(shared("given").url, context=identity[0]) as answer:
        assert answer.read() == b"x.bin"
    with pytest.raises(errors.DeniedError, match=r"ends at \d\d:\d\d UTC .*, before the link would"):
        shared("given", minutes=11)


def test_an_identity_that_may_not_sign_is_told_its_role(
    identity: tuple[ssl.SSLContext, str], guarded: Azurite, certificates: Certificates, tmp_path: Path
) -> None:
    body = b"<Error><Code>AuthorizationPermissionMismatch</Code><Message>No.</Message></Error>"
    refusal = Rule(
        Fault("reply", (403, body), (("Content-Type", "application/xml"),)),
        when=lambda request: "comp=userdelegationkey" in request.line,
    )
    with fault_proxy(guarded.port, refusal, front=certificates.front(), back=certificates.back()) as wire:
        text = (tmp_path / "connections.toml").read_text().replace(f":{guarded.port}/", f":{wire.port}/")
        (tmp_path / "connections.toml").write_text(text)
        with pytest.raises(errors.DeniedError, match="cannot sign links") as refused:
            shared("me")
    assert "Storage Blob Delegator on account devstoreaccount1" in refused.value.hint


def test_an_account_key_signs_for_a_week_at_most(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = azurite.new_container()
    made.upload_blob("x.bin", b"abc")
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    keyed = azure_fields(azurite, made.container_name)
    text = f"AccountName=devstoreaccount1;AccountKey={AZURITE_KEY};BlobEndpoint={azurite.endpoint}"
    monkeypatch.setenv("A_STRING", text)
    strung = {"root": keyed["root"], "credential": "connection-string", "secret": "env:A_STRING"}
    write_connections(tmp_path / "connections.toml", keyed=keyed, strung=strung)
    for name in ("keyed", "strung"):
        link = shared(name, minutes=MOST_MINUTES)
        assert urlopen(link.url).read() == b"abc"
        assert datetime.fromisoformat(fields_of(link)["se"]) == link.expires_at
        assert_in(link, MOST_MINUTES)
    with pytest.raises(errors.BadRequestError):
        shared("keyed", minutes=MOST_MINUTES + 1)


@pytest.mark.parametrize("key", KEYS)
def test_s3_presigns(s3_store: S3Store, key: str) -> None:
    s3_store.put(key, key.encode())
    link = shared("bucket", key, minutes=60)
    assert urlopen(link.url).read() == key.encode()
    said = fields_of(link)
    assert said["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert said["X-Amz-SignedHeaders"] == "host"
    signed_at = datetime.strptime(said["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    end = signed_at + timedelta(seconds=int(said["X-Amz-Expires"]))
    assert timedelta(0) <= end - link.expires_at <= timedelta(seconds=1)
    assert_in(link, 60)
    assert int(fields_of(shared("bucket", key, minutes=MOST_MINUTES))["X-Amz-Expires"]) <= 604_800
    assert unquote(urlsplit(link.url).path) == f"/{s3_store.bucket}/{key}"


@pytest.mark.parametrize(("left", "minutes", "works"), [(5400, 60, True), (5400, 120, False), (None, 1, False)])
def test_s3_shares_no_longer_than_its_session(
    s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int | None, minutes: int, works: bool
) -> None:
    s3_store.put("x.bin", b"abc")
    fields = {**s3_fields(s3_store), "credential": "default"}
    del fields["secret"]
    write_connections(tmp_path / "connections.toml", session=fields)
    if left is None:
        # A session that somebody exported: it does not say when it ends.
        said = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(errors.DeniedError, match="cannot sign links") as refused:
            shared("session", minutes=minutes)
        assert "session" in refused.value.hint
        return
    ends = (datetime.now(UTC) + timedelta(seconds=left)).isoformat()
    body = json.dumps({"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "Expiration": ends}).encode()
    with endpoint(200, body, {"Content-Type": "application/json"}) as role:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role)
        name = f"session-{minutes}"
        write_connections(tmp_path / "connections.toml", **{name: fields})
        if works:
            assert urlopen(shared(name, minutes=minutes).url).read() == b"abc"
            return
        with pytest.raises(errors.DeniedError, match="before the link would"):
            shared(name, minutes=minutes)


def test_google_links_are_signed_by_the_service_accounts_key(
    gcs_store: GCSStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SERVICE", service_account("http://127.0.0.1:9/token"))
    fields = {"root": "gs://my-bucket/pre", "credential": "service-account", "secret": "env:A_SERVICE"}
    write_connections(tmp_path / "connections.toml", signer=fields)
    for minutes in (5, MOST_MINUTES):
        link = shared("signer", KEYS[1], minutes)
        place, said = urlsplit(link.url), fields_of(link)
        assert (place.scheme, place.netloc) == ("https", "storage.googleapis.com")
        assert unquote(place.path) == f"/my-bucket/pre/{KEYS[1]}"
        assert said["X-Goog-Credential"].startswith("reader@test.iam.gserviceaccount.com/")
        signed_at = datetime.strptime(said["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        end = signed_at + timedelta(seconds=int(said["X-Goog-Expires"]))
        assert abs(end - link.expires_at) <= timedelta(seconds=1)
        assert int(said["X-Goog-Expires"]) <= 604_800
        check_google(link)


def check_google(link: SharedLink) -> None:
    """Check the signature as the service does: https://cloud.google.com/storage/docs/authentication/signatures."""
    place = urlsplit(link.url)
    query, _, signature = place.query.partition("&x-goog-signature=")
    if not signature:
        query, _, signature = place.query.partition("&X-Goog-Signature=")
    said = fields_of(link)
    request = "\n".join(["GET", place.path, query, f"host:{place.netloc}", "", "host", "UNSIGNED-PAYLOAD"])
    digest = hashes.Hash(hashes.SHA256())
    digest.update(request.encode())
    scope = said["X-Goog-Credential"].partition("/")[2]
    text = "\n".join(["GOOG4-RSA-SHA256", said["X-Goog-Date"], scope, digest.finalize().hex()])
    public_key().verify(bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_who_cannot_sign_is_told_who_can(
    azurite: Azurite, gcs_store: GCSStore, s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = azurite.new_container()
    monkeypatch.setenv("A_LINK", container_link(made).partition("?")[2])
    azure = {"root": f"az://{made.container_name}", "endpoint": azurite.endpoint}
    write_connections(
        tmp_path / "connections.toml",
        linked={**azure, "credential": "sas", "secret": "env:A_LINK"},
        nobody={**azure, "credential": "anonymous"},
        google=gcs_fields(gcs_store),
        bucket={"root": "s3://my-bucket", "credential": "anonymous", "region": "eu-west-1"},
        web={"root": "https://example.org"},
        disk={"root": str(tmp_path)},
        scratch={"root": "memory://scratch"},
    )
    for name in ("linked", "nobody", "google", "bucket", "web", "disk", "scratch"):
        with pytest.raises(errors.DeniedError, match=f"Connection {name!r} cannot sign links") as refused:
            shared(name)
        assert refused.value.hint
    with pytest.raises(errors.DeniedError, match="before the link would"):
        shared("linked", minutes=120)
    assert isinstance(backend(connections.load().find("linked")).inner, Signing)


def test_a_link_shows_itself_nowhere(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    write_connections(tmp_path / "connections.toml", keyed=azure_fields(azurite, "models"))
    link = shared("keyed")
    signature = fields_of(link)["sig"]
    assert len(base64.b64decode(signature)) == 32
    assert signature[:20] not in repr(link) + str(link)
