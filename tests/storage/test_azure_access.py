"""Who asks Azure: real azure-identity against a local token service, a real Azurite that wants tokens over TLS."""

from __future__ import annotations

import base64
import datetime
import time
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import BlobServiceClient

import jupyter_gpu_ext as jg
from jupyter_gpu_ext import errors
from jupyter_gpu_ext.storage import azure_access, backends, connections, credentials
from jupyter_gpu_ext.storage.azure_access import Tokens
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, Azurite, write_connections
from tests.storage.identities import token
from tests.storage.servers import proxy
from tests.storage.signed import account_token, container_link
from tests.storage.test_addresses import canary

if TYPE_CHECKING:
    from pathlib import Path

    from azure.core.credentials import AccessToken

    from tests.storage.identities import TokenService

WRONG_KEY = base64.b64encode(bytes(64)).decode()


@pytest.fixture(scope="module")
def container(guarded: Azurite, certificate: Path) -> str:
    service = BlobServiceClient(guarded.secure, credential=AZURITE_KEY, connection_verify=str(certificate))
    made = service.create_container("models")
    made.upload_blob("x.pt", b"0123456789")
    made.upload_blob("a//b", b"by the SDK")
    return "models"


def write(tmp_path: Path, azurite: Azurite, name: str, **fields: object) -> None:
    """Write a connection of its own name: what was opened under a name stays open for the process."""
    usual = {"root": "az://models", "endpoint": azurite.secure}
    write_connections(tmp_path / "connections.toml", **{name: {**usual, **fields}})


def use(name: str) -> None:
    """List, and read by both clients, several times."""
    assert [one.key for one in jg.ls(f"{name}://").page.entries] == ["a/", "x.pt"]
    for _ in range(3):
        assert LOOP.run(open_reader(f"{name}://x.pt")).head == b"0123456789"
        assert LOOP.run(open_reader(f"{name}://a//b")).head == b"by the SDK"


@pytest.mark.parametrize("credential", ["managed-identity", "default"])
def test_one_token_for_both_clients_and_the_identity_is_named(
    guarded: Azurite, container: str, certificate: Path, service: TokenService, tmp_path: Path, credential: str
) -> None:
    write(tmp_path, guarded, f"one-{credential}", credential=credential, ca_file=str(certificate))
    assert jg.ls().to_json()[0]["identity"] == credential.replace("-", " "), "not known before it was asked"
    use(f"one-{credential}")
    assert service.given == 1
    assert jg.ls().to_json()[0]["identity"] == "managed identity vm-gpu01"


def test_a_token_is_renewed_before_it_ends(
    guarded: Azurite, container: str, certificate: Path, service: TokenService, tmp_path: Path
) -> None:
    write(tmp_path, guarded, "renewed", credential="managed-identity", ca_file=str(certificate))
    service.lasts = 200
    assert jg.ls("renewed://")
    service.lasts = 3600
    before = service.given
    use("renewed")
    assert service.given == before + 1


@pytest.mark.parametrize("credential", ["azure-cli", "workload-identity", "managed-identity", "default"])
def test_nobody_to_sign_in_as(
    guarded: Azurite, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credential: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with canary() as (port, hits):
        # No identity service but one that knows nobody; nothing of a real machine is asked.
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/none")
        monkeypatch.setenv("IDENTITY_HEADER", "h")
        write(tmp_path, guarded, f"nobody-{credential}", credential=credential, ca_file=str(certificate))
        for ask in (jg.ls, lambda url: LOOP.run(open_reader(f"{url}x.pt"))):
            with pytest.raises(errors.NoCredentialError, match="nobody to sign in as") as refused:
                ask(f"nobody-{credential}://")
            assert refused.value.hint
        assert bool(hits) == (credential in ("managed-identity", "default"))


def test_a_token_of_no_right_says_which_role_is_missing(
    guarded: Azurite, certificate: Path, service: TokenService, tmp_path: Path
) -> None:
    write(tmp_path, guarded, "no-right", credential="managed-identity", ca_file=str(certificate))
    service.issuer = "https://elsewhere.example/"
    with pytest.raises(errors.DeniedError, match="refused 'managed identity vm-gpu01'") as refused:
        jg.ls("no-right://")
    assert "Storage Blob Data Reader on container models" in refused.value.hint


def test_a_server_asks_nobody_for_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_access, "_FORBIDDEN", set())
    azure_access.forbid_questions()
    fields = {"root": "az://models", "account": "mystorage", "credential": "device-code"}
    write_connections(tmp_path / "connections.toml", by_code=fields)
    text = (tmp_path / "connections.toml").read_text().replace("by_code", "by-code")
    (tmp_path / "connections.toml").write_text(text)
    with pytest.raises(errors.NoCredentialError, match="this is a server"):
        jg.ls("by-code://")


