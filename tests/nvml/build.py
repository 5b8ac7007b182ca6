"""Compiles the fake driver library; preload it, or put its folder on LD_LIBRARY_PATH."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fake_nvml.c")
NAME = "libnvidia-ml.so.1"


def build(folder: Path) -> Path:
    """Return the path of a fresh library in `folder`."""
    library = folder / NAME
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", f"-Wl,-soname,{NAME}"]
    subprocess.run(["gcc", *flags, "-o", str(library), str(SOURCE)], check=True)
    return library
