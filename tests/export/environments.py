"""Environments of notebooks, as kernels would tell of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jupyter_gpu_ext.export.environment import Distribution, Environment

TORCH = Distribution(
    name="torch", version="2.13.0+cu130", modules=("torch",), requires=("filelock", "nvidia-cublas"), loaded=True
)
OWN = Distribution(
    name="jupyter-gpu-ext", version="0.1.0", modules=("jupyter_gpu_ext",), requires=("adlfs", "numpy"), loaded=True
)


def dist(name: str, version: str = "1.0", **more: Any) -> Distribution:
    """Return a distribution with a module of its own name."""
    return Distribution(name=name, version=version, **{"modules": (name.replace("-", "_"),), **more})


CUDA = Environment(
    python="3.12.4",
    machine="x86_64",
    image="registry.example.com/notebook:2.1",
    cuda="13.0",
    distributions=(
        OWN,
        TORCH,
        dist("adlfs", requires=("fsspec",)),
        dist("filelock"),
        dist("fsspec"),
        dist("ipykernel", loaded=True, requires=("tornado",)),
        dist("numpy", "2.4.6", loaded=True),
        dist("nvidia-cublas", "13.1"),
        dist("pandas", "3.1.1", requires=("numpy",)),
        dist("pyarrow", "24.0", loaded=True),
        dist("tornado", loaded=True),
    ),
    peak_bytes=12_000_000_000,
)
PLAIN = replace(CUDA, image="", peak_bytes=None)
