"""Compiles the fake driver library; preload it, or put its folder on LD_LIBRARY_PATH."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCES = sorted(Path(__file__).parent.glob("fake_*.c"))
NAME = "libnvidia-ml.so.1"


def build(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Return the path of a fresh library in `folder`, less some symbols: those that an older driver does not have."""
    library, symbols = folder / NAME, folder / "symbols.map"
    symbols.write_text(f"{{ global: nvml*; local: {' '.join(f'{name};' for name in without)} *; }};\n")
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    linking = [f"-Wl,-soname,{NAME}", f"-Wl,--version-script,{symbols}"]
    subprocess.run(["gcc", *flags, *linking, "-o", str(library), *map(str, SOURCES)], check=True)
    return library
