from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pynvml  # noqa: TID251 - the tests shut NVML down behind the backend's back
import pytest

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import State
from jupyter_gpu_ext.gpu.nvml import NvmlBackend
from tests.contracts.device_backend import DeviceBackendContract

from .conftest import NVML_CODES

SYMBOLS = {"memory_used_bytes": "nvmlDeviceGetMemoryInfo_v2", "utilization_ratio": "nvmlDeviceGetUtilizationRates"}
NO_SUCH_CALL = {3, 13, 25, 26}
STATES = {
    3: State.BLOCKED,
    4: State.BLOCKED,
    6: State.NO_GPU,
    9: State.NO_GPU,
    12: State.NO_GPU,
    17: State.BLOCKED,
    28: State.NO_GPU,
}


@pytest.fixture
def backend(nvml):
    nvml.set("devices", 2)
    backend = NvmlBackend()
    yield backend
    backend.close()


class TestContract(DeviceBackendContract):
    simulated = False


def test_reads_what_the_driver_says(nvml):
    nvml.set("name 0", "NVIDIA L4")
    nvml.set("uuid 0", "GPU-1234")
    nvml.set("total 0", 24_000_000_000)
    nvml.set("used 0", 14_900_000_000)
    nvml.set("busy 0", 52)
    backend = NvmlBackend()
    (device,), (reading,) = backend.devices(), backend.sample()
    backend.close()
    assert (device.name, device.uuid, device.memory_total_bytes) == ("NVIDIA L4", "GPU-1234", 24_000_000_000)
    assert (reading.memory_used_bytes, reading.utilization_ratio) == (14_900_000_000, 0.52)
    assert nvml.calls()["nvmlInitWithFlags"] == nvml.calls()["nvmlShutdown"] == 1


@pytest.mark.parametrize("symbol", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"])
@pytest.mark.parametrize("code", NVML_CODES)
def test_every_code_while_opening_becomes_a_state_with_a_reason_and_a_hint(nvml, symbol, code):
    nvml.fail(symbol, code)
    with pytest.raises(BackendError) as caught:
        NvmlBackend()
    assert caught.value.state is STATES.get(code, State.BROKEN)
    assert caught.value.message.endswith(".")
    assert caught.value.hint
    assert "{" not in str(caught.value)
    nvml.heal(symbol)
    NvmlBackend().close()
    failed_inits = symbol == "nvmlInitWithFlags"
    assert nvml.calls()["nvmlInitWithFlags"] - failed_inits == nvml.calls()["nvmlShutdown"]


def test_no_device_is_no_gpu(nvml):
    nvml.set("devices", 0)
    with pytest.raises(BackendError, match="shows no GPU here") as caught:
        NvmlBackend()
    assert caught.value.state is State.NO_GPU
    assert nvml.calls()["nvmlShutdown"] == 1


@pytest.mark.parametrize(
    "line",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 22:50:36 UTC 2025\nGCC 12.3.0\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)\n",
    ],
)
def test_an_updated_driver_is_told_with_both_versions(nvml, tmp_path, line):
    file = tmp_path / "version"
    file.write_text(line)
    nvml.fail("nvmlInitWithFlags", 18)
    nvml.set("version", "12.580.65.06")
    with pytest.raises(BackendError) as caught:
        NvmlBackend(module_version_file=file)
    assert caught.value.message == "The driver was updated under you: module 570.86.15, library 580.65.06."


def test_an_updated_driver_without_versions_is_still_a_sentence(nvml, tmp_path):
    nvml.fail("nvmlInitWithFlags", 18)
    nvml.fail("nvmlSystemGetNVMLVersion", 999)
    with pytest.raises(BackendError, match="module unknown, library of another version"):
        NvmlBackend(module_version_file=tmp_path / "absent")


@pytest.mark.parametrize(("metric", "symbol"), SYMBOLS.items())
@pytest.mark.parametrize("code", NVML_CODES)
def test_a_refused_metric_is_none_with_a_reason_and_hides_nothing_else(nvml, backend, metric, symbol, code):
    nvml.fail(symbol, code, device=1)
    nvml.fail("nvmlDeviceGetMemoryInfo", 3)
    (other,) = set(SYMBOLS) - {metric}
    good, bad = backend.sample()
    assert good.unavailable == {}
    assert set(bad.unavailable) == {metric}
    assert bad.unavailable[metric]
    assert getattr(bad, metric) is None
    assert getattr(bad, other) is not None
    nvml.heal(symbol, device=1)
    assert [reading.unavailable for reading in backend.sample()] == [{}, {}]


@pytest.mark.parametrize("code", NVML_CODES)
def test_memory_falls_back_to_the_older_call_where_the_newer_is_missing(nvml, backend, code):
    nvml.set("used 0", 7_000_000_000)
    nvml.set("reserved 0", 1_000_000_000)
    nvml.fail("nvmlDeviceGetMemoryInfo_v2", code)
    reading = backend.sample()[0]
    assert reading.memory_used_bytes == (8_000_000_000 if code in NO_SUCH_CALL else None)


