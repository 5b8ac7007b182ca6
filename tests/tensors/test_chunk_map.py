"""The map of an array's chunks: what zarr-python wrote, what a selection touches, and where the looking ends."""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from jupyter_gpu_ext.errors import BadRequestError, DeniedError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors import chunk_map
from jupyter_gpu_ext.tensors.chunk_map import read_chunk_map
from jupyter_gpu_ext.tensors.objects import Objects
from tests.tensors.zarr_stores import upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store

KINDS: dict[str, dict[str, Any]] = {
    "v2 dot": {"shape": (20, 9), "chunks": (3, 4), "zarr_format": 2},
    "v2 slash": {
        "shape": (20, 9), "chunks": (3, 4), "zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"},
    },
    "v3": {"shape": (20, 9), "chunks": (3, 4)},
    "v3 dot": {"shape": (20, 9), "chunks": (3, 4), "chunk_key_encoding": {"name": "default", "separator": "."}},
    "sharded": {"shape": (20, 9), "chunks": (3, 2), "shards": (6, 4)},
    "one axis": {"shape": (95,), "chunks": (4,)},
    "scalar": {"shape": (), "chunks": ()},
    "scalar v2": {"shape": (), "chunks": (), "zarr_format": 2},
    "none": {"shape": (0, 9), "chunks": (3, 4)},
}  # fmt: skip


def found(url: str, path: str = "", select: str = "") -> dict[str, Any]:
    return LOOP.run(read_chunk_map(url, path, select)).to_json()


def bits(text: str, count: int) -> list[bool]:
    raw = base64.b64decode(text)
    assert len(raw) == -(-count // 8)
    return [bool(raw[at // 8] >> at % 8 & 1) for at in range(count)]


def write(folder: Path, options: dict[str, Any]) -> zarr.Array[Any]:
    array = zarr.create_array(folder, dtype="i4", fill_value=0, **options)
    values = np.ones(options["shape"], "i4")
    if len(options["shape"]) == 2:
        values[3:12, :4] = 0
    array[...] = values
    return array


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("select", ["", "..., ::-5", "2:9"])
def test_stored_and_touched(local_store: Store, name: str, select: str) -> None:
    assert local_store.folder is not None
    options = KINDS[name]
    if select and not options["shape"]:
        pytest.skip("there is nothing to select")
    array = write(local_store.folder / "a b", options)
    # Objects that are no chunks, and one beyond the array.
    local_store.put("a b/notes.txt", b"x")
    for key in ("c/01/0", "c/999/0", "c/-1/0") if options["shape"] else ():
        local_store.put(f"a b/{key}", b"x")
    said = found("disk://a b", select=select)
    cell = options.get("shards", options["chunks"])
    grid = [-(-size // one) for size, one in zip(options["shape"], cell, strict=True)]
    wanted = np.zeros(options["shape"], bool)
    wanted[eval(f"np.s_[{select}]", {"np": np}) if select else ...] = True
    values = np.asarray(array[...])
    places = list(itertools.product(*map(range, grid)))
    cells = [tuple(slice(at * n, at * n + n) for at, n in zip(place, cell, strict=True)) for place in places]
    assert (said["grid"], said["cell_shape"], said["cell_count"]) == (grid, list(cell), len(places))
    assert bits(said["stored"], len(places)) == [bool(values[one].any()) for one in cells]
    assert said["stored_count"] == sum(bool(values[one].any()) for one in cells)
    assert said["complete"]
    along = [bits(text, count) for text, count in zip(said["touched"], grid, strict=True)]
    touched = [all(axis[at] for axis, at in zip(along, place, strict=True)) for place in places]
    assert touched == [bool(wanted[one].any()) for one in cells]
    assert said["touched_count"] == sum(touched)


@pytest.mark.parametrize("name", ["v2 slash", "v3", "sharded"])
def test_on_azurite_as_on_disk(azure_store: Store, tmp_path: Path, name: str) -> None:
    zarr.open_group(tmp_path / "g", mode="w", zarr_format=KINDS[name].get("zarr_format", 3))
    write(tmp_path / "g" / "deep", KINDS[name])
    # A neighbour of a longer name is no part of it.
    write(tmp_path / "g" / "deeper", KINDS["v3"] | {"zarr_format": KINDS[name].get("zarr_format", 3)})
    upload(tmp_path / "g", azure_store, "g.zarr")
    there, here = found("weights://g.zarr", "deep", "1:8"), found(str(tmp_path / "g"), "deep", "1:8")
    assert there | {"url": "", "requests": 0} == here | {"url": "", "requests": 0}


def test_looking_ends_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", {"shape": (95,), "chunks": (1,)})
    monkeypatch.setattr(chunk_map, "MOST_LISTED", 40)
    said = found(str(tmp_path / "a"))
    assert (said["complete"], said["stored_count"], sum(bits(said["stored"], 95))) == (False, 40, 40)
    assert said["limit"]["listed"] == 40
    monkeypatch.setattr(chunk_map, "MOST_CELLS", 94)
    said = found(str(tmp_path / "a"), select="3")
    assert (said["stored"], said["touched"], said["complete"], said["cell_count"]) == (None, None, False, 95)


def test_a_map_of_a_million_chunks_is_small(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(1000, 1000, 50), chunks=(1, 1, 50), dtype="f4")
    said = found(str(tmp_path / "a"), select="::7, 3:900:2")
    assert said["cell_count"] == 10**6
    assert len(said["stored"]) < 170_000
    assert [len(one) for one in said["touched"]] == [168, 168, 4]
    assert said["touched_count"] == 143 * 449


def test_who_may_not_list_still_sees_what_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any, **__: Any) -> Any:
        raise DeniedError("no list right")

    write(tmp_path / "a", KINDS["v3"])
    monkeypatch.setattr(Objects, "sizes", refused)
    said = found(str(tmp_path / "a"), select="0, 0")
    assert (said["stored"], said["complete"], said["touched_count"]) == (None, False, 1)


@pytest.mark.parametrize(
    ("path", "select", "what"), [("y", "", "no array 'y'"), ("", "", "no array ''"), ("x", "0:1, :, :", "2 axes")]
)
def test_refused(tmp_path: Path, path: str, select: str, what: str) -> None:
    zarr.open_group(tmp_path / "g", mode="w").create_array("x", shape=(4, 4), chunks=(2, 2), dtype="i4")
    with pytest.raises(BadRequestError, match=what) as caught:
        found(str(tmp_path / "g"), path, select)
    assert caught.value.hint
