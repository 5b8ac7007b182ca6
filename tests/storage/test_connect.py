"""Connect what is pasted: against Azurite, with real signatures, on a real disk."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import pickle
import socket
import stat
import tomllib
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext import errors
from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.storage import addresses, connections_file, trial
from jupyter_gpu_ext.storage.connect import try_link
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, Azurite
from tests.storage.signed import account_token, assert_clean, blob_link, container_link, signature
from tests.storage.test_addresses import METADATA, OTHERS, canary

if TYPE_CHECKING:
    from pathlib import Path

    from azure.storage.blob import ContainerClient


@pytest.fixture
def container(azurite: Azurite) -> ContainerClient:
    made = azurite.new_container()
    made.upload_blob("llama/model 1.safetensors", b"0123456789")
    made.upload_blob("top.pt", b"abc")
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "connections.toml"


def connection_string(azurite: Azurite) -> str:
    return f"AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};BlobEndpoint={azurite.endpoint};"


def checks(made: Any) -> dict[str, bool]:
    return {check.what: check.ok for check in made.trial.checks}


def test_a_container_link(container: ContainerClient, file: Path) -> None:
    made = jg.connect(container_link(container), "weights")
    assert checks(made) == {"list": True, "read": True}
    assert made.connection.read_only
    assert (made.trial.grants.list, made.trial.grants.read, made.trial.grants.write) == (True, True, False)
    assert made.trial.round_trip_seconds is not None
    assert "expires in 50 min" in str(made)
    assert [entry.key for entry in jg.ls("weights://").page.entries] == ["llama/", "top.pt"]
    assert LOOP.run(open_reader("weights://llama/model 1.safetensors")).head == b"0123456789"
    secret = file.parent / connections_file.SECRETS / "weights"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert tomllib.loads(file.read_text())["connections"]["weights"]["secret"] == f"file:{secret}"


def test_a_link_to_one_blob(container: ContainerClient) -> None:
    made = jg.connect(blob_link(container, "llama/model 1.safetensors"))
    assert (made.key, made.one_object) == ("model 1.safetensors", "model 1.safetensors")
    assert made.connection.root.endswith("/llama")
    assert checks(made) == {"read": True}
    assert made.trial.grants.list is False
    assert LOOP.run(open_reader(made.url)).head == b"0123456789"


def test_a_link_into_a_container_is_its_folder_and_a_key(container: ContainerClient) -> None:
    made = jg.connect(container_link(container, "/llama/model%201.safetensors"))
    assert made.url == f"{made.connection.name}://model 1.safetensors"
    assert checks(made) == {"list": True, "read": True}


def test_a_connection_string_and_an_account_signature(azurite: Azurite, container: ContainerClient) -> None:
    key = f"{container.container_name}/top.pt"
    for name, text in {
        "by-key": connection_string(azurite),
        "by-sas": f"BlobEndpoint={azurite.endpoint};SharedAccessSignature={account_token()}",
    }.items():
        made = jg.connect(text, name)
        assert made.connection.root == "az://"
        assert checks(made)["list"]
        assert LOOP.run(open_reader(f"{name}://{key}")).head == b"abc"


def test_a_folder_and_a_file_of_it(tmp_path: Path) -> None:
    (tmp_path / "Data 1").mkdir()
    (tmp_path / "Data 1" / "x.bin").write_bytes(b"1")
    assert jg.connect(str(tmp_path / "Data 1")).connection.name == "data-1"
    made = jg.connect(str(tmp_path / "Data 1" / "x.bin"))
    assert (made.connection.name, made.key) == ("data-1", "x.bin"), "the same folder is the same connection"
    with pytest.raises(errors.NotFoundError):
        jg.connect(str(tmp_path / "none"))


def test_without_saving_nothing_is_written(container: ContainerClient, file: Path) -> None:
    made = jg.connect(container_link(container), save=False)
    assert not made.saved
    assert "not saved" in str(made)
    assert list(file.parent.iterdir()) == []


def test_the_same_link_again_is_the_same_connection(container: ContainerClient, file: Path) -> None:
    link = container_link(container)
    first = jg.connect(link, "weights")
    before = file.read_text()
    assert jg.connect(link).connection.name == "weights"
    assert jg.connect("weights://top.pt").trial.checks == jg.connect(link.replace("?", "/top.pt?")).trial.checks
    assert file.read_text() == before
    assert jg.connect(container_link(container, lasts=timedelta(hours=2))).connection.name == first.connection.root[5:]


@pytest.mark.parametrize(
    ("rights", "granted"), [("rl", False), ("rlw", True), ("rlc", False)], ids=["read", "write", "create"]
)
def test_writing_is_only_promised_where_the_link_grants_it(
    container: ContainerClient, file: Path, rights: str, granted: bool
) -> None:
    link = container_link(container, rights=rights)
    assert checks(jg.connect(link, read_only=False, save=False))["write"] == granted
    if granted:
        assert not jg.connect(link, read_only=False).connection.read_only
    else:
        with pytest.raises(errors.DeniedError, match="Nothing can be written"):
            jg.connect(link, read_only=False)
        assert not file.exists()


def test_a_write_is_tried_without_a_trace(
    azurite: Azurite, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection_string(azurite))
    made = jg.connect(f"az://{container.container_name}", read_only=False)
    assert made.connection.credential == "connection-string"
    assert checks(made) == {"list": True, "read": True, "write": True}
    assert sorted(container.list_blob_names()) == ["llama/model 1.safetensors", "top.pt"]
    token = container_link(container).partition("?")[2]
    only_reads = f"AccountName={AZURITE_ACCOUNT};BlobEndpoint={azurite.endpoint};SharedAccessSignature={token}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", only_reads)
    assert checks(jg.connect(f"{made.connection.name}://", read_only=False)) == {
        "list": True,
        "read": True,
        "write": False,
    }


REFUSED = [
    ("expired", errors.ExpiredError, "expired at"),
    ("another container", errors.DeniedError, "refused"),
    ("cut signature", errors.DeniedError, "refused"),
    ("no such blob", errors.NotFoundError, "does not exist"),
    ("nobody there", errors.UnreachableError, "cannot be reached"),
    ("name taken", errors.ExistsError, "already"),
    ("name of no form", errors.BadRequestError, "cannot name"),
    ("a protocol's name", errors.BadRequestError, "cannot name"),
]


@pytest.mark.parametrize(("what", "kind", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_refusal_writes_nothing_and_shows_no_secret(
    azurite: Azurite, container: ContainerClient, file: Path, what: str, kind: type[GpuExtError], message: str
) -> None:
    link, name = container_link(container), None
    if what == "expired":
        link = container_link(container, lasts=timedelta(minutes=-1))
    elif what == "another container":
        link = link.replace(container.container_name, azurite.new_container().container_name)
    elif what == "cut signature":
        link = link.replace("sig=", "sig=AAAA")
    elif what == "no such blob":
        link = blob_link(container, "none.pt")
    elif what == "nobody there":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            link = link.replace(str(azurite.port), str(probe.getsockname()[1]))
    else:
        name = {"name taken": "taken", "name of no form": "Not A Name", "a protocol's name": "az"}[what]
        file.write_text('[connections.taken]\nroot = "/mnt"\n')
    before = {path.name for path in file.parent.iterdir()}
    with pytest.raises(kind, match=message) as refused:
        jg.connect(link, name)
    assert refused.value.hint
    assert {path.name for path in file.parent.iterdir()} == before
    assert_clean("".join(traceback.format_exception(refused.value)), signature(link))


def test_an_expired_connection_asks_nothing(azurite: Azurite, container: ContainerClient, file: Path) -> None:
    jg.connect(container_link(container), "weights")
    with canary() as (port, hits):
        text = file.read_text().replace(str(azurite.port), str(port))
        file.write_text(text)
        place = file.parent / connections_file.SECRETS / "weights"
        place.write_text(container_link(container, lasts=timedelta(minutes=-1)).partition("?")[2])
        for use in (
            lambda: jg.ls("weights://"),
            lambda: LOOP.run(open_reader("weights://top.pt")),
            lambda: jg.connect("weights://"),
        ):
            with pytest.raises(errors.ExpiredError, match="behind weights expired at"):
                use()
        assert hits == []
        place.write_text(container_link(container).partition("?")[2])
        with pytest.raises(GpuExtError):
            jg.ls("weights://")
        assert hits, "a link that is valid is asked with"


def test_link_that_is_not_valid_yet(container: ContainerClient) -> None:
    with pytest.raises(errors.DeniedError, match="not valid before"):
        jg.connect(container_link(container).replace("?", "?st=2099-01-01&"))


@pytest.mark.parametrize("link", [*(f"http://{host}:9000/bucket/x" for host in METADATA), *OTHERS])
def test_a_link_that_leads_elsewhere_is_never_asked(link: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with canary() as (port, hits):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        with pytest.raises(GpuExtError) as refused:
            jg.connect(link.replace("{port}", str(port)))
        assert refused.value.code == "bad_request"
        assert hits == []
    assert not file.exists()


def test_the_canary_sings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that may be asked is asked through the very proxy that counts the others."""
    with canary() as (port, hits):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "")
        link = "https://mystorage.blob.core.windows.net/models?sv=1&sr=c&sp=rl&sig=" + "A" * 43
        # The first request is enough; the client's further ones are not waited for.
        with pytest.raises((GpuExtError, TimeoutError)):
            LOOP.run(asyncio.wait_for(try_link(link, name=None, read_only=True, save=False), 2))
        assert hits


