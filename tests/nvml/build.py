"""Compiles the fake driver libraries; preload one, or put its folder on LD_LIBRARY_PATH."""

from __future__ import annotations

import subprocess
from pathlib import Path

CUDA_SOURCE = Path(__file__).with_name("fake_cuda.c")
SOURCES = sorted(set(Path(__file__).parent.glob("fake_*.c")) - {CUDA_SOURCE})
NAME = "libnvidia-ml.so.1"
CUDA_NAME = "libcuda.so.1"


def build(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Return the path of a fresh library in `folder`, less some symbols: those that an older driver does not have."""
    symbols = folder / "symbols.map"
    symbols.write_text(f"{{ global: nvml*; local: {' '.join(f'{name};' for name in without)} *; }};\n")
    return _compiled(SOURCES, folder / NAME, f"-Wl,--version-script,{symbols}")


def build_cuda(folder: Path) -> Path:
    """Return the path of a fresh libcuda.so.1 in `folder`."""
    return _compiled([CUDA_SOURCE], folder / CUDA_NAME)


def _compiled(sources: list[Path], library: Path, *linking: str) -> Path:
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", f"-Wl,-soname,{library.name}"]
    subprocess.run(["gcc", *flags, *linking, "-o", str(library), *map(str, sources)], check=True)
    return library
