from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pynvml  # noqa: TID251 - the tests shut NVML down behind the backend's back
import pytest

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import ProcessMemory, State
from jupyter_gpu_ext.gpu.nvml import NvmlBackend
from tests.contracts.device_backend import DeviceBackendContract
from tests.nvml.build import build
from tests.nvml.control import Control

from .conftest import NVML_CODES

NO_SUCH_CALL = {3, 13, 25, 26}
# Every query: what is missing without it, and the older call that takes its place on older drivers.
QUERIES = {
    "nvmlDeviceGetMemoryInfo_v2": (
        {"memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes"},
        "nvmlDeviceGetMemoryInfo",
    ),
    "nvmlDeviceGetUtilizationRates": ({"utilization_ratio"}, ""),
    "nvmlDeviceGetTemperatureV": ({"temperature_celsius"}, "nvmlDeviceGetTemperature"),
    "nvmlDeviceGetPowerUsage": ({"power_watts"}, ""),
    "nvmlDeviceGetEnforcedPowerLimit": ({"power_limit_watts"}, ""),
    "nvmlDeviceGetClockInfo": ({"graphics_clock_hertz", "memory_clock_hertz"}, ""),
    "nvmlDeviceGetCurrentClocksEventReasons": ({"throttled_by"}, "nvmlDeviceGetCurrentClocksThrottleReasons"),
    "nvmlDeviceGetFanSpeed": ({"fan_ratio"}, ""),
    "nvmlDeviceGetTotalEnergyConsumption": ({"energy_joules"}, ""),
    "nvmlDeviceGetTotalEccErrors": ({"ecc_corrected_count", "ecc_uncorrected_count"}, ""),
    "nvmlDeviceGetRemappedRows": ({"remapped_rows_count", "needs_reset"}, ""),
    "nvmlDeviceGetCurrPcieLinkGeneration": ({"pcie_generation"}, ""),
    "nvmlDeviceGetCurrPcieLinkWidth": ({"pcie_width"}, ""),
    "nvmlDeviceGetPcieThroughput": ({"pcie_received_bytes_per_second", "pcie_sent_bytes_per_second"}, ""),
    "nvmlDeviceGetComputeRunningProcesses_v3": ({"processes"}, "nvmlDeviceGetComputeRunningProcesses_v2"),
}
ALL = set().union(*(fields for fields, _ in QUERIES.values()))
# What nothing is lost without.
SECONDARY = [
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
]
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
def opened(nvml, clock):
    """Open backends that are closed after the test."""
    backends = []

    def open_(**options):
        backends.append(NvmlBackend(**{"clock": clock, "pcie_throughput": True} | options))
        return backends[-1]

    yield open_
    for backend in backends:
        backend.close()


@pytest.fixture
def backend(nvml, opened):
    nvml.set("devices", 2)
    return opened()


def missing(backend):
    return [set(reading.unavailable) for reading in backend.sample()]


class TestContract(DeviceBackendContract):
    simulated = False


# A line of the control file, and the field that it shows in.
SAID = [
    ("used", 14_900_000_000, "memory_used_bytes", 14_900_000_000),
    ("used", 14_900_000_000, "memory_free_bytes", 8_600_000_000),
    ("reserved", 600_000_000, "memory_reserved_bytes", 600_000_000),
    ("busy", 52, "utilization_ratio", 0.52),
    ("temperature", 61, "temperature_celsius", 61.0),
    ("power", 68_250, "power_watts", 68.25),
    ("power_limit", 72_000, "power_limit_watts", 72.0),
    ("graphics_clock", 1_815, "graphics_clock_hertz", 1_815_000_000),
    ("memory_clock", 6_251, "memory_clock_hertz", 6_251_000_000),
    ("throttle", 0, "throttled_by", ()),
    ("throttle", 1, "throttled_by", ()),
    ("throttle", 0x2 | 0x4, "throttled_by", ("application clocks", "power limit")),
    ("throttle", 0x8 | 0x40, "throttled_by", ("hardware slowdown", "overheating")),
    ("throttle", 0x10 | 0x20 | 0x80, "throttled_by", ("sync boost", "temperature", "power brake")),
    ("throttle", 0x101 | 0x8000, "throttled_by", ("display clocks", "reason 0x8000")),
    ("fan", 35, "fan_ratio", 0.35),
    ("energy", 123_456, "energy_joules", 123.456),
    ("ecc_corrected", 7, "ecc_corrected_count", 7),
    ("ecc_uncorrected", 2, "ecc_uncorrected_count", 2),
    ("rows_corrected", 3, "remapped_rows_count", 3),
    ("rows_uncorrected", 1, "remapped_rows_count", 1),
    ("needs_reset", 1, "needs_reset", True),
    ("needs_reset", 0, "needs_reset", False),
    ("pcie_generation", 5, "pcie_generation", 5),
    ("pcie_width", 8, "pcie_width", 8),
    ("pcie_received", 3, "pcie_received_bytes_per_second", 3 * 1024),
    ("pcie_sent", 5, "pcie_sent_bytes_per_second", 5 * 1024),
]