def test_a_name_that_resolves_to_metadata_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    # No name on this machine stands for such an address, so the resolver's answer is set.
    monkeypatch.setattr(
        addresses.check_resolved, "__defaults__", (lambda *_, **__: [(2, 1, 6, "", ("169.254.169.254", 0))],)
    )
    with canary() as (port, hits):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        with pytest.raises(errors.BadRequestError, match="metadata"):
            jg.connect("https://storage.innocent.example/models?sv=1&sr=c&sp=rl&sig=" + "A" * 43)
        assert hits == []


def test_a_far_place_is_said_to_be_slow(container: ContainerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "NEAR_SECONDS", 0.0)
    assert "probably in another region: slow, and billed" in str(jg.connect(container_link(container)))


def test_a_link_is_asked_for_unseen(container: ContainerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getpass", lambda _: container_link(container))
    assert jg.connect(name="weights").saved

    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", nobody)
    with pytest.raises(errors.UsageError, match="nobody to ask"):
        jg.connect()


def test_disconnect(container: ContainerClient, file: Path) -> None:
    file.write_text('# mine\n[connections.disk]\nroot = "/mnt"\n')
    jg.connect(container_link(container), "weights")
    jg.disconnect("weights")
    assert file.read_text().strip() == '# mine\n[connections.disk]\nroot = "/mnt"'
    assert list((file.parent / connections_file.SECRETS).iterdir()) == []
    with pytest.raises(errors.NotFoundError):
        jg.disconnect("weights")


def test_disconnect_leaves_a_secret_that_lies_elsewhere(tmp_path: Path, file: Path) -> None:
    (tmp_path / "key").write_text("x")
    file.write_text(f'[connections.weights]\nroot = "/mnt"\nsecret = "file:{tmp_path}/key"\n')
    jg.disconnect("weights")
    assert (tmp_path / "key").exists()


def test_nothing_shows_the_secret(
    azurite: Azurite, container: ContainerClient, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link, text = container_link(container), connection_string(azurite)
    wrong = text.replace(AZURITE_KEY, "d3Jvbmcga2V5IHdyb25nIGtleSB3cm9uZyBrZXk=")
    shown: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for name in ("azure", "urllib3", "aiohttp", "asyncio", "obstore", "jupyter_gpu_ext"):
            caplog.set_level(logging.DEBUG, logger=name)
        for name, pasted in {"by-link": link, "by-key": text, "wrong": wrong}.items():
            try:
                made: Any = jg.connect(pasted, name)
                shown += [repr(pickle.dumps(made)), json.dumps(made.to_json()), str(jg.ls(f"{name}://"))]
            except GpuExtError as error:
                assert name == "wrong"
                made = error
                shown.append("".join(traceback.format_exception(error)))
            shown += [repr(made), str(made), repr(vars(made) if hasattr(made, "__dict__") else made)]
        LOOP.run(open_reader(f"by-key://{container.container_name}/top.pt"))
        LOOP.run(open_reader("by-link://top.pt"))
    assert caplog.records, "the clients log at DEBUG; a test without records shows nothing"
    shown += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    shown += [str(jg.ls()), json.dumps(jg.ls().to_json()), file.read_text()]
    secrets = file.parent / connections_file.SECRETS
    shown += [path.read_text() for path in file.parent.rglob("*") if path.is_file() and path.parent != secrets]
    assert {path.name for path in secrets.iterdir()} == {"by-link", "by-key"}
    for one in shown:
        assert_clean(one, AZURITE_KEY, signature(link), "d3Jvbmcga2V5IHdyb25nIGtleSB3cm9uZyBrZXk=")