def test_a_token_that_was_given(
    guarded: Azurite, container: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", token(upn="anna@example.org"))
    fields = {"credential": "bearer", "secret": "env:A_TOKEN", "ca_file": str(certificate)}
    write(tmp_path, guarded, "given", **fields)
    use("given")
    assert jg.ls().to_json()[0]["expires_at"] is not None
    monkeypatch.setenv("A_TOKEN", token(lasts=-5))
    with canary() as (port, hits):
        write(tmp_path, Azurite(port), "given", **fields)
        with pytest.raises(errors.ExpiredError, match="behind given expired"):
            jg.ls("given://")
        with pytest.raises(errors.ExpiredError):
            LOOP.run(open_reader("given://x.pt"))
        assert hits == []
    monkeypatch.setenv("A_TOKEN", "Bearer x")
    with pytest.raises(errors.NoCredentialError, match="is no bearer"):
        jg.ls("given://")


@pytest.mark.parametrize("by", ["ca_file", "REQUESTS_CA_BUNDLE"])
def test_a_private_certificate_counts_for_both_clients(
    guarded: Azurite, container: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setenv("A_KEY", AZURITE_KEY)
    fields: dict[str, object] = {"credential": "account-key", "secret": "env:A_KEY"}
    name = f"by-{by.lower().replace('_', '-')}"
    if by == "ca_file":
        fields["ca_file"] = str(certificate)
    else:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    write(tmp_path, guarded, name, **fields)
    use(name)


def test_a_private_certificate_lets_connections_stay_open(
    guarded: Azurite, container: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", AZURITE_KEY)
    fields: dict[str, object] = {"credential": "account-key", "secret": "env:A_KEY", "ca_file": str(certificate)}
    with proxy(guarded.port) as wire:
        write(tmp_path, Azurite(wire.port), "stays-open", **fields)
        for _ in range(5):
            jg.ls("stays-open://")
        assert wire.connections == 1
        backends.close_all()


def test_certificates_that_are_not_there(guarded: Azurite, tmp_path: Path) -> None:
    write(tmp_path, guarded, "no-file", credential="anonymous", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(errors.NoCredentialError, match=r"none\.pem, cannot be read"):
        LOOP.run(open_reader("no-file://x.pt"))
    with pytest.raises(errors.NoCredentialError, match=r"none\.pem, cannot be read"):
        jg.ls("no-file://")


KEYED = {
    "account-key": AZURITE_KEY,
    "connection-string": f"AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};BlobEndpoint={{endpoint}}",
    "sas": "",
}


@pytest.mark.parametrize("credential", KEYED)
def test_what_is_named_wins_over_the_environment(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credential: str
) -> None:
    made = azurite.new_container()
    made.upload_blob("x.pt", b"abc")
    monkeypatch.setenv("A_SECRET", KEYED[credential].format(endpoint=azurite.endpoint) or account_token())
    # obstore takes these for its own, whatever it is told otherwise.
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", WRONG_KEY)
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=x")
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "x")
    fields = {"root": f"az://{made.container_name}", "credential": credential, "secret": "env:A_SECRET"}
    if credential != "connection-string":
        fields["endpoint"] = azurite.endpoint
    write_connections(tmp_path / "connections.toml", **{f"by-{credential}": fields})
    assert LOOP.run(open_reader(f"by-{credential}://x.pt")).head == b"abc"
    assert [one.key for one in jg.ls(f"by-{credential}://").page.entries] == ["x.pt"]


def test_expiry_of_rows(azurite: Azurite, tmp_path: Path) -> None:
    jg.connect(container_link(azurite.new_container()), "linked")
    rows = {row["name"]: row for row in jg.ls().to_json()}
    end = datetime.datetime.fromisoformat(rows["linked"]["expires_at"])
    left = (end - datetime.datetime.now(datetime.UTC)).total_seconds()
    assert 40 * 60 < left < 51 * 60
    assert rows["linked"]["kind"] == "az"
    (tmp_path / "jupyter_gpu_secrets" / "linked").unlink()
    assert jg.ls().to_json()[0]["expires_at"] is None, "a secret that is gone ends no listing"


class Counting:
    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def get_token(self, *_scopes: str, **options: object) -> AccessToken:
        from azure.core.credentials import AccessToken

        self.asked.append(options)
        time.sleep(0.05)
        return AccessToken(token(), int(time.time()) + 3600)


def test_many_at_once_ask_once_and_a_challenge_asks_anew() -> None:
    import asyncio

    identity = Counting()
    tokens = Tokens(connections.Connection(name="many", root="az://"), lambda: identity)

    async def all_at_once() -> None:
        await asyncio.gather(*(tokens.get_token("scope") for _ in range(20)))

    LOOP.run(all_at_once())
    assert identity.asked == [{}]
    LOOP.run(tokens.get_token("scope", tenant_id="t"))
    assert identity.asked[1:] == [{"tenant_id": "t"}]


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "a.!.c", f"a.{base64.b64encode(b'[1]').decode()}.c", "a." + "e30" * 9]
)
def test_a_token_need_not_say_anything(text: str) -> None:
    assert credentials.claims(text) == {}
    assert credentials.token_end(text) is None


@pytest.mark.parametrize("end", [None, "soon", -1, 0, 1e300, float("nan"), True])
def test_an_end_that_is_none(end: object) -> None:
    assert credentials.token_end(token(exp=end)) in (None, datetime.datetime.fromtimestamp(1, datetime.UTC))
