from __future__ import annotations

import json
import math
import pickle
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


def test_prints_one_line_a_device(nvml):
    nvml.set("devices", 3)
    for key, value in {"name 0": "NVIDIA L4", "used 0": 14_900_000_000, "busy 0": 52}.items():
        nvml.set(key, value)
    nvml.set("name 1", "NVIDIA\x1b[31m L4")
    nvml.fail("nvmlDeviceGetUtilizationRates", 3, device=1)
    nvml.fail("nvmlDeviceGetMemoryInfo_v2", 4, device=2)
    assert repr(gpu.status()).splitlines() == [
        "GPU 0 · NVIDIA L4          14.9 / 24.0 GB                             busy 52 %",
        r"GPU 1 · NVIDIA\x1b[31m L4  300 MB / 24.0 GB                           busy unknown (not supported)",
        "GPU 2 · NVIDIA Fake        memory unknown (insufficient permissions)  busy 0 %",
    ]


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
    assert dir(gpu) == ["doctor", "open_backend", "status"]
    assert all(callable(getattr(gpu, name)) for name in dir(gpu))
    with pytest.raises(AttributeError, match="stauts"):
        _ = gpu.stauts


def test_a_backend_error_crosses_processes():
    error = pickle.loads(pickle.dumps(BackendError(State.BLOCKED, "No.", "Ask.")))
    assert (error.state, error.message, error.hint) == (State.BLOCKED, "No.", "Ask.")
