"""A new link for a connection that stands: the same place and name, another secret, or nothing at all."""

from __future__ import annotations

import stat
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext import errors
from jupyter_gpu_ext.errors import BadRequestError, GpuExtError
from jupyter_gpu_ext.storage import connections_file
from jupyter_gpu_ext.storage.credentials import Secret
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, Azurite, azure_fields, write_connections
from tests.storage.signed import account_token, assert_clean, blob_link, container_link, signature

if TYPE_CHECKING:
    from pathlib import Path

    from azure.storage.blob import ContainerClient

    from jupyter_gpu_ext.storage.connect import Connected


@pytest.fixture
def container(azurite: Azurite) -> ContainerClient:
    made = azurite.new_container()
    made.upload_blob("llama/model.safetensors", b"0123456789")
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the secret of `weights` lies."""
    return tmp_path / connections_file.SECRETS / "weights"


def renew(link: str, *, save: bool = True) -> Connected:
    return jg.connect(link, "weights", save=save, renew=True)


def lapse(container: ContainerClient, place: Path) -> str:
    """Let the link behind `weights` be one that has ended."""
    old = container_link(container, lasts=timedelta(minutes=-1)).partition("?")[2]
    place.write_text(old + "\n")
    return old


@pytest.mark.parametrize("path", ["", "/llama"])
def test_an_expired_connection_works_again_under_its_name(
    container: ContainerClient, tmp_path: Path, place: Path, path: str
) -> None:
    jg.connect(container_link(container, path), "weights")
    table = (tmp_path / "connections.toml").read_bytes()
    lapse(container, place)
    with pytest.raises(errors.ExpiredError):
        jg.ls("weights://")
    link = container_link(container, lasts=timedelta(hours=5, minutes=1))
    made = renew(link)
    assert (made.connection.name, made.key, made.saved) == ("weights", "", True)
    assert "expires in 5 h" in str(made)
    assert "1 name" in str(made)
    jg.ls("weights://")
    assert (tmp_path / "connections.toml").read_bytes() == table
    assert place.read_text() == link.partition("?")[2] + "\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert list(place.parent.iterdir()) == [place]


def test_only_tried_unless_saved(container: ContainerClient, place: Path) -> None:
    jg.connect(container_link(container), "weights")
    old = lapse(container, place)
    assert not renew(container_link(container), save=False).saved
    assert place.read_text() == old + "\n"


@pytest.mark.parametrize(("path", "key"), [("", "llama/model.safetensors"), ("/llama", "model.safetensors")])
def test_a_link_to_one_object_counts_from_the_connection_s_root(
    container: ContainerClient, path: str, key: str
) -> None:
    jg.connect(container_link(container, path), "weights")
    made = renew(blob_link(container, "llama/model.safetensors"), save=False)
    assert (made.key, made.one_object) == (key, key)
    assert [(check.what, check.ok) for check in made.trial.checks] == [("read", True)]


def refused_links(azurite: Azurite, container: ContainerClient) -> dict[str, tuple[str, str]]:
    """Return what may not renew a connection to the folder llama of a container, and how that is said."""
    other = azurite.new_container()
    other.upload_blob("x", b"x")
    container.upload_blob("top.pt", b"abc")
    name = container.container_name
    good = container_link(container)
    return {
        "another container": (container_link(other), f"opens {other.container_name} of .* is {name} of"),
        "another account": (good.replace(AZURITE_ACCOUNT, "devstoreaccount2"), "of devstoreaccount2, and"),
        "another host": (good.replace("127.0.0.1", "localhost"), "opens .* and weights is"),
        "the whole account": (f"{azurite.endpoint}?{account_token()}", f"opens all of .* is {name} of"),
        "another object": (blob_link(container, "top.pt"), "does not lie in az://"),
        "no secret": (f"https://{AZURITE_ACCOUNT}.blob.core.windows.net/{name}", "no secret"),
        "a folder": ("/tmp", "no secret"),
        "no link": ("good morning", "no link"),
        "ended": (container_link(container, lasts=timedelta(minutes=-1)), "expired at"),
        "cut": (good.replace("sig=", "sig=AAAA"), "refused|signature"),
        "too little": (container_link(container, rights="w"), "refused"),
    }


def test_a_refused_link_changes_nothing_and_is_not_shown(
    azurite: Azurite, container: ContainerClient, tmp_path: Path, place: Path
) -> None:
    jg.connect(container_link(container, "/llama"), "weights")
    old = lapse(container, place)
    table = (tmp_path / "connections.toml").read_bytes()
    for case, (link, words) in refused_links(azurite, container).items():
        with pytest.raises(GpuExtError, match=words) as refused:
            renew(link)
        assert refused.value.hint, case
        assert place.read_text() == old + "\n", case
        assert (tmp_path / "connections.toml").read_bytes() == table, case
        if "sig=" in link:
            assert_clean(f"{refused.value!r} {refused.value.hint}", signature(link))


def test_a_secret_that_a_person_keeps_is_left_to_the_person(
    azurite: Azurite, container: ContainerClient, tmp_path: Path
) -> None:
    kept = tmp_path / "mine"
    for where in (f"file:{kept}", "env:WEIGHTS_LINK"):
        fields = {**azure_fields(azurite, container.container_name), "credential": "sas", "secret": where}
        write_connections(tmp_path / "connections.toml", weights=fields)
        with pytest.raises(BadRequestError, match=where.partition(":")[2]):
            renew(container_link(container))
    assert not kept.exists()


def test_a_rotated_key_is_renewed_alike(azurite: Azurite, container: ContainerClient, place: Path) -> None:
    text = f"AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};BlobEndpoint={azurite.endpoint};"
    jg.connect(text, "weights")
    place.write_text("A" * 86 + "==\n")
    renew(text)
    assert place.read_text() == f"{AZURITE_KEY}\n"
    with pytest.raises(BadRequestError, match=r"opened by the account key of .* this is the SAS link of"):
        renew(f"{azurite.endpoint}?{account_token()}")


def test_a_connection_that_is_not_there_or_goes_meanwhile(container: ContainerClient, tmp_path: Path) -> None:
    with pytest.raises(errors.NotFoundError):
        renew(container_link(container))
    jg.connect(container_link(container), "weights")
    file = tmp_path / "connections.toml"
    secret = jg.connect(container_link(container), "other").connection  # its own place is another's
    with pytest.raises(BadRequestError, match="kept by hand"):
        connections_file.check_kept(tmp_path / "elsewhere" / "connections.toml", secret)
    connections_file.remove(file, "weights")
    with pytest.raises(errors.NotFoundError, match="any more"):
        connections_file.renew(file, "weights", Secret("sig"))
    assert not (tmp_path / connections_file.SECRETS / "weights").exists()
