"""Azure, against Azurite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import Azurite, azure_fields, write_connections
from tests.contracts.storage_backend import ODD_NAMES, StorageBackendSuite

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import Backend
    from tests.conftest import Store


class TestAzureBackend(StorageBackendSuite):
    has_twins = True
    # What only an object store has: empty and dot-like segments, and a slash at either end.
    odd_names = (*ODD_NAMES, "a//b", "dir/", "c///", "x/.../y", "trailing.")

    @pytest.fixture
    def store(self, azure_store: Store) -> Store:
        return azure_store

    def test_leading_slash(self, store: Store, opened: Backend) -> None:
        store.put("/lead", b"with")
        store.put("lead", b"without")
        assert LOOP.run(opened.first("/lead", 9))[0] == b"with"
        assert LOOP.run(opened.first("lead", 9))[0] == b"without"
        assert [entry.key for entry in self.page(store).entries] == ["/", "lead"]
        assert [entry.key for entry in self.page(store, "/").entries] == ["/lead"]


def test_whole_account(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    azure_store.put("folder/x", b"12345")
    container = azure_store.container.container_name
    write_connections(tmp_path / "connections.toml", all={**azure_fields(azurite, container), "root": "az://"})
    assert container in {entry.name for entry in jg.ls("all://", limit=1000).page.entries}
    assert [entry.key for entry in jg.ls(f"all://{container}/folder").page.entries] == [f"{container}/folder/x"]
    assert LOOP.run(open_reader(f"all://{container}/folder/x")).head == b"12345"
    with pytest.raises(BadRequestError, match="names no blob"):
        LOOP.run(open_reader(f"all://{container}"))


@pytest.mark.parametrize("prefix", ["models/prod", "a//b", "with space/100%"])
def test_root_with_a_prefix(azurite: Azurite, azure_store: Store, tmp_path: Path, prefix: str) -> None:
    azure_store.put(f"{prefix}/sub/x", b"12345")
    azure_store.put("sub/x", b"outside")
    container = azure_store.container.container_name
    root = f"az://{container}/{prefix}"
    write_connections(tmp_path / "connections.toml", below={**azure_fields(azurite, container), "root": root})
    assert [entry.key for entry in jg.ls("below://").page.entries] == ["sub/"]
    assert [entry.key for entry in jg.ls("below://sub/").page.entries] == ["sub/x"]
    assert LOOP.run(open_reader("below://sub/x")).head == b"12345"


def test_one_client_a_connection(azure_store: Store) -> None:
    found = connections.load().find(azure_store.name)
    assert backend(found) is backend(connections.load().find(azure_store.name))


def test_public_container_without_a_secret(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    azure_store.container.set_container_access_policy({}, public_access="container")
    azure_store.put("x y#z", b"public")
    fields = azure_fields(azurite, azure_store.container.container_name)
    del fields["secret"]
    write_connections(tmp_path / "connections.toml", open={**fields, "credential": "anonymous"})
    assert LOOP.run(open_reader("open://x y#z")).head == b"public"
    assert [entry.key for entry in jg.ls("open://").page.entries] == ["x y#z"]
