"""An array viewer within its budget: pieces, overviews, versions, and what it cannot ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError, ObjectChangedError, TooLargeError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors import dense, view_file, view_zarr
from jupyter_gpu_ext.tensors.overview import MOST_BYTES, ValueTooLargeError
from jupyter_gpu_ext.tensors.view_cache import Views
from tests.tensors.zarr_stores import upload

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.tensors.view import View
    from tests.conftest import Store

from tests.tensors.views import npy, opened, same, selections, values


def test_long_values_come_in_pieces_in_order(
    local_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_file, "_PIECE_BYTES", 4000)
    monkeypatch.setattr(view_zarr, "_PIECE_BYTES", 4000)
    monkeypatch.setattr(dense, "_WINDOW_BYTES", 1000)
    array = np.arange(60_000, dtype="f4").reshape(30, 40, 50)
    local_store.put("x.npy", npy(array))
    local_store.put("f.npy", npy(np.asfortranarray(array)))
    for at, chunks in enumerate([(2, 40, 50), (7, 11, 13), (30, 40, 50), (3, 1, 50)]):
        zarr.create_array(tmp_path / f"{at}.zarr", shape=array.shape, dtype="f4", chunks=chunks)[:] = array
        upload(tmp_path / f"{at}.zarr", local_store, f"{at}.zarr")
    for key, path in [("x.npy", "/value"), ("f.npy", "/value"), *((f"{at}.zarr", f"/{at}.zarr") for at in range(4))]:
        view = opened(f"disk://{key}")
        for text, items in [("", ()), *selections(array.shape, 6, seed=5)]:
            same(values(view, path, text), array[items])
        same(values(view, path, "::-1, 3", stride="2,7"), array[::-1, 3][::2, ::7])


def refused(view: View, path: str, select: str = "", **options: Any) -> ValueTooLargeError:
    with pytest.raises(ValueTooLargeError) as error:
        values(view, path, select, **options)
    return error.value


def test_more_than_the_budget_offers_an_overview_that_fits(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(3, 20_000, 9_000), dtype="f4", chunks=(1, 2000, 3000), fill_value=2)
    view = opened(str(tmp_path / "a.zarr"))
    error = refused(view, "/a.zarr", "1")
    steps = error.details["stride"]
    assert error.details["size_bytes"] == 720_000_000
    assert error.details["most_bytes"] == 64 << 20
    counts = [-(-n // step) for n, step in zip((20_000, 9_000), steps, strict=True)]
    assert max(counts) <= 8192
    assert np.prod(counts) * 4 == error.details["stride_bytes"] <= 64 << 20
    assert error.details["read_bytes"] == 720_000_000
    found = values(view, "/a.zarr", "1", stride=",".join(map(str, steps)))
    assert found.shape == tuple(counts)
    assert (found == 2).all()


def test_a_chunk_beyond_the_budget_is_not_decoded(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(40_000_000,), dtype="f4", chunks=(40_000_000,))
    view = opened(str(tmp_path / "a.zarr"))
    error = refused(view, "/a.zarr", "7")
    assert "stride" not in error.details
    assert str(MOST_BYTES) in error.hint
    assert values(view, "/a.zarr", "7", most_bytes=MOST_BYTES) == 0


def test_what_reads_far_more_than_it_shows_is_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(4000, 250_000), dtype="f4", chunks=(1000, 1000))
    error = refused(opened(str(tmp_path / "a.zarr")), "/a.zarr", "::500, ::50")
    assert "would be read" in error.message
    assert error.details["read_bytes"] <= 16 * (64 << 20)


def test_one_header_serves_twenty_slices_until_the_object_is_replaced(store: Store, tmp_path: Path) -> None:
    array = np.arange(90_000, dtype="f4").reshape(300, 300)
    store.put("x.npy", npy(array))
    zarr.create_array(tmp_path / "z", shape=(4, 6), dtype="f4", chunks=(2, 3))[:] = 1
    upload(tmp_path / "z", store, "z.zarr")
    views = Views()
    for key, path in (("x.npy", "/value"), ("z.zarr", "/z.zarr")):
        url = f"{store.name}://{key}"
        view = LOOP.run(views.get(url))
        assert all(LOOP.run(views.get(url, view.version)) is view for _ in range(20))
        assert LOOP.run(views.get(url)) is view
        values(view, path, "0")
        if key == "x.npy":
            store.put(key, npy(array + 1))
        else:
            zarr.create_array(tmp_path / "y", shape=(4, 6), dtype="i4", chunks=(2, 3), attributes={"new": 1})
            upload(tmp_path / "y", store, key)
        with pytest.raises(ObjectChangedError):
            values(view, path, "0")
        newer = LOOP.run(views.get(url))
        assert newer is not view
        with pytest.raises(ObjectChangedError):
            LOOP.run(views.get(url, view.version))
        values(newer, path, "0")


def test_views_are_let_go(local_store: Store) -> None:
    views = Views(most_views=2)
    for name in "abc":
        local_store.put(f"{name}.npy", npy(np.zeros(3)))
        LOOP.run(views.get(f"disk://{name}.npy"))
    assert len(views._open) == 2
    small = Views(most_nodes=1)
    for name in "abc":
        LOOP.run(small.get(f"disk://{name}.npy"))
    assert len(small._open) == 1


BAD: dict[str, tuple[str, dict[str, Any], type[Exception]]] = {
    "no array": ("/none", {}, NotFoundError),
    "the group": ("/", {}, NotFoundError),
    "no slash": ("value", {}, NotFoundError),
    "nothing": ("", {}, NotFoundError),
    "too many axes": ("/value", {"select": "0, 0, 0"}, BadRequestError),
    "outside": ("/value", {"select": "99"}, BadRequestError),
    "no selection": ("/value", {"select": "__import__('os')"}, BadRequestError),
    "by label": ("/value", {"select": "x=3"}, BadRequestError),
    "stride of another rank": ("/value", {"stride": "2"}, BadRequestError),
    "stride of a dropped axis": ("/value", {"select": "0", "stride": "1,2"}, BadRequestError),
    "stride of 0": ("/value", {"stride": "0,1"}, BadRequestError),
    "negative stride": ("/value", {"stride": "-1,1"}, BadRequestError),
    "endless stride": ("/value", {"stride": "1," + "9" * 50}, BadRequestError),
    "no budget": ("/value", {"most_bytes": 0}, TooLargeError),
}


@pytest.mark.parametrize(("path", "options", "error"), BAD.values(), ids=BAD)
def test_what_cannot_be_asked_for(
    local_store: Store, path: str, options: dict[str, Any], error: type[Exception]
) -> None:
    local_store.put("x.npy", npy(np.zeros((3, 4))))
    with pytest.raises(error):
        values(opened("disk://x.npy"), path, **options)
