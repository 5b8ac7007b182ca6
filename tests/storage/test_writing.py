"""Writing, removing, copying and searching, on each kind of storage."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, ExistsError, GpuExtError, ObjectChangedError
from jupyter_gpu_ext.storage import blocks, connections, local_upload, memory
from jupyter_gpu_ext.storage.backends import backend, writable
from jupyter_gpu_ext.storage.listing import list_page
from jupyter_gpu_ext.storage.loop import LOOP
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Store, azure_fields, write_connections
from tests.contracts.storage_backend import ODD_NAMES, StorageBackendSuite
from tests.contracts.storage_writing import StorageWritingSuite

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import Entry
    from tests.conftest import Azurite


class TestAzureWriting(StorageWritingSuite):
    @pytest.fixture
    def store(self, azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        container = azurite.new_container()
        monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
        fields = azure_fields(azurite, container.container_name)
        write_connections(tmp_path / "connections.toml", weights={**fields, "read_only": False})
        return Store("weights", container=container)


class TestLocalWriting(StorageWritingSuite):
    keeps_metadata = False

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        folder = tmp_path / "disk"
        folder.mkdir()
        write_connections(tmp_path / "connections.toml", disk={"root": str(folder), "read_only": False})
        return Store("disk", folder=folder)


class MemoryStore(Store):
    """Writes through the backend: there is no other client of a process's own memory."""

    def put(self, key: str, data: bytes) -> None:
        opened = backend(connections.load().find(self.name)).inner
        opened._objects[key] = memory._Object(data, {})


@pytest.fixture
def memory_store(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    root = f"memory://{request.node.name}"
    write_connections(tmp_path / "connections.toml", ram={"root": root, "read_only": False})
    return MemoryStore("ram")


class TestMemoryWriting(StorageWritingSuite):
    @pytest.fixture
    def store(self, memory_store: Store) -> Store:
        return memory_store


class TestMemoryReading(StorageBackendSuite):
    has_twins = True
    odd_names = (*ODD_NAMES, "a//b", "dir/", "c///", "x/.../y", "trailing.", "back\\slash", "two\nlines", "\u202eexe")

    @pytest.fixture
    def store(self, memory_store: Store) -> Store:
        return memory_store


class TestFoldersOfAzure:
    """Marker blobs and prefixes of one name are one row, wherever a page ends."""

    @pytest.fixture
    def store(self, azure_store: Store) -> Store:
        container = azure_store.container
        for name in ("dir", "empty", "plain"):
            container.upload_blob(name, b"", metadata={"hdi_isfolder": "true"} if name != "plain" else None)
        for name in ("dir/x", "dir-1", "dir-2", "dir-3", "dir!", "plain/x"):
            container.upload_blob(name, b"1")
        container.upload_blob("slash/", b"")
        container.upload_blob("slash/x", b"1")
        return azure_store

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 7, 200])
    def test_one_row_a_folder(self, store: Store, limit: int) -> None:
        found, token = [], None
        while True:
            page = LOOP.run(list_page(connections.load().find(store.name), "", limit=limit, token=token))
            assert len(page.entries) <= limit
            found += [(row.kind, row.key) for row in page.entries]
            if (token := page.next_token) is None:
                break
        assert sorted(found) == sorted(
            [("folder", key) for key in ("dir/", "empty/", "plain/", "slash/")]
            + [("object", key) for key in ("dir-1", "dir-2", "dir-3", "dir!", "plain")]
        )

    def test_marker_is_no_row_of_its_own_folder(self, store: Store) -> None:
        page = LOOP.run(list_page(connections.load().find(store.name), "slash/"))
        assert [row.key for row in page.entries] == ["slash/x"]

    def test_archived(self, store: Store) -> None:
        from azure.storage.blob import StandardBlobTier

        store.container.upload_blob("cold", b"1", standard_blob_tier=StandardBlobTier.ARCHIVE)
        page = LOOP.run(list_page(connections.load().find(store.name), "", search="cold"))
        assert [(row.tier, row.unreadable) for row in page.entries] == [("Archive", "archived: cannot be read")]


def test_names_of_azure_that_would_become_others(azure_store: Store) -> None:
    opened = backend(connections.load().find(azure_store.name))
    exact = ("/lead", "a//b", "two\nlines", "tab\t", "\u202eexe.txt", "\u00e9", "e\u0301")
    for key in ("lead", "a/b", *exact):
        azure_store.put(key, key.encode())
    for key in exact:
        assert LOOP.run(opened.first(key, 99))[0] == key.encode(), key


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.prove)])
def test_killed_writer_leaves_nothing_to_see(tmp_path: Path, count: int) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "old").write_bytes(b"old")
    write_connections(tmp_path / "connections.toml", disk={"root": str(folder), "read_only": False})
    seeded = random.Random(1)
    for _ in range(count):
        writer = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"begun\n"
        time.sleep(seeded.random() * 0.05)
        writer.kill()
        writer.wait()
        writer.stdout.close()
        assert (folder / "old").read_bytes() in (b"old", NEW), "whole, the old one or the new one"
        if (folder / "new").exists():
            assert (folder / "new").read_bytes() == NEW
            (folder / "new").unlink()
        page = LOOP.run(list_page(connections.load().find("disk"), ""))
        assert [row.key for row in page.entries] == ["old"]


