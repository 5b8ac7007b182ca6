"""Items of a stream on an accelerator whose copies are late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from jupyter_gpu_ext.datasets.zarr_stream import ZarrStream
from jupyter_gpu_ext.errors import DeviceError
from jupyter_gpu_ext.tensors.copies import StreamCopies
from tests.datasets.stores import ENTRIES, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("dtype", [None, "float16"])
def test_items_are_whole_when_they_are_used(tmp_path: Path, prefetch: int, dtype: str | None) -> None:
    values = write(tmp_path / "s.zarr")
    stream = ZarrStream(str(tmp_path / "s.zarr")).shuffle(seed=1, buffer=20).batch(3).prefetch(prefetch)
    seen = []
    for batch in stream.to("standin:0", dtype):
        assert batch["x"].device == batch["y"].device == torch.device("standin:0")
        assert batch["x"].dtype == (torch.float16 if dtype else torch.float32)
        y = batch["y"].cpu().tolist()
        np.testing.assert_array_equal(batch["x"].cpu().float().numpy(), values["x"][y])
        seen += y
    assert sorted(seen) == list(range(ENTRIES))


@pytest.mark.parametrize("step", ["join", "cast"])
def test_the_one_above_would_notice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setattr(StreamCopies, step, lambda *_: None)
    # What was there before is no sample, or not the one that it says.
    with pytest.raises((AssertionError, IndexError)):
        test_items_are_whole_when_they_are_used(tmp_path, 0, "float16")


def test_no_room(tmp_path: Path, standin: Any) -> None:
    write(tmp_path / "s.zarr")
    standin.standin_limit(0, 0)
    with pytest.raises(DeviceError, match=r"s.zarr does not fit: standin:0 has no room"):
        next(iter(ZarrStream(str(tmp_path / "s.zarr")).batch(30).to("standin:0")))
