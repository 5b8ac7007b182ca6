from __future__ import annotations

import json
import math
import pickle
import re
from pathlib import Path

import pytest
import yaml

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import DeviceSample, Sample, State, Status

CONTRACT = Path(gpu.__file__).parents[1] / "server" / "openapi.yaml"
FROM_THE_SERVER = {"version", "kernels"}


@pytest.fixture(scope="module")
def schemas():
    return yaml.safe_load(CONTRACT.read_text("utf-8"))["components"]["schemas"]


def test_json_has_exactly_the_fields_of_the_contract(monkeypatch, schemas):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "1")
    status = gpu.status().to_json()
    (device,), (sample,) = status["devices"], status["samples"]
    assert set(status) == set(schemas["GpuStatus"]["required"]) - FROM_THE_SERVER
    assert set(device) == set(schemas["Device"]["required"])
    assert set(sample) == set(schemas["Sample"]["required"])
    assert set(sample["devices"][0]) == set(schemas["DeviceSample"]["required"])


def test_the_contract_knows_every_state(schemas):
    assert set(schemas["GpuStatus"]["properties"]["state"]["enum"]) == {state.value for state in State}


def test_json_never_holds_nan():
    reading = DeviceSample(uuid="a", memory_used_bytes=1, utilization_ratio=math.nan)
    sample = Sample(cursor=1, time=0.0, devices=(reading,))
    assert "NaN" not in json.dumps(Status(state=State.OK, samples=(sample,)).to_json())


def golden(name):
    return (Path(__file__).parent / "golden" / name).read_text("utf-8").rstrip("\n")


def test_prints_one_line_a_device(nvml):
    said = {
        "devices": 5, "name 0": "NVIDIA L4", "used 0": 14_900_000_000, "busy 0": 52, "temperature 0": 61,
        "power 0": 68_400, "throttle 0": 0x4 | 0x20, "name 1": "NVIDIA\x1b[31m L4", "power 2": 349_800,
        "power_limit 2": 350_000,
    }  # fmt: skip
    for key, value in said.items():
        nvml.set(key, value)
    nvml.fail("nvmlDeviceGetUtilizationRates", 3, device=1)
    nvml.fail("nvmlDeviceGetMemoryInfo_v2", 4, device=2)
    for symbol in ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetPowerUsage"):
        nvml.fail(symbol, 4, device=3)
    nvml.fail("nvmlDeviceGetEnforcedPowerLimit", 4, device=4)
    assert repr(gpu.status()) == golden("cards.txt")


def test_prints_slices_under_their_card(nvml):
    said = {
        "name 0": "NVIDIA A100-SXM4-40GB", "total 0": 42_949_672_960, "mig 0": 1, "slices 0": 2,
        "name 0.0": "NVIDIA A100-SXM4-40GB MIG 3g.20gb", "total 0.0": 21_000_000_000,
        "name 0.1": "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "used 0.1": 2_000_000_000,
    }  # fmt: skip
    for key, value in said.items():
        nvml.set(key, value)
    assert repr(gpu.status()) == golden("slices.txt")


def test_prints_whose_memory_it_is(nvml):
    for symbol in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"):
        nvml.fail(symbol, 3)
    assert re.match(r"GPU 0 · NVIDIA Fake  [\d.]+( [MG]B)? / [\d.]+ [GT]B of the system  busy 0 %", str(gpu.status()))


def test_simulated_numbers_are_called_made_up(monkeypatch):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "2")
    first, *devices = str(gpu.status()).splitlines()
    assert first == "Simulated GPUs: the numbers are made up."
    assert [line.split("  ")[0] for line in devices] == ["GPU 0 · Simulated A100 40 GB", "GPU 1 · Simulated A100 40 GB"]


def test_prints_reason_and_hint_without_a_gpu(nvml):
    nvml.fail("nvmlInitWithFlags", 4)
    assert str(gpu.status()).splitlines() == [
        "GPU usable; its sensors are blocked here (NVML: insufficient permissions).",
        "Loading works. Memory comes from this notebook; other notebooks and utilisation are unknown. "
        "Admin: NVIDIA_DRIVER_CAPABILITIES=compute,utility.",
    ]


def test_a_wrong_simulation_is_never_silently_the_real_thing(monkeypatch):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "many")
    with pytest.raises(BadRequestError):
        gpu.status()


def test_a_status_gives_the_driver_back(nvml):
    gpu.status()
    nvml.fail("nvmlDeviceGetCount_v2", 999)
    gpu.status()
    assert nvml.calls()["nvmlInitWithFlags"] == nvml.calls()["nvmlShutdown"] == 2


def test_the_room_has_its_names_and_no_other():
    assert dir(gpu) == ["doctor", "open_backend", "release", "status", "who"]
    assert all(callable(getattr(gpu, name)) for name in dir(gpu))
    with pytest.raises(AttributeError, match="stauts"):
        _ = gpu.stauts


def test_a_backend_error_crosses_processes():
    error = pickle.loads(pickle.dumps(BackendError(State.BLOCKED, "No.", "Ask.")))
    assert (error.state, error.message, error.hint) == (State.BLOCKED, "No.", "Ask.")