NEW = b"n" * 3_000_000
WRITER = f"""
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import writable
from jupyter_gpu_ext.storage.loop import LOOP
async def write():
    disk = writable(connections.load().find("disk"))
    for key in ("new", "old"):
        upload = await disk.begin(key, overwrite=True, size_bytes={len(NEW)})
        print("begun", flush=True)
        await upload.put(0, b"n" * {len(NEW)})
        await upload.commit(metadata={{}})
LOOP.run(write())
"""


@pytest.mark.parametrize("overwrite", [False, True])
def test_of_many_writers_one_wins(tmp_path: Path, overwrite: bool) -> None:
    write_connections(tmp_path / "connections.toml", disk={"root": str(tmp_path / "disk"), "read_only": False})
    (tmp_path / "disk").mkdir()
    if overwrite:
        (tmp_path / "disk" / "x").write_bytes(b"old")
    opened = writable(connections.load().find("disk"))

    async def race() -> list[Entry | BaseException]:
        uploads = [await opened.begin("x", overwrite=overwrite, size_bytes=1) for _ in range(8)]
        for index, upload in enumerate(uploads):
            await upload.put(0, b"%d" % index)
        return await asyncio.gather(*(upload.commit(metadata={}) for upload in uploads), return_exceptions=True)

    results = LOOP.run(race())
    winners = [index for index, result in enumerate(results) if not isinstance(result, BaseException)]
    assert len(winners) == 1
    assert (tmp_path / "disk" / "x").read_bytes() == b"%d" % winners[0]
    losers = {type(result) for index, result in enumerate(results) if index != winners[0]}
    assert losers == {ObjectChangedError if overwrite else ExistsError}


def test_folder_that_cannot_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No file system of a test machine lacks hard links, so their refusal is simulated.
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "whole").write_bytes(b"new")
    local_upload.rename(tmp_path / "whole", tmp_path / "x", replace=False)
    assert (tmp_path / "x").read_bytes() == b"new"
    (tmp_path / "whole").write_bytes(b"newer")
    with pytest.raises(FileExistsError):
        local_upload.rename(tmp_path / "whole", tmp_path / "x", replace=False)
    assert (tmp_path / "x").read_bytes() == b"new"


def test_writing_stays_in_the_root(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "out").symlink_to(tmp_path / "outside")
    write_connections(tmp_path / "connections.toml", disk={"root": str(tmp_path / "disk"), "read_only": False})
    opened = writable(connections.load().find("disk"))
    (tmp_path / "disk" / "x").write_bytes(b"1")
    for key in ("../y", "out/y", "a/../../y", "/etc/y", "./y"):
        for work in (
            opened.begin(key, overwrite=True, size_bytes=1),
            opened.copy("x", key, overwrite=True),
            opened.copy(key, "z", overwrite=True),
            opened.delete(key),
            opened.make_folder(f"{key}/"),
        ):
            with pytest.raises(GpuExtError):
                LOOP.run(work)
    assert not any((tmp_path / "outside").iterdir())
    assert [path.name for path in (tmp_path / "disk").iterdir() if path.name != "out"] == ["x"]


def test_read_only_is_the_rule(local_store: Store) -> None:
    with pytest.raises(DeniedError, match="'disk' is read-only") as caught:
        writable(connections.load().find("disk"))
    assert "read_only = false" in caught.value.hint


@given(size=st.one_of(st.none(), st.integers(0, 5 * 2**40)), most=st.sampled_from([10_000, 50_000]))
def test_blocks_hold_the_object(size: int | None, most: int) -> None:
    block = blocks.block_size(size, most_blocks=most)
    assert block % blocks.MIB == 0
    assert block >= blocks.USUAL_BYTES
    assert block * most >= (size or 0)
    assert block == blocks.USUAL_BYTES or size is None or (block - blocks.MIB) * most < size


@given(sizes=st.dictionaries(st.integers(0, 6), st.integers(1, 4)), said=st.one_of(st.none(), st.integers(0, 30)))
def test_whole_is_whole(sizes: dict[int, int], said: int | None) -> None:
    total = sum(sizes.values())
    whole = sorted(sizes) == list(range(len(sizes))) and all(sizes[index] == 4 for index in range(len(sizes) - 1))
    if whole and said in (None, total):
        assert blocks.check_whole(sizes, block_bytes=4, size_bytes=said) == total
    else:
        with pytest.raises(BadRequestError):
            blocks.check_whole(sizes, block_bytes=4, size_bytes=said)
