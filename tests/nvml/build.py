"""Compiles the fake driver libraries; preload one, or put its folder on LD_LIBRARY_PATH."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")
NAME = "libnvidia-ml.so.1"
CUDA_NAME = "libcuda.so.1"


def build(folder: Path) -> Path:
    """Return the path of a fresh library in `folder`."""
    return _compiled(SOURCE, folder / NAME)


def build_cuda(folder: Path) -> Path:
    """Return the path of a fresh libcuda.so.1 in `folder`."""
    return _compiled(SOURCE.with_name("fake_cuda.c"), folder / CUDA_NAME)


def _compiled(source: Path, library: Path) -> Path:
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", f"-Wl,-soname,{library.name}"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(source)], check=True)
    return library
