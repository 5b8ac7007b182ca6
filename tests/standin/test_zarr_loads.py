"""Zarr arrays onto an accelerator whose copies are late."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import DeviceError
from jupyter_gpu_ext.tensors.copies import StreamCopies
from tests.contracts.zarr_loads import ZarrContract, where

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Arrays = dict[str, np.ndarray]


class TestZarrOnStandIn(ZarrContract):
    device = "standin:0"

    def held_bytes(self) -> int:
        return torch.accelerator.memory_allocated("standin:0")

    @pytest.mark.parametrize("room_mib", [0, 8, 20])
    def test_no_room(self, folder: Path, arrays: Arrays, room_mib: int, standin: Any, monkeypatch: Any) -> None:
        held = self.held_now()
        monkeypatch.setattr("jupyter_gpu_ext.tensors.device.device_memory", lambda _: None)
        standin.standin_limit(0, held + (room_mib << 20))
        with pytest.raises(DeviceError, match=r"v3 does not fit: standin:0 has no room"):
            self.array(str(folder / "v3"), keys=["rows", "wide"])
        self.assert_back_to(held)

    def test_refused_at_once(self, folder: Path, arrays: Arrays, standin: Any) -> None:
        standin.standin_limit(0, self.held_now() + (10 << 20))
        with pytest.raises(DeviceError, match=r"needs 17.3 MB on standin:0"):
            self.array(where(folder, "rows"))

    @pytest.fixture
    @staticmethod
    def pinned(standin: Any) -> Callable[[], int]:
        gc.collect()
        standin.standin_reset_peaks()
        # What a test before this one left to its own threads.
        before = standin.standin_pinned_peak()
        return lambda: standin.standin_pinned_peak() - before

    def test_conversion_needs_one_slab_more(self, folder: Path, arrays: Arrays, standin: Any) -> None:
        standin.standin_limit(0, self.held_now() + arrays["rows"].nbytes // 2 + (2 << 20))
        assert self.array(where(folder, "rows"), dtype="float16").dtype == torch.float16


FAULTS = {
    "a buffer comes back before its copies are done": ("mark", lambda *_: None),
    "nobody waits for the copies": ("join", lambda *_: None),
}


@pytest.mark.parametrize("dtype", [None, "float64"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_load_that_does_not_wait_is_seen(
    fault: str, dtype: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zarr

    monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")
    values = np.random.default_rng(1).random((600, 90, 80), np.float32)
    zarr.create_array(tmp_path / "a", shape=values.shape, chunks=(7, 90, 80), dtype="f4")[...] = values
    monkeypatch.setattr(StreamCopies, *FAULTS[fault])
    if "nobody" in fault:
        monkeypatch.setattr(StreamCopies, "close", lambda *_: None)
    value = jg.load(str(tmp_path / "a"), device="standin:0", dtype=dtype)
    assert not torch.equal(value.cpu(), torch.from_numpy(values).to(value.dtype))
