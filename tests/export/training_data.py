"""What the five trainings read: small, the same every time, in the formats that people keep such data in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch
import torch
import zarr

from tests.conftest import write_connections

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path) -> Path:
    """Write data, and connections to it; return the file of connections."""
    data, draw = folder / "data", np.random.default_rng(7)
    for path in (data / "linear", data / "evaluation", folder / "out"):
        path.mkdir(parents=True)
    x = draw.normal(size=(64, 3)).astype(np.float32)
    np.save(data / "linear" / "x.npy", x)
    np.save(data / "linear" / "y.npy", x @ np.float32([2, -1, 0.5]) + np.float32(0.1) * draw.normal(size=64))
    labels = draw.integers(0, 4, 96)
    images = draw.normal(size=(96, 1, 8, 8)) * 0.3
    images[np.arange(96), 0, labels * 2] += 1
    tensors = {"images": torch.tensor(images, dtype=torch.float32), "labels": torch.tensor(labels)}
    safetensors.torch.save_file(tensors, data / "digits.safetensors")
    torch.manual_seed(0)
    torch.save({"backbone.0.weight": torch.randn(16, 8), "backbone.0.bias": torch.randn(16)}, data / "base.pt")
    ours = draw.normal(size=(80, 8)).astype(np.float32)
    np.savez(data / "ours.npz", x=ours, y=(ours.sum(1) > 0).astype(np.int64))
    hours = np.arange(100)[:, None, None] / 12 + np.arange(4)[:, None] / 4 + np.arange(6) / 6
    group = zarr.create_group(data / "t2m.zarr")
    group.create_array("t2m", shape=hours.shape, chunks=(10, 4, 6), dtype="f8")[:] = np.sin(hours) + 280
    for part in range(3):
        scores = draw.random(50)
        truth = (scores + draw.normal(size=50) * 0.3 > 0.5).astype(np.int64)
        np.savez(data / "evaluation" / f"part{part}.npz", scores=scores, truth=truth)
    connections = folder / "connections.toml"
    write_connections(connections, inputs={"root": str(data)}, out={"root": str(folder / "out"), "read_only": False})
    return connections
