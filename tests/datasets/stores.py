"""Stores of aligned arrays as zarr-python writes them, with what a stream should give of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.datasets.zarr_stream import ZarrStream

ENTRIES = 60


def write(path: Path, version: int = 3, *, sharded: bool = False) -> dict[str, np.ndarray]:
    """Write `x` in chunks of 4 entries and `y` in chunks of 6, a part of `x` never written; return the values."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    more: dict[str, Any] = {"shards": (12, 4, 2)} if sharded else {}
    x = group.create_array("x", shape=(ENTRIES, 4, 2), chunks=(4, 2, 2), dtype="f4", fill_value=-1.0, **more)
    values = np.arange(ENTRIES * 8, dtype="f4").reshape(ENTRIES, 4, 2)
    # Two chunks are missing.
    values[8:12, :2] = -1
    values[20:24, 2:] = -1
    x[...] = values
    y = group.create_array("y", shape=(ENTRIES,), chunks=(6,), dtype="i8")
    y[...] = np.arange(ENTRIES)
    return {"x": values, "y": np.arange(ENTRIES)}


def got(stream: ZarrStream) -> list[int]:
    """Return the samples that come, by their `y`."""
    found = []
    for item in stream:
        y = np.asarray(item["y"])
        found += [int(one) for one in y.reshape(-1)]
    return found
