"""The stand-in accelerator, compiled once and loaded into this process: see standin.cpp."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

SOURCE = Path(__file__).with_name("standin.cpp")
BUILT = Path(__file__).parents[1] / ".artifacts" / "standin"


def build() -> Path:
    """Return the compiled library; about a minute the first time."""
    from torch.utils import cpp_extension

    mark = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode() + sys.version.encode()).hexdigest()[:16]
    library = BUILT / f"standin-{mark}.so"
    if not library.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        part = library.with_suffix(f".{os.getpid()}")
        includes = [f"-I{path}" for path in cpp_extension.include_paths()]
        folder = Path(torch.__file__).parent / "lib"
        abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
        subprocess.run(
            ["g++", "-std=c++20", "-O1", "-shared", "-fPIC", "-w", abi, *includes, str(SOURCE), "-o", str(part),
             f"-L{folder}", "-lc10", "-ltorch_cpu", "-ltorch"],
            check=True,
        )  # fmt: skip
        part.replace(library)
    return library


class StandIn(ModuleType):
    """What torch looks for below `torch.standin`."""

    def __init__(self) -> None:
        super().__init__("torch.standin")
        self.library = ctypes.CDLL(str(build()))
        self.library.standin_limit.argtypes = [ctypes.c_int, ctypes.c_size_t]
        self.library.standin_held.restype = ctypes.c_size_t
        self.library.standin_pinned_peak.restype = ctypes.c_size_t

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass


def load() -> Any:
    """Make `torch.device("standin")` the accelerator of this process."""
    module = StandIn()
    torch.ops.load_library(str(build()))
    torch.utils.rename_privateuse1_backend("standin")
    torch._register_device_module("standin", module)
    torch.utils.generate_methods_for_privateuse1_backend(for_storage=False)
    module.library.standin_register()
    return module