def test_all_bits_set_is_no_number(nvml, backend):
    nvml.set("used 0", 2**64 - 1)
    nvml.set("busy 0", 2**32 - 1)
    reading = backend.sample()[0]
    assert (reading.memory_used_bytes, reading.utilization_ratio) == (None, None)
    assert set(reading.unavailable.values()) == {"the driver gave no value"}


def test_a_name_that_is_no_utf_8_is_shown_as_far_as_it_goes(nvml):
    nvml.set("name 0", b"NVIDIA \xff L4")
    assert gpu.status().devices[0].name == "NVIDIA \ufffd L4"


def test_a_device_without_name_uuid_and_memory_is_still_a_device(nvml):
    for symbol in ("GetName", "GetUUID", "GetMemoryInfo", "GetMemoryInfo_v2"):
        nvml.fail(f"nvmlDevice{symbol}", 3)
    (device,) = gpu.status().devices
    assert (device.name, device.uuid, device.memory_total_bytes) == ("name not reported", "index-0", None)


def test_a_total_that_is_known_late_is_shown_and_then_kept(nvml):
    nvml.fail("nvmlDeviceGetMemoryInfo_v2", 4)
    backend = NvmlBackend()
    totals = [backend.devices()[0].memory_total_bytes]
    nvml.heal("nvmlDeviceGetMemoryInfo_v2")
    backend.sample()
    totals.append(backend.devices()[0].memory_total_bytes)
    nvml.fail("nvmlDeviceGetMemoryInfo_v2", 999)
    for _ in range(2):
        assert backend.sample()[0].memory_used_bytes is None
    totals.append(backend.devices()[0].memory_total_bytes)
    backend.close()
    assert totals == [None, 24_000_000_000, 24_000_000_000]


def test_one_of_two_devices_is_lost_and_comes_back(nvml, backend):
    before = backend.devices()
    for symbol in (*SYMBOLS.values(), "nvmlDeviceGetHandleByIndex_v2"):
        nvml.fail(symbol, 15, device=1)
    for _ in range(2):
        good, lost = backend.sample()
        assert good.unavailable == {}
        assert lost.unavailable == dict.fromkeys(SYMBOLS, "the GPU is lost")
        assert backend.devices() == before
    for symbol in (*SYMBOLS.values(), "nvmlDeviceGetHandleByIndex_v2"):
        nvml.heal(symbol, device=1)
    assert [reading.unavailable for reading in backend.sample()] == [{}, {}]


def test_handles_that_died_are_taken_anew_at_the_next_sample(nvml, backend):
    nvml.set("generation", 1)
    assert all("the GPU is lost" in reading.unavailable.values() for reading in backend.sample())
    assert [reading.unavailable for reading in backend.sample()] == [{}, {}]


def test_survives_a_shutdown_by_someone_else_in_the_process(backend):
    pynvml.nvmlShutdown()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    assert [reading.unavailable for reading in backend.sample()] == [{}, {}]


def test_a_device_that_appears_is_sampled(nvml, backend):
    nvml.set("devices", 3)
    assert len(backend.sample()) == len(backend.devices()) == 3


def test_the_binding_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    status = gpu.status()
    assert status.state is State.BLOCKED
    assert "nvidia-ml-py is missing" in status.reason


def in_a_new_process(code, library_folder=None):
    environ = {**os.environ, "JUPYTER_GPU_SIMULATED": ""}
    environ |= {"LD_LIBRARY_PATH": str(library_folder)} if library_folder else {}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


def test_the_library_is_missing(tmp_path):
    # An empty file stands in for a missing one, so that a real driver is not found either.
    (tmp_path / "libnvidia-ml.so.1").touch()
    printed = in_a_new_process("from jupyter_gpu_ext import gpu; print(gpu.status())", tmp_path)
    assert printed.startswith("No NVIDIA driver here (libnvidia-ml.so.1 not found).")


def test_importing_the_room_imports_no_driver(fake_library):
    code = "import sys, jupyter_gpu_ext.gpu, jupyter_gpu_ext.gpu.api; print('pynvml' in sys.modules)"
    assert in_a_new_process(code, fake_library.parent) == "False\n"


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/dev/nvidia0").exists(), reason="no NVIDIA device here")
def test_a_real_device_answers():
    code = "import json; from jupyter_gpu_ext import gpu;"
    status = json.loads(in_a_new_process(code + "print(json.dumps(gpu.status().to_json()))"))
    assert (status["state"], status["simulated"]) == ("ok", False)
    assert all(device["uuid"].startswith("GPU-") for device in status["devices"])
    assert all(reading["memory_used_bytes"] for reading in status["samples"][0]["devices"])
