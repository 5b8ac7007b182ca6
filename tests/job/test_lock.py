"""`data.lock`: a version of each object, compared with what storage has now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.job.lock import Lock, Locked, differences, observe, read

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store


def looked_at(store: Store, *keys: str) -> tuple[Locked, ...]:
    found = observe([f"{store.name}://{key}" for key in keys])
    assert all(isinstance(one, Locked) for one in found), found
    return found  # type: ignore[return-value]


def test_an_object_and_a_folder_are_as_they_were_until_they_change(store: Store, tmp_path: Path) -> None:
    store.put("m.pt", b"one")
    store.put("zarr/zarr.json", b"{}")
    store.put("zarr/c/0/0", b"chunk")
    before = looked_at(store, "m.pt", "zarr/", "zarr")
    assert [one.size_bytes for one in before] == [3, 7, 7]
    assert [one.objects for one in before] == [0, 2, 2]
    (tmp_path / "data.lock").write_text(Lock(entries=before, connections={"x": "az://y"}).to_text())
    lock = read(tmp_path / "data.lock")
    assert lock.entries == before
    assert lock.connections == {"x": "az://y"}
    assert differences(lock.entries) == ()
    store.put("zarr/c/0/0", b"other chunk")
    store.put("m.pt", b"other")
    texts = differences(lock.entries)
    assert len(texts) == 3
    assert "has changed since the export: it was 3 B" in texts[0]
    assert "2 objects of 7 B" in texts[1]


def test_the_same_bytes_written_again_are_the_same(azure_store: Store) -> None:
    azure_store.put("m.pt", b"one")
    before = looked_at(azure_store, "m.pt")
    assert before[0].md5
    azure_store.put("m.pt", b"one")
    assert looked_at(azure_store, "m.pt")[0].etag != before[0].etag
    assert differences(before) == ()


def test_what_is_not_there_says_so(store: Store) -> None:
    gone = observe([f"{store.name}://gone.pt", f"{store.name}://gone/"])
    assert all(isinstance(one, NotFoundError) for one in gone)
    texts = differences([Locked(url=f"{store.name}://gone.pt", etag='"x"')])
    assert len(texts) == 1
    assert "is not there" in texts[0]
    # A version that nobody knew is nothing to compare with.
    assert differences([Locked(url=f"{store.name}://gone.pt")]) == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2, "connections": {}, "objects": []}', '{"version": 1, "objects": []}']
    + [
        json.dumps({"version": 1, "connections": {}, "objects": [one]})
        for one in (1, {}, {"url": 3}, {"url": "a", "x": 1})
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.lock").write_text(text)
    with pytest.raises(BadRequestError, match="no list of data"):
        read(tmp_path / "data.lock")
