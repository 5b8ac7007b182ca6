"""Where the bytes of a stream lie: chunks as they came or read into their places, batches in memory that goes round."""

from __future__ import annotations

import gc
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import zarr
from numcodecs import Zstd

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.datasets.lending import Lending
from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.tensors import placing
from jupyter_gpu_ext.tensors.asked_for import FIRST_BYTES
from tests.tensors.zarr_stores import upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store

BATCH = (5, 1 << 20)
# Of one entry, in floats: two of them are a chunk.
SMALL, LARGE = 10_000, FIRST_BYTES // 8 + 1000


def address(array: Any) -> int:
    return int(np.asarray(array).__array_interface__["data"][0])


def test_memory_goes_round() -> None:
    lending = Lending()
    first = lending.empty(BATCH, "f4")
    second = lending.empty(BATCH, "f4")
    places = {address(first), address(second)}
    assert len(places) == 2
    del first, second
    for _ in range(5):
        assert address(lending.empty(BATCH, "f4")) in places
        # The last batch of an epoch is smaller.
        assert address(lending.empty((3, 1 << 20), "f4")) in places
    assert lending.empty((1 << 22,), "f4").nbytes == 4 << 22
    assert address(lending.empty((1 << 23,), "f4")) not in places


@pytest.mark.parametrize("kept", ["view", "tensor", "slice of a tensor", "storage", "capsule"])
def test_memory_that_somebody_holds_is_nobody_elses(kept: str) -> None:
    lending = Lending()
    batch = lending.empty(BATCH, "f4")
    batch[...] = 7
    where = address(batch)
    tensor = torch.from_numpy(batch)
    holder: Any = {
        "view": batch[2:, ::2].T,
        "tensor": tensor,
        "slice of a tensor": tensor[3, 5:],
        "storage": tensor.untyped_storage(),
        "capsule": torch.from_dlpack(batch),
    }[kept]
    del batch, tensor
    for _ in range(3):
        other = lending.empty(BATCH, "f4")
        assert address(other) != where
        other[...] = 0
        del other
    values = torch.tensor([]).set_(holder) if kept == "storage" else holder
    assert float(values.min()) == float(values.max()) == 7
    del values, holder
    assert where in {address(lending.empty(BATCH, "f4")) for _ in range(3)}


def test_batches_that_are_held_in_any_order_stay_what_they_were() -> None:
    lending, held, draw = Lending(), dict[int, Any](), random.Random(1)
    for number in range(200):
        batch = lending.empty(BATCH, "f4")
        batch[:, ::4096] = number
        held[number] = torch.from_numpy(batch)
        del batch
        while len(held) > draw.randrange(5):
            value = held.pop(draw.choice(list(held)))
            assert not len(held) or value is not None
            del value
        for one, tensor in held.items():
            assert bool((tensor[:, ::4096] == one).all())


def test_what_is_left_of_a_stream_holds_its_own_memory_only() -> None:
    lending = Lending()
    batch = lending.empty(BATCH, "f4")
    batch[...] = 3
    del lending
    gc.collect()
    assert float(batch.sum()) == 3 * batch.size


def put(store: Store, folder: Path, width: int, *, zstd: bool) -> np.ndarray[Any, Any]:
    """Write five entries in chunks of two, the second one never written; return the values."""
    values = np.arange(5, dtype="f4")[:, None] + np.linspace(0, 0.5, width, dtype="f4")
    values[2:4] = -1
    array = zarr.create_array(
        folder / "x.zarr", shape=values.shape, chunks=(2, width), dtype="f4", fill_value=-1.0, zarr_format=2,
        compressors=Zstd(level=1) if zstd else None,
    )  # fmt: skip
    array[...] = values
    assert not (folder / "x.zarr" / "1.0").exists()
    upload(folder / "x.zarr", store, "x.zarr")
    return values


@pytest.fixture(params=["small", "large", "in ranges"])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the floats of an entry: of chunks that are kept as they came, the last of those read into their places."""
    if request.param == "in ranges":
        monkeypatch.setattr(placing, "_MOST_KEPT_BYTES", 1 << 20)
    return SMALL if request.param == "small" else LARGE


@pytest.mark.parametrize("zstd", [False, True])
def test_values(store: Store, tmp_path: Path, width: int, zstd: bool) -> None:
    values = put(store, tmp_path, width, zstd=zstd)
    stream = jg.ZarrStream(f"{store.name}://x.zarr").batch(2).cache(1 << 30)
    for _ in range(2):
        found = [batch.numpy() for batch in stream]
        assert np.array_equal(np.concatenate(found), values)
        found[0][...] = 0


@pytest.mark.parametrize("change", [-4, 4])
def test_a_chunk_of_another_length(azure_store: Store, tmp_path: Path, width: int, change: int) -> None:
    put(azure_store, tmp_path, width, zstd=False)
    data = (tmp_path / "x.zarr" / "0.0").read_bytes()
    azure_store.put("x.zarr/0.0", data[:change] if change < 0 else data + bytes(change))
    with pytest.raises(TensorFormatError, match=r"chunk '0\.0' is damaged: [\d,]+ bytes") as caught:
        list(jg.ZarrStream("weights://x.zarr").batch(2))
    assert f"{len(data) + change:,} bytes" in str(caught.value)
    lost = jg.ZarrStream("weights://x.zarr", on_error="skip").batch(2)
    assert sum(len(one) for one in lost) == 3
