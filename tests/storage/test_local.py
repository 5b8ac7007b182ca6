"""A folder of this machine, which the connection never leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, DeniedError, GpuExtError, NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.local import LocalBackend
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import write_connections
from tests.contracts.storage_backend import ODD_NAMES, StorageBackendSuite

if TYPE_CHECKING:
    from tests.conftest import Store


class TestLocalBackend(StorageBackendSuite):
    knows_folders = True
    # Azure makes a slash of it, a file system keeps it.
    odd_names = (*ODD_NAMES, "back\\slash")

    @pytest.fixture
    def store(self, local_store: Store) -> Store:
        return local_store

    def test_truncated_while_it_is_read(self, store: Store) -> None:
        opened = backend(connections.load().find(store.name))
        store.put("x", b"0123456789")
        _, version = LOOP.run(opened.first("x", 1))
        os.truncate(store.folder / "x", 3)
        with pytest.raises(ObjectChangedError):
            LOOP.run(opened.read_into("x", version, 0, memoryview(bytearray(10))))


@pytest.fixture
def walled(local_store: Store, tmp_path: Path) -> Store:
    """A root beside what must not be read: a sibling with the same start, a file above, links to both."""
    (tmp_path / "disk-secret").mkdir()
    (tmp_path / "disk-secret" / "x").write_bytes(b"secret")
    (tmp_path / "above").write_bytes(b"secret")
    local_store.put("in/x", b"inside")
    (local_store.folder / "out").symlink_to(tmp_path / "disk-secret")
    (local_store.folder / "file-out").symlink_to(tmp_path / "above")
    (local_store.folder / "passwd").symlink_to("/etc/passwd")
    (local_store.folder / "link-in").symlink_to(local_store.folder / "in")
    (local_store.folder / "nowhere").symlink_to(tmp_path / "missing")
    return local_store


@pytest.mark.parametrize(
    "key",
    [
        "..", "../above", "../disk-secret/x", "in/../../above", "./in/x", "in//x", "in/./x", "/etc/passwd", "//etc",
        "out/x", "out", "file-out", "passwd", "..%2fabove", "in/x/", "in/x/y", "in", "in/",
    ],
)  # fmt: skip
def test_root_is_a_wall(walled: Store, key: str) -> None:
    with pytest.raises((BadRequestError, DeniedError, NotFoundError)) as caught:
        LOOP.run(open_reader(f"disk://{key}"))
    assert type(caught.value).__module__ == "jupyter_gpu_ext.errors"
    with pytest.raises(GpuExtError):
        LOOP.run(backend(connections.load().find("disk")).head(key))


@pytest.mark.parametrize("prefix", ["../", "../disk-secret/", "out/", "in/../../", "//", "/etc/"])
def test_listing_stays_in_the_root(walled: Store, prefix: str) -> None:
    with pytest.raises((BadRequestError, DeniedError)):
        jg.ls(f"disk://{prefix}")


def test_links(walled: Store) -> None:
    assert LOOP.run(open_reader("disk://link-in/x")).head == b"inside"
    rows = {entry.name: (entry.kind, entry.unreadable) for entry in jg.ls("disk://").page.entries}
    assert rows["link-in"] == ("folder", None)
    assert rows["nowhere"][1]
    for name in ("out", "file-out", "passwd"):
        assert rows[name] == ("object", "a link that leads out of the connection")


@pytest.mark.parametrize("through", ["out/x", "file-out", "link-in/x"])
def test_a_link_that_is_changed_after_the_look(walled: Store, monkeypatch: pytest.MonkeyPatch, through: str) -> None:
    """What was opened counts: the look before it is left out, as if the link had been another one by then."""
    monkeypatch.setattr(LocalBackend, "_path", lambda self, key: self._root / key)
    if through == "link-in/x":
        assert LOOP.run(open_reader(f"disk://{through}")).head == b"inside"
        return
    with pytest.raises((DeniedError, NotFoundError)) as caught:
        LOOP.run(open_reader(f"disk://{through}"))
    assert isinstance(caught.value, DeniedError) == (walled.folder / through).exists()


def test_name_that_is_too_long(local_store: Store) -> None:
    with pytest.raises(BadRequestError, match="too long"):
        LOOP.run(open_reader(f"disk://{'x' * 300}"))


def test_root_may_be_a_link(local_store: Store, tmp_path: Path) -> None:
    local_store.put("x", b"inside")
    (tmp_path / "alias").symlink_to(local_store.folder)
    write_connections(tmp_path / "connections.toml", alias={"root": str(tmp_path / "alias")})
    assert LOOP.run(open_reader("alias://x")).head == b"inside"
    assert [entry.unreadable for entry in jg.ls("alias://").page.entries] == [None]


def test_pipe_does_not_wait_for_its_writer(local_store: Store) -> None:
    os.mkfifo(local_store.folder / "pipe")
    with pytest.raises(BadRequestError, match="pipe"):
        LOOP.run(open_reader("disk://pipe"))
    with pytest.raises(BadRequestError, match="pipe"):
        LOOP.run(open_reader("/dev/zero"))


def test_name_that_is_no_text_is_shown_and_not_opened(local_store: Store) -> None:
    Path(os.fsdecode(os.fsencode(local_store.folder) + b"/bad\xff")).write_bytes(b"x")
    local_store.put("good", b"x")
    listing = jg.ls("disk://")
    assert {entry.name: bool(entry.unreadable) for entry in listing.page.entries} == {"bad\ufffd": True, "good": False}
    str(listing).encode()


def test_line_breaks_and_marks_in_names_do_not_reach_the_screen(local_store: Store) -> None:
    local_store.put("two\nlines\x1b[31m", b"x")
    local_store.put("tx\u202egpj.exe", b"x")
    shown = str(jg.ls("disk://"))
    assert len(shown.splitlines()) == 2
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_paths_without_a_connection(local_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    local_store.put("sub/a b#c.bin", b"content")
    path = local_store.folder / "sub" / "a b#c.bin"
    monkeypatch.chdir(local_store.folder)
    monkeypatch.setenv("HOME", str(local_store.folder))
    for text in (str(path), path, "./sub/a b#c.bin", "~/sub/a b#c.bin", f"file://{path}"):
        assert LOOP.run(open_reader(text)).head == b"content"
    assert [entry.name for entry in jg.ls(str(path.parent)).page.entries] == ["a b#c.bin"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_this_user_may_not_read(local_store: Store) -> None:
    local_store.put("x", b"1")
    (local_store.folder / "x").chmod(0)
    with pytest.raises(DeniedError, match="may not read or write"):
        LOOP.run(open_reader("disk://x"))


def test_missing_root(local_store: Store) -> None:
    local_store.folder.rmdir()
    with pytest.raises(NotFoundError, match="is missing"):
        jg.ls("disk://")
