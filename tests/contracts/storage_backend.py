"""What every storage backend must do; a backend's tests are a subclass with a `store` fixture."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, ClassVar

import pytest

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.listing import list_page
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.models import Deep, Version

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.listing import Page
    from jupyter_gpu_ext.storage.steady import Steady
    from tests.conftest import Store

# What has a meaning in a URL, in a shell or in XML, and what encodes to more than a byte.
ODD_NAMES = (
    "with space",
    "hash#tag",
    "percent%41",
    "percent%2Fslash",
    "100%",
    "question?mark=1&b",
    "plus+sign",
    "ünï/çødé",
    "模型/权重",
    "emoji 🎛",
    "tilde~star*",
    "quote'\"<&>",
    "semi;colon:at@",
    "[0-3]{a}",
    "..hidden.",
    "e\u0301 decomposed",
)


class StorageBackendSuite:
    """Subclass it as `Test…`, with a fixture `store`: an empty connection of this kind."""

    odd_names: ClassVar[tuple[str, ...]] = ODD_NAMES
    # Where a name and a folder of the same name can stand side by side.
    has_twins: ClassVar[bool] = False
    # Where a folder that was never written to is known to be missing.
    knows_folders: ClassVar[bool] = False

    @pytest.fixture
    def opened(self, store: Store) -> Steady:
        return backend(connections.load().find(store.name))

    def page(self, store: Store, prefix: str = "", **options: object) -> Page:
        return LOOP.run(list_page(connections.load().find(store.name), prefix, **options))

    def keys(self, store: Store, prefix: str, limit: int) -> list[list[str]]:
        """Return the keys of all pages of a folder."""
        pages, token = [], None
        while True:
            page = self.page(store, prefix, limit=limit, token=token)
            pages.append([entry.key for entry in page.entries])
            if (token := page.next_token) is None:
                return pages

    def test_first_and_version(self, store: Store, opened: Steady) -> None:
        store.put("x", b"0123456789")
        data, version = LOOP.run(opened.first("x", 4))
        assert data == b"0123"
        assert version.size_bytes == 10
        assert version.etag == LOOP.run(opened.head("x")).etag

    @pytest.mark.parametrize("size", [0, 1, 3, 4, 5])
    def test_first_of_a_short_object(self, store: Store, opened: Steady, size: int) -> None:
        store.put("x", b"01234"[:size])
        data, version = LOOP.run(opened.first("x", 4))
        assert data == b"0123"[:size]
        assert version.size_bytes == size

    @pytest.mark.parametrize("size", [0, 1, 4, 5])
    def test_whole(self, store: Store, opened: Steady, size: int) -> None:
        store.put("x", b"01234"[:size])
        assert bytes(LOOP.run(opened.whole("x", 4))) == b"0123"[:size]

    @pytest.mark.parametrize("size", [0, 1, 4, 5])
    def test_first_into(self, store: Store, opened: Steady, size: int) -> None:
        store.put("x", b"01234"[:size])
        out = bytearray(b"----")
        version = LOOP.run(opened.first_into("x", memoryview(out)))
        assert out == (b"01234"[:size] + b"----")[:4]
        assert version == LOOP.run(opened.first("x", 4))[1]

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 9), (0, 10), (9, 10)])
    def test_read_into(self, store: Store, opened: Steady, start: int, stop: int) -> None:
        store.put("x", b"0123456789")
        _, version = LOOP.run(opened.first("x", 1))
        out = bytearray(stop - start)
        LOOP.run(opened.read_into("x", version, start, memoryview(out)))
        assert out == b"0123456789"[start:stop]

    def test_replaced_object_is_an_error_that_names_both_versions(self, store: Store, opened: Steady) -> None:
        store.put("x", b"before")
        _, version = LOOP.run(opened.first("x", 2))
        store.put("x", b"after!!")
        out = bytearray(4)
        with pytest.raises(ObjectChangedError) as caught:
            LOOP.run(opened.read_into("x", version, 2, memoryview(out)))
        now = LOOP.run(opened.head("x")).etag
        assert version.etag in str(caught.value)
        assert str(now) in str(caught.value)

    def test_deleted_object_is_an_error(self, store: Store, opened: Steady) -> None:
        with pytest.raises(NotFoundError):
            LOOP.run(opened.read_into("gone", Version(10, '"0x1"'), 0, memoryview(bytearray(4))))

    @pytest.mark.parametrize("call", ["head", "first", "whole"])
    def test_missing_object(self, store: Store, opened: Steady, call: str) -> None:
        work = opened.head("none") if call == "head" else getattr(opened, call)("none", 10)
        with pytest.raises(NotFoundError, match=f"{store.name}://none does not exist") as caught:
            LOOP.run(work)
        assert caught.value.hint

    def test_head(self, store: Store, opened: Steady) -> None:
        store.put("folder/x.bin", b"12345")
        entry = LOOP.run(opened.head("folder/x.bin"))
        assert (entry.kind, entry.name, entry.key, entry.size_bytes) == ("object", "x.bin", "folder/x.bin", 5)
        assert entry.modified is not None
        assert entry.modified.tzinfo is not None

    def test_pages(self, store: Store) -> None:
        names = [f"run/{index:02}.bin" for index in range(7)]
        for name in names:
            store.put(name, b"x")
        pages = self.keys(store, "run/", 3)
        assert [len(page) for page in pages] == [3, 3, 1]
        assert [*chain.from_iterable(pages)] == names

    def test_page_that_ends_with_the_last_entry(self, store: Store) -> None:
        for name in "abcd":
            store.put(name, b"x")
        assert [*chain.from_iterable(self.keys(store, "", 2))] == list("abcd")

    def test_folders_and_objects(self, store: Store) -> None:
        for name in ("b.bin", "a/one", "a/deeper/two", "c/three"):
            store.put(name, b"x")
        found = {entry.key: (entry.kind, entry.name, entry.size_bytes) for entry in self.page(store).entries}
        assert found == {"a/": ("folder", "a", None), "b.bin": ("object", "b.bin", 1), "c/": ("folder", "c", None)}
        assert {entry.key for entry in self.page(store, "a/").entries} == {"a/deeper/", "a/one"}

    def test_sizes_at_any_depth(self, store: Store, opened: Steady) -> None:
        if not isinstance(opened.inner, Deep):
            pytest.skip("lists a folder at a time")
        sizes = {"run/a": 1, "run/b/c d": 2, "run/b/e/f": 3, "run2/g": 4}
        for key, size in sizes.items():
            store.put(key, bytes(size))
        below = {key: size for key, size in sizes.items() if key.startswith("run/")}
        page = LOOP.run(opened.sizes_below("run/", marker=None, limit=100))
        assert (dict(page.sizes), page.marker) == (below, None)
        first = LOOP.run(opened.sizes_below("run/", marker=None, limit=2))
        assert (len(first.sizes), first.marker is None) == (2, False)
        assert first.sizes.items() <= below.items()

    def test_folder_is_not_its_longer_neighbour(self, store: Store) -> None:
        store.put("a/x", b"x")
        store.put("ab/y", b"y")
        assert [entry.key for entry in self.page(store, "a/").entries] == ["a/x"]

    def test_empty_connection(self, store: Store) -> None:
        page = self.page(store)
        assert (page.entries, page.next_token) == ((), None)

    def test_folder_that_is_not_there(self, store: Store) -> None:
        if self.knows_folders:
            with pytest.raises(NotFoundError):
                self.page(store, "none/")
        else:
            assert self.page(store, "none/").entries == ()

    def test_object_and_folder_of_one_name(self, store: Store, opened: Steady) -> None:
        if not self.has_twins:
            pytest.skip("a file system has one or the other")
        store.put("a", b"object")
        store.put("a/", b"marker")
        store.put("a/b", b"below")
        assert {(entry.kind, entry.key) for entry in self.page(store).entries} == {("object", "a"), ("folder", "a/")}
        below = {(entry.kind, entry.key) for entry in self.page(store, "a/").entries}
        assert below == {("object", "a/"), ("object", "a/b")}
        assert LOOP.run(opened.first("a", 9))[0] == b"object"
        assert LOOP.run(opened.first("a/", 9))[0] == b"marker"

    def test_odd_names_are_byte_exact(self, store: Store, opened: Steady) -> None:
        contents = {name: f"<{name}>".encode() for name in self.odd_names}
        for name, data in contents.items():
            store.put(f"odd/{name}", data)
        assert set(self._walk(store, "odd/")) == {f"odd/{name}" for name in contents}
        for name, data in contents.items():
            key = f"odd/{name}"
            first, version = LOOP.run(opened.first(key, 3))
            rest = bytearray(len(data) - 1)
            LOOP.run(opened.read_into(key, version, 1, memoryview(rest)))
            assert (first, rest) == (data[:3], data[1:]), name
            assert LOOP.run(opened.head(key)).size_bytes == len(data), name

    def _walk(self, store: Store, prefix: str) -> list[str]:
        found = []
        for entry in self.page(store, prefix).entries:
            found += self._walk(store, entry.key) if entry.kind == "folder" else [entry.key]
        return found

    def test_token_belongs_to_its_folder(self, store: Store) -> None:
        for name in ("p/1", "p/2", "q/1", "q/2"):
            store.put(name, b"x")
        token = self.page(store, "p/", limit=1).next_token
        assert token is not None
        with pytest.raises(BadRequestError):
            self.page(store, "q/", limit=1, token=token)
        assert [entry.key for entry in self.page(store, "p/", limit=1, token=token).entries] == ["p/2"]

    def test_closed_backend_opens_again(self, store: Store, opened: Steady) -> None:
        store.put("x", b"1")
        LOOP.run(opened.first("x", 1))
        LOOP.run(opened.close())
        assert LOOP.run(opened.first("x", 1))[0] == b"1"
        assert [entry.key for entry in self.page(store).entries] == ["x"]