@pytest.mark.parametrize(("key", "said", "field", "value"), SAID)
def test_reads_what_the_driver_says(nvml, backend, key, said, field, value):
    nvml.set(f"{key} 1", said)
    assert getattr(backend.sample()[1], field) == pytest.approx(value)


def test_names_a_device_as_the_driver_does(nvml):
    nvml.set("name 0", "NVIDIA L4")
    nvml.set("uuid 0", "GPU-1234")
    nvml.set("total 0", 24_000_000_000)
    backend = NvmlBackend()
    (device,) = backend.devices()
    backend.close()
    assert (device.name, device.uuid, device.memory_total_bytes) == ("NVIDIA L4", "GPU-1234", 24_000_000_000)
    assert (device.slice_of, device.shares_memory) == (None, False)
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


@pytest.mark.parametrize("symbol", [*QUERIES, *SECONDARY])
def test_a_refused_query_is_a_reason_on_its_device_and_hides_nothing_else(nvml, backend, clock, symbol):
    fields, older = QUERIES.get(symbol, (set(), ""))
    nvml.fail(older or "none", 3)
    for code in NVML_CODES:
        nvml.fail(symbol, code, device=1)
        good, bad = backend.sample()
        assert good.unavailable == {}
        shares = symbol == "nvmlDeviceGetMemoryInfo_v2" and code in NO_SUCH_CALL
        assert set(bad.unavailable) == (set() if shares else fields), code
        assert all(bad.unavailable.values())
        nvml.heal(symbol, device=1)
        if code in NO_SUCH_CALL:
            clock.advance(600)
        assert missing(backend) == [set(), set()], code


@pytest.mark.parametrize("symbol", [symbol for symbol, (_, older) in QUERIES.items() if older])
@pytest.mark.parametrize("code", sorted(NO_SUCH_CALL))
def test_an_older_call_takes_the_place_of_one_that_an_older_driver_does_not_know(nvml, backend, symbol, code):
    nvml.fail(symbol, code)
    missing(backend)
    lost = {"memory_reserved_bytes"} if symbol == "nvmlDeviceGetMemoryInfo_v2" else set()
    before = nvml.calls()
    assert missing(backend) == [lost, lost]
    asked = nvml.calls() - before
    assert (asked[symbol], asked[QUERIES[symbol][1]] > 0) == (0, True)


def test_the_older_layout_of_memory_counts_the_drivers_part_as_used(nvml, opened):
    nvml.set("used 0", 7_000_000_000)
    nvml.set("reserved 0", 1_000_000_000)
    nvml.fail("nvmlDeviceGetMemoryInfo_v2", 13)
    (reading,) = opened().sample()
    assert (reading.memory_used_bytes, reading.memory_reserved_bytes) == (8_000_000_000, None)


@pytest.mark.parametrize("code", sorted(NO_SUCH_CALL))
def test_what_a_device_does_not_know_is_asked_again_after_ten_minutes_only(nvml, backend, clock, code):
    nvml.fail("nvmlDeviceGetFanSpeed", code, device=1)
    for _ in range(10):
        assert missing(backend) == [set(), {"fan_ratio"}]
        clock.advance(1)
    assert nvml.calls()["nvmlDeviceGetFanSpeed"] == 11
    nvml.heal("nvmlDeviceGetFanSpeed", device=1)
    clock.advance(580)
    assert missing(backend) == [set(), {"fan_ratio"}]
    clock.advance(10)
    assert missing(backend) == [set(), set()]


def test_what_a_device_does_not_know_is_asked_again_when_its_handle_is_a_new_one(nvml, backend):
    nvml.fail("nvmlDeviceGetFanSpeed", 3)
    missing(backend)
    nvml.heal("nvmlDeviceGetFanSpeed")
    assert missing(backend) == [{"fan_ratio"}] * 2
    nvml.set("generation", 1)
    missing(backend)
    assert missing(backend) == [set(), set()]


def test_trouble_with_one_query_takes_no_handle_away(nvml, backend):
    for code in (2, 999):
        nvml.fail("nvmlDeviceGetFanSpeed", code)
        before = nvml.calls()["nvmlDeviceGetHandleByIndex_v2"]
        for _ in range(3):
            assert missing(backend) == [{"fan_ratio"}] * 2
        assert nvml.calls()["nvmlDeviceGetHandleByIndex_v2"] == before


