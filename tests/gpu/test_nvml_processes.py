"""Who holds a device's memory, in each way that drivers count processes."""

from __future__ import annotations

import pytest

from jupyter_gpu_ext.gpu.models import ProcessMemory
from jupyter_gpu_ext.gpu.nvml import NvmlBackend


@pytest.fixture
def processes(nvml, clock):
    """Return what the only card says now: pid to bytes."""
    backend = NvmlBackend(clock=clock)
    yield lambda: {one.pid: one.memory_bytes for one in backend.sample()[0].processes}
    backend.close()


def test_nobody(processes):
    assert processes() == {}


@pytest.mark.parametrize(
    ("regime", "seen"),
    [
        ("host", {4001: 500, 4002: 700, 4003: 900}),
        ("namespace", {41: None, 42: None}),
        ("translated", {41: 500, 42: 700}),
    ],
)
def test_three_ways_to_count(nvml, processes, regime, seen):
    nvml.set("pids", regime)
    nvml.set("compute 0", "4001/41:500,4002/42:700,4003:900")
    assert processes() == seen


def test_three_lists_are_one(nvml, processes):
    nvml.set("compute 0", "1:500,2:700")
    nvml.set("graphics 0", "2:700,3:900")
    nvml.set("mps 0", "4:100")
    assert processes() == {1: 500, 2: 700, 3: 900, 4: 100}


def test_what_the_driver_does_not_say_is_none(nvml, processes):
    nvml.set("compute 0", "1:-,2:0,3:5")
    assert processes() == {1: None, 2: None, 3: 5}


def test_many(nvml, processes):
    nvml.set("compute 0", ",".join(f"{pid}:{pid}" for pid in range(1, 61)))
    assert processes() == {pid: pid for pid in range(1, 61)}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_entries_that_are_longer_than_the_driver_says(nvml, processes, count):
    held = {pid: pid * 1000 for pid in range(1, count + 1)}
    nvml.set("compute 0", ",".join(f"{pid}:{held_bytes}" for pid, held_bytes in held.items()))
    nvml.set("process_bytes", 32)
    assert processes() == held
    asked = nvml.calls()["nvmlDeviceGetComputeRunningProcesses_v3"]
    assert processes() == held
    again = nvml.calls()["nvmlDeviceGetComputeRunningProcesses_v3"] - asked
    assert again == (2 if count == 1 else 0)


def test_they_stay_out_of_what_leaves_the_process(nvml):
    from jupyter_gpu_ext import gpu

    nvml.set("compute 0", "987654:500")
    status = gpu.status()
    assert status.now[0].processes == (ProcessMemory(pid=987654, memory_bytes=500),)
    assert "987654" not in repr(status)
    assert "987654" not in str(status.to_json())
