"""The same promises on the cpu, on a stand-in accelerator whose copies are late, and on a GPU where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from tests.contracts.device_loads import DeviceContract
from tests.contracts.zarr_loads import ZarrContract


class _Cpu:
    device = "cpu"

    def held_bytes(self) -> int:
        return sum(one["bytes"] for one in HOLDINGS.report()["loads"])


class _Gpu:
    device = "cuda:0"

    def held_bytes(self) -> int:
        return torch.cuda.memory_allocated(0)


class TestCpu(_Cpu, DeviceContract):
    pass


class TestZarrOnCpu(_Cpu, ZarrContract):
    pass


@pytest.mark.gpu
class TestGpu(_Gpu, DeviceContract):
    pass


@pytest.mark.gpu
class TestZarrOnGpu(_Gpu, ZarrContract):
    pass


@pytest.mark.timeout(600)
def test_stand_in() -> None:
    """Run tests/standin in a process of its own: a process has one kind of accelerator."""
    assert shutil.which("g++"), "the stand-in is compiled: install g++"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not prove", "tests/standin"]
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "JUPYTER_GPU_STANDIN": "1"}, capture_output=True, text=True, check=False
    )
    print(done.stdout[-4000:])
    assert done.returncode == 0, done.stderr[-2000:]