def test_the_link_is_watched_only_when_asked_for(nvml, opened):
    (reading,) = opened(pcie_throughput=False).sample()
    assert set(reading.unavailable) == {"pcie_received_bytes_per_second", "pcie_sent_bytes_per_second"}
    assert all(reason.startswith("off") for reason in reading.unavailable.values())
    assert nvml.calls()["nvmlDeviceGetPcieThroughput"] == 0


def test_all_bits_set_is_no_number(nvml, opened):
    nvml.set("used 0", 2**64 - 1)
    numbers = ["busy", "temperature", "power", "power_limit", "graphics_clock", "memory_clock", "fan", "pcie_width"]
    for key in numbers:
        nvml.set(f"{key} 0", 2**32 - 1)
    for key in ("throttle", "energy", "ecc_corrected"):
        nvml.set(f"{key} 0", 2**64 - 1)
    (reading,) = opened().sample()
    assert len(reading.unavailable) == len(numbers) + 4
    assert set(reading.unavailable.values()) == {"the driver gave no value"}


def test_a_card_without_memory_of_its_own_has_the_systems(nvml, opened):
    for symbol in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"):
        nvml.fail(symbol, 3)
    nvml.set("compute 0", "41:500000000")
    backend = opened()
    (device,), (reading,) = backend.devices(), backend.sample()
    total = psutil.virtual_memory().total
    assert (device.shares_memory, device.memory_total_bytes) == (True, total)
    assert 0 < reading.memory_used_bytes < total
    assert reading.memory_used_bytes + reading.memory_free_bytes == total
    assert reading.processes == (ProcessMemory(pid=41, memory_bytes=500_000_000),)
    assert reading.unavailable == {}


def test_a_card_that_may_not_be_asked_does_not_share_memory(nvml, opened):
    nvml.fail("nvmlDeviceGetMemoryInfo_v2", 4)
    (device,) = opened().devices()
    assert (device.shares_memory, device.memory_total_bytes) == (False, None)


def test_a_name_that_is_no_utf_8_is_shown_as_far_as_it_goes(nvml):
    nvml.set("name 0", b"NVIDIA \xff L4")
    assert gpu.status().devices[0].name == "NVIDIA \ufffd L4"


def test_a_device_that_says_nothing_is_still_a_device(nvml):
    for symbol in ("nvmlDeviceGetName", "nvmlDeviceGetUUID", *QUERIES):
        nvml.fail(symbol, 4)
    status = gpu.status()
    (device,), (reading,) = status.devices, status.now
    assert (device.name, device.uuid, device.memory_total_bytes) == ("name not reported", "index-0", None)
    assert set(reading.unavailable) == ALL


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
    for symbol in (*QUERIES, "nvmlDeviceGetHandleByIndex_v2"):
        nvml.fail(symbol, 15, device=1)
    for _ in range(2):
        good, lost = backend.sample()
        assert good.unavailable == {}
        assert lost.unavailable == dict.fromkeys(ALL, "the GPU is lost")
        assert backend.devices() == before
    for symbol in (*QUERIES, "nvmlDeviceGetHandleByIndex_v2"):
        nvml.heal(symbol, device=1)
    assert missing(backend) == [set(), set()]


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


def in_a_new_process(code, library_folder=None, **variables):
    environ = {**os.environ, "JUPYTER_GPU_SIMULATED": "", **variables}
    environ |= {"LD_LIBRARY_PATH": str(library_folder)} if library_folder else {}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


def test_the_library_is_missing(tmp_path):
    # An empty file stands in for a missing one, so that a real driver is not found either.
    (tmp_path / "libnvidia-ml.so.1").touch()
    printed = in_a_new_process("from jupyter_gpu_ext import gpu; print(gpu.status())", tmp_path)
    assert printed.startswith("No NVIDIA driver here (libnvidia-ml.so.1 not found).")


def test_a_library_without_the_newer_symbols_still_tells_all(tmp_path):
    control = Control(tmp_path)
    control.set("compute 0", "41:500000000")
    newer = [symbol for symbol, (_, older) in QUERIES.items() if older]
    folder = build(tmp_path, without=(*newer, "nvmlDeviceGetMigMode")).parent
    code = "from jupyter_gpu_ext import gpu; (now,) = gpu.status().now; print(sorted(now.unavailable), now.processes)"
    printed = in_a_new_process(code, folder, FAKE_NVML=str(control.file))
    off = ["pcie_received_bytes_per_second", "pcie_sent_bytes_per_second"]
    assert printed == f"{['memory_reserved_bytes', *off]} (ProcessMemory(pid=41, memory_bytes=500000000),)\n"
    assert not set(control.calls()) & set(newer)


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
