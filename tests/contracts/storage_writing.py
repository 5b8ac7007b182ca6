"""What every backend that writes must do; a backend's tests are a subclass with a `store` fixture."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.errors import BadRequestError, ExistsError, GpuExtError, NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import writable
from jupyter_gpu_ext.storage.listing import list_page
from jupyter_gpu_ext.storage.loop import LOOP
from tests.contracts.storage_backend import ODD_NAMES

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.models import Entry, Upload, WritableBackend
    from tests.conftest import Store


class StorageWritingSuite:
    """Subclass it as `Test…`, with a fixture `store`: an empty connection of this kind with read_only = false."""

    # Where the provider keeps what `commit` was given beside the bytes.
    keeps_metadata = True
    # Where a restarted process finds the blocks again, and where an ended upload is refused by the provider.
    resumes = True

    @pytest.fixture
    def opened(self, store: Store) -> WritableBackend:
        return writable(connections.load().find(store.name))

    def keys(self, store: Store, prefix: str = "", **options: object) -> list[str]:
        return [entry.key for entry in self.entries(store, prefix, **options)]

    def entries(self, store: Store, prefix: str = "", **options: object) -> list[Entry]:
        return list(LOOP.run(list_page(connections.load().find(store.name), prefix, **options)).entries)

    def content(self, opened: WritableBackend, key: str) -> bytes:
        return LOOP.run(opened.first(key, 100_000_000))[0]

    def begin(self, opened: WritableBackend, key: str, size: int | None = None, **options: object) -> Upload:
        return LOOP.run(opened.begin(key, **{"overwrite": False, "size_bytes": size, **options}))

    def write(self, opened: WritableBackend, key: str, data: bytes, **options: object) -> Entry:
        upload = self.begin(opened, key, len(data), **options)
        if data:
            LOOP.run(upload.put(0, data))
        return LOOP.run(upload.commit(metadata={"sha256": hashlib.sha256(data).hexdigest()}))

    def several(self, opened: WritableBackend, key: str) -> tuple[Upload, list[bytes]]:
        """Return an upload of three blocks, the last one short."""
        upload = self.begin(opened, key)
        full = upload.block_bytes
        return upload, [b"a" * full, b"b" * full, b"c" * 5]

    @pytest.mark.parametrize("size", [0, 1, 1000])
    def test_write(self, store: Store, opened: WritableBackend, size: int) -> None:
        data = bytes(range(256)) * 4
        entry = self.write(opened, "new/x.bin", data[:size])
        assert (entry.kind, entry.key, entry.name, entry.size_bytes) == ("object", "new/x.bin", "x.bin", size)
        assert self.content(opened, "new/x.bin") == data[:size]
        head = LOOP.run(opened.head("new/x.bin"))
        assert (head.etag, head.size_bytes) == (entry.etag, size)
        if self.keeps_metadata:
            kept = LOOP.run(opened.metadata("new/x.bin"))
            assert kept["sha256"] == hashlib.sha256(data[:size]).hexdigest()

    def test_blocks_in_any_order_and_twice(self, store: Store, opened: WritableBackend) -> None:
        upload, blocks = self.several(opened, "x")
        LOOP.run(upload.put(2, b"wrong"[:4]))
        for index in (2, 0, 1, 0):
            LOOP.run(upload.put(index, memoryview(blocks[index])))
        assert LOOP.run(upload.received()) == {0, 1, 2}
        assert self.keys(store) == [], "nothing is to be seen before the commit"
        entry = LOOP.run(upload.commit(metadata={}))
        assert entry.size_bytes == sum(map(len, blocks))
        assert hashlib.sha256(self.content(opened, "x")).digest() == hashlib.sha256(b"".join(blocks)).digest()
        assert self.keys(store) == ["x"]

    def test_missing_block(self, store: Store, opened: WritableBackend) -> None:
        upload, blocks = self.several(opened, "x")
        LOOP.run(upload.put(0, blocks[0]))
        LOOP.run(upload.put(2, blocks[2]))
        with pytest.raises(BadRequestError, match="Block 1 is missing"):
            LOOP.run(upload.commit(metadata={}))
        assert self.keys(store) == []
        LOOP.run(upload.put(1, blocks[1]))
        assert LOOP.run(upload.commit(metadata={})).size_bytes == sum(map(len, blocks))

    @pytest.mark.parametrize("size", [3, 5])
    def test_other_size_than_was_said(self, store: Store, opened: WritableBackend, size: int) -> None:
        upload = self.begin(opened, "x", 4)
        LOOP.run(upload.put(0, b"12345"[:size]))
        with pytest.raises(BadRequestError, match=f"{size} of 4 bytes"):
            LOOP.run(upload.commit(metadata={}))
        assert self.keys(store) == []

    def test_block_that_no_upload_has(self, store: Store, opened: WritableBackend) -> None:
        upload = self.begin(opened, "x")
        for index, data in ((-1, b"x"), (10**6, b"x"), (0, b""), (0, bytes(upload.block_bytes + 1))):
            with pytest.raises(GpuExtError):
                LOOP.run(upload.put(index, data))
        assert LOOP.run(upload.received()) == set()
        LOOP.run(upload.abort())

    def test_abort(self, store: Store, opened: WritableBackend) -> None:
        upload = self.begin(opened, "x", 4)
        LOOP.run(upload.put(0, b"1234"))
        LOOP.run(upload.abort())
        LOOP.run(upload.abort())
        with pytest.raises(GpuExtError):
            LOOP.run(upload.commit(metadata={}))
        assert self.keys(store) == []

    def test_resume(self, store: Store, opened: WritableBackend) -> None:
        upload, blocks = self.several(opened, "x")
        size = sum(map(len, blocks))
        LOOP.run(upload.abort())
        upload = self.begin(opened, "x", size)
        LOOP.run(upload.put(0, blocks[0][: upload.block_bytes]))
        again = self.begin(opened, "x", size, upload_id=upload.id)
        assert (again.id, again.block_bytes) == (upload.id, upload.block_bytes)
        assert LOOP.run(again.received()) == {0}
        whole = b"".join(blocks)
        for index in range(1, -(-size // again.block_bytes)):
            LOOP.run(again.put(index, whole[index * again.block_bytes : (index + 1) * again.block_bytes]))
        LOOP.run(again.commit(metadata={}))
        assert hashlib.sha256(self.content(opened, "x")).digest() == hashlib.sha256(whole).digest()

    @pytest.mark.parametrize("upload_id", ["../../x", "0" * 16, "", "a/b"])
    def test_resume_of_nothing(self, store: Store, opened: WritableBackend, upload_id: str) -> None:
        try:
            upload = self.begin(opened, "x", 4, upload_id=upload_id)
            assert LOOP.run(upload.received()) == set()
        except (NotFoundError, BadRequestError):
            pass
        assert self.keys(store) == []

    def test_existing_object_is_kept(self, store: Store, opened: WritableBackend) -> None:
        store.put("x", b"old")
        with pytest.raises(ExistsError, match=f"{store.name}://x exists"):
            self.begin(opened, "x", 3)
        assert self.content(opened, "x") == b"old"

    def test_object_that_appears_before_the_commit_is_kept(self, store: Store, opened: WritableBackend) -> None:
        upload = self.begin(opened, "x", 3)
        LOOP.run(upload.put(0, b"new"))
        store.put("x", b"theirs")
        with pytest.raises(ExistsError):
            LOOP.run(upload.commit(metadata={}))
        assert self.content(opened, "x") == b"theirs"

    def test_overwrite(self, store: Store, opened: WritableBackend) -> None:
        store.put("x", b"old")
        self.write(opened, "x", b"newer", overwrite=True)
        self.write(opened, "y", b"first", overwrite=True)
        assert (self.content(opened, "x"), self.content(opened, "y")) == (b"newer", b"first")

    def test_overwrite_of_another_version(self, store: Store, opened: WritableBackend) -> None:
        store.put("x", b"old")
        upload = self.begin(opened, "x", 3, overwrite=True)
        LOOP.run(upload.put(0, b"new"))
        store.put("x", b"theirs")
        with pytest.raises(ObjectChangedError):
            LOOP.run(upload.commit(metadata={}))
        assert self.content(opened, "x") == b"theirs"

    @pytest.mark.parametrize("key", ["", "a/"])
    def test_key_that_names_no_object(self, store: Store, opened: WritableBackend, key: str) -> None:
        with pytest.raises(BadRequestError):
            self.begin(opened, key, 3)
        store.put("x", b"1")
        with pytest.raises(BadRequestError):
            LOOP.run(opened.copy("x", key, overwrite=True))
        assert self.keys(store) == ["x"]

    def test_delete_removes_this_object_only(self, store: Store, opened: WritableBackend) -> None:
        for key in ("foo", "foobar", "fo", "foo.d/x"):
            store.put(key, b"1")
        LOOP.run(opened.delete("foo"))
        assert sorted(self.keys(store)) == ["fo", "foo.d/", "foobar"]

    def test_delete_of_a_folder_with_something_in_it(self, store: Store, opened: WritableBackend) -> None:
        store.put("a/x", b"1")
        with pytest.raises((BadRequestError, NotFoundError)):
            LOOP.run(opened.delete("a/"))
        with pytest.raises((BadRequestError, NotFoundError)):
            LOOP.run(opened.delete("a"))
        assert self.keys(store, "a/") == ["a/x"]

    def test_delete_with_an_etag(self, store: Store, opened: WritableBackend) -> None:
        store.put("x", b"old")
        etag = LOOP.run(opened.head("x")).etag
        store.put("x", b"newer")
        with pytest.raises(ObjectChangedError, match=f"{store.name}://x was replaced"):
            LOOP.run(opened.delete("x", etag=etag))
        assert self.content(opened, "x") == b"newer"
        LOOP.run(opened.delete("x", etag=LOOP.run(opened.head("x")).etag))
        assert self.keys(store) == []

    def test_delete_of_nothing(self, store: Store, opened: WritableBackend) -> None:
        with pytest.raises(NotFoundError):
            LOOP.run(opened.delete("none"))

    def test_copy(self, store: Store, opened: WritableBackend) -> None:
        store.put("a/x", b"content")
        entry = LOOP.run(opened.copy("a/x", "b/y", overwrite=False))
        assert (entry.key, entry.name, entry.size_bytes) == ("b/y", "y", 7)
        assert entry.etag == LOOP.run(opened.head("b/y")).etag
        assert (self.content(opened, "a/x"), self.content(opened, "b/y")) == (b"content", b"content")

    def test_copy_onto_an_existing_object(self, store: Store, opened: WritableBackend) -> None:
        store.put("x", b"new")
        store.put("y", b"old")
        with pytest.raises(ExistsError, match=f"{store.name}://y exists"):
            LOOP.run(opened.copy("x", "y", overwrite=False))
        assert self.content(opened, "y") == b"old"
        LOOP.run(opened.copy("x", "y", overwrite=True))
        assert self.content(opened, "y") == b"new"

    def test_copy_of_nothing(self, store: Store, opened: WritableBackend) -> None:
        with pytest.raises(NotFoundError):
            LOOP.run(opened.copy("none", "y", overwrite=False))
        assert self.keys(store) == []

    def test_odd_names(self, store: Store, opened: WritableBackend) -> None:
        for name in ODD_NAMES:
            self.write(opened, f"odd/{name}", name.encode())
            LOOP.run(opened.copy(f"odd/{name}", f"copy/{name}", overwrite=False))
            assert self.content(opened, f"copy/{name}") == name.encode(), name
        top = {name.partition("/")[0] + "/" * ("/" in name) for name in ODD_NAMES}
        assert set(self.keys(store, "copy/")) == {f"copy/{name}" for name in top}
        for name in ODD_NAMES:
            LOOP.run(opened.delete(f"odd/{name}"))
        assert [entry for entry in self.entries(store) if entry.key == "odd/"] == [] or self.leaves(store, "odd/") == []

    def leaves(self, store: Store, prefix: str) -> list[str]:
        found = []
        for entry in self.entries(store, prefix):
            found += self.leaves(store, entry.key) if entry.kind == "folder" else [entry.key]
        return found

    def test_make_folder(self, store: Store, opened: WritableBackend) -> None:
        entry = LOOP.run(opened.make_folder("a/b/"))
        assert (entry.kind, entry.key, entry.name) == ("folder", "a/b/", "b")
        LOOP.run(opened.make_folder("a/b/"))
        assert [(row.kind, row.key) for row in self.entries(store, "a/")] == [("folder", "a/b/")]
        assert self.keys(store, "a/b/") == [], "the marker is the folder, not a row in it"
        LOOP.run(opened.delete("a/b/"))
        for key in ("", "/", "a", "x/y"):
            with pytest.raises(BadRequestError):
                LOOP.run(opened.make_folder(key))

    def test_search(self, store: Store) -> None:
        for key in ("f/train-1", "f/train-2", "f/train/x", "f/tr%", "f/test", "train-0"):
            store.put(key, b"1")
        assert sorted(self.keys(store, "f/", search="train")) == ["f/train-1", "f/train-2", "f/train/"]
        assert self.keys(store, "f/", search="tr%") == ["f/tr%"]
        assert self.keys(store, "f/", search="none") == []
        assert self.keys(store, search="tra") == ["train-0"]
        with pytest.raises(BadRequestError):
            self.keys(store, search="f/t")

    def test_search_in_pages(self, store: Store) -> None:
        for key in ("a", "b1", "b2", "b3", "c"):
            store.put(key, b"1")
        connection = connections.load().find(store.name)
        first = LOOP.run(list_page(connection, "", limit=2, search="b"))
        assert [entry.key for entry in first.entries] == ["b1", "b2"]
        second = LOOP.run(list_page(connection, "", limit=2, search="b", token=first.next_token))
        assert ([entry.key for entry in second.entries], second.next_token) == (["b3"], None)
        with pytest.raises(BadRequestError):
            LOOP.run(list_page(connection, "", limit=2, search="c", token=first.next_token))
