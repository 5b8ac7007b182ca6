"""Anything that fsspec opens, with fsspec's own memory file system as the real part."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import fsspec
import pytest

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, GpuExtError, NotInstalledError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend, writable
from jupyter_gpu_ext.storage.loop import LOOP
from tests.conftest import Store, write_connections
from tests.contracts.storage_backend import ODD_NAMES, StorageBackendSuite

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import Backend


@dataclass(frozen=True)
class FsspecStore(Store):
    root: str = ""

    def put(self, key: str, data: bytes) -> None:
        fsspec.filesystem("memory").pipe_file(f"{self.root}/{key}", data)


@pytest.fixture
def memory_root(tmp_path: Path) -> FsspecStore:
    root = f"/{uuid.uuid4().hex}"
    fields = {"root": f"memory:/{root}", "fsspec": "memory", "read_only": False}
    write_connections(tmp_path / "connections.toml", any=fields)
    return FsspecStore("any", root=root)


class TestFsspecBackend(StorageBackendSuite):
    odd_names = (*ODD_NAMES, "back\\slash", "two\nlines", "\u202eexe.txt", "\u00e9")

    @pytest.fixture
    def store(self, memory_root: FsspecStore) -> FsspecStore:
        return memory_root

    @pytest.mark.parametrize("key", ["a//b", "dir/", "/lead", "../x", "./y", "a/../../b", ""])
    def test_names_that_would_become_others(self, store: FsspecStore, opened: Backend, key: str) -> None:
        for name in ("a/b", "dir", "lead", "x", "y"):
            store.put(name, b"another")
        with pytest.raises(GpuExtError):
            LOOP.run(opened.first(key, 9))


def test_is_not_written_to(memory_root: FsspecStore) -> None:
    with pytest.raises(DeniedError, match="only read"):
        writable(connections.load().find("any"))


def test_protocol_that_nothing_opens(tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", odd={"root": "nowhere://x", "fsspec": "nowhere"})
    with pytest.raises(NotInstalledError, match="cannot open 'nowhere'"):
        LOOP.run(backend(connections.load().find("odd")).head("x"))


@pytest.mark.parametrize("protocol", ["reference", "file", "local", "simplecache", "dir", "zip", "http", "generic"])
def test_protocols_that_are_never_opened(tmp_path: Path, protocol: str) -> None:
    write_connections(tmp_path / "connections.toml", odd={"root": f"{protocol}://x", "fsspec": protocol})
    with pytest.raises(BadRequestError, match="cannot be read through fsspec"):
        connections.load().find("odd")
