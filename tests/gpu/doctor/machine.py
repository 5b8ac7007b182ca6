"""Machines made up from real parts: compiled driver libraries, and a torch.py that stands in for torch."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.nvml.build import build, build_cuda
from tests.nvml.control import Control

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What `import torch` finds.
ABSENT = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
HANGS = "import signal\nwhile True:\n    signal.pause()"
CRASHES = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"
CHATTERS = "print('noise on standard output')\nraise ImportError('libcudart.so.12: cannot open shared object file')"
# No device is here to compute on: what a torch with CUDA would answer is made up.
COMPUTES = """
import types
__version__ = "2.13.0+cu130"
version = types.SimpleNamespace(cuda="13.0", hip=None, debug=False)
_C = types.SimpleNamespace(_cuda_getArchFlags=lambda: "sm_80 sm_90")
backends = types.SimpleNamespace(cudnn=types.SimpleNamespace(version=lambda: 92000))
class Part:
    def __init__(self, shape): self.shape, self.total = shape, 1.0
    def __matmul__(self, _): return self
    def sum(self): return self.shape[0] ** 3
    def __getitem__(self, _): return self.total
def ones(shape, device): return Part(shape)
def add(parts):
    for part in parts: part.total = float(len(parts))
one = types.SimpleNamespace(name="NVIDIA Fake", uuid="1", major=9, minor=0, total_memory=1)
cuda = types.SimpleNamespace(
    is_available=lambda: True, device_count=lambda: 2, get_device_properties=lambda index: one,
    nccl=types.SimpleNamespace(version=lambda: (2, 29, 7), all_reduce=add))
"""


class Machine:
    """A folder on the loader's path, and a folder on Python's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.torch = folder / "lib", folder / "python"
        for one in (self.folder, self.torch):
            one.mkdir()
        # An empty file stands in for a missing library, so that a real one is not found either.
        for name in ("libnvidia-ml.so.1", "libcuda.so.1"):
            (self.folder / name).touch()
        self.control: Control | None = None
        self.variables: dict[str, str] = {}

    def with_nvml(self) -> Machine:
        """Give it NVML with one device."""
        (self.folder / "libnvidia-ml.so.1").unlink()
        build(self.folder)
        self.control = Control(self.folder)
        return self

    def with_cuda(self, **variables: str) -> Machine:
        """Give it CUDA with one device, unless the variables of fake_cuda.c say otherwise."""
        (self.folder / "libcuda.so.1").unlink()
        build_cuda(self.folder)
        self.variables |= variables
        return self

    def with_torch(self, source: str) -> Machine:
        """Give it this torch."""
        (self.torch / "torch.py").write_text(source)
        return self

    @property
    def environ(self) -> dict[str, str]:
        """The variables that make this machine, on top of those of the tests."""
        paths = [str(self.torch), *filter(None, [os.environ.get("PYTHONPATH", "")])]
        control = {"FAKE_NVML": str(self.control.file)} if self.control else {}
        return {
            "LD_LIBRARY_PATH": str(self.folder), "PYTHONPATH": os.pathsep.join(paths), "JUPYTER_GPU_SIMULATED": "",
            **control, **self.variables,
        }  # fmt: skip


@contextmanager
def no_process_left() -> Iterator[None]:
    """Fail unless every process that was started below this one has ended."""
    import psutil

    def below() -> set[int]:
        return {one.pid for one in psutil.Process().children(recursive=True)}

    before = below()
    yield
    assert below() <= before
