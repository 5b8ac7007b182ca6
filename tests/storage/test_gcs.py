"""Google Cloud Storage, read from fake-gcs-server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import DeniedError, NoCredentialError, NotFoundError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import writable
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import write_connections
from tests.contracts.storage_backend import ODD_NAMES, StorageBackendSuite
from tests.storage.clouds import gcs_fields

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import Backend
    from tests.storage.clouds import GCSStore


class TestGCSBackend(StorageBackendSuite):
    has_twins = True
    odd_names = (*ODD_NAMES, "a//b", "dir/", "c///", "x/.../y", "./y", "../x", "two\nlines", "\u202eexe.txt", "\u00e9")

    @pytest.fixture
    def store(self, gcs_store: GCSStore) -> GCSStore:
        return gcs_store

    def test_leading_slash(self, store: GCSStore, opened: Backend) -> None:
        store.put("/lead", b"with")
        store.put("lead", b"without")
        assert LOOP.run(opened.first("/lead", 9))[0] == b"with"
        assert LOOP.run(opened.first("lead", 9))[0] == b"without"


def test_whole_project_and_search(gcs_store: GCSStore, tmp_path: Path) -> None:
    gcs_store.put("folder/x1", b"12345")
    gcs_store.put("folder/y", b"12345")
    write_connections(tmp_path / "connections.toml", all={**gcs_fields(gcs_store), "root": "gs://"})
    assert gcs_store.bucket in {entry.name for entry in jg.ls("all://", limit=1000).page.entries}
    assert [entry.key for entry in jg.ls(f"all://{gcs_store.bucket}/folder").page.entries] == [
        f"{gcs_store.bucket}/folder/{name}" for name in ("x1", "y")
    ]
    assert LOOP.run(open_reader(f"all://{gcs_store.bucket}/folder/x1")).head == b"12345"


def test_missing_bucket(gcs_store: GCSStore, tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", none={**gcs_fields(gcs_store), "root": "gs://not-there"})
    with pytest.raises(NotFoundError):
        jg.ls("none://")


def test_is_not_written_to(gcs_store: GCSStore, tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", google={**gcs_fields(gcs_store), "read_only": False})
    with pytest.raises(DeniedError, match="only read"):
        writable(connections.load().find("google"))


@pytest.mark.parametrize("secret", ["no json", '{"type": "service_account"}', "[]", '{"private_key": "canary"}'])
def test_wrong_service_account(
    gcs_store: GCSStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("GOOGLE_KEY", secret)
    fields = {**gcs_fields(gcs_store), "credential": "service-account", "secret": "env:GOOGLE_KEY"}
    write_connections(tmp_path / "connections.toml", google=fields)
    with pytest.raises(NoCredentialError, match="no key of a service account") as caught:
        jg.ls("google://")
    assert "canary" not in str(caught.value)


def test_no_credentials_of_this_machine(gcs_store: GCSStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    write_connections(tmp_path / "connections.toml", google={**gcs_fields(gcs_store), "credential": "default"})
    with pytest.raises(NoCredentialError, match="finds no Google credentials"):
        jg.ls("google://")
