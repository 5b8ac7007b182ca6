"""What a load holds on the host beside its tensors: measured by the system, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from tests.tensors.files import torch_bytes

if TYPE_CHECKING:
    from tests.conftest import Store

MIB = 1 << 20
PROGRAM = """
import sys
from pathlib import Path
import jupyter_gpu_ext as jg

def held(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

# What is imported and opened once belongs to no load.
jg.load(sys.argv[1], device="cpu", keys=["small"])
before = held("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
value = jg.load(sys.argv[1], device="cpu", keys=sys.argv[2:])
print(held("VmHWM") - before, sum(one.nbytes for one in value.values()))
"""


@pytest.mark.parametrize(
    ("tensors", "keys"),
    [
        pytest.param(4, [], id="all-4"),
        pytest.param(400, [], id="all-400", marks=pytest.mark.prove),
        pytest.param(4, ["layer.*"], id="by keys-4", marks=pytest.mark.prove),
        pytest.param(400, ["layer.*"], id="by keys-400"),
    ],
)
def test_the_tensors_and_64_mib(azure_store: Store, tensors: int, keys: list[str]) -> None:
    state = {f"layer.{at}": torch.zeros(60_000_000 // tensors) for at in range(tensors)} | {"small": torch.ones(8)}
    azure_store.put("x.pt", torch_bytes(state))
    command = [sys.executable, "-c", PROGRAM, "weights://x.pt", *keys]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    peak, size = map(int, done.stdout.split())
    assert size >= 240_000_000
    assert peak <= size + 64 * MIB, f"{(peak - size) / MIB:.0f} MiB beside {size / MIB:.0f}"
