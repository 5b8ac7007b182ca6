"""What the panel is told when the driver does not answer; the real pynvml drives a fake driver."""

from __future__ import annotations

import ctypes

import pytest

from tests.nvml.build import build
from tests.nvml.control import Control
from tests.server.contract import check
from tests.server.live import environment, running, wait_until


@pytest.fixture(scope="module")
def _preloaded(tmp_path_factory):
    # By its soname it is now what pynvml gets for "libnvidia-ml.so.1".
    return ctypes.CDLL(str(build(tmp_path_factory.mktemp("nvml"))))


@pytest.fixture
def driver(_preloaded, tmp_path):
    control = Control(tmp_path)
    with environment(FAKE_NVML=str(control.file), JUPYTER_GPU_SIMULATED=""):
        yield control


def first_status(server):
    def answered():
        status = check("/gpu/status", server.get("/gpu/status"))
        return status["state"] != "starting" and status

    return wait_until(answered)


STATES = {
    "driver not loaded": (9, "no_gpu", "driver"),
    "version mismatch": (18, "broken", "updated under you"),
    "no permission": (4, "blocked", "permission"),
    "unknown error": (999, "broken", "unknown"),
    "GPU lost": (15, "broken", "lost"),
}


@pytest.mark.parametrize(("code", "state", "word"), STATES.values(), ids=STATES)
def test_a_driver_that_does_not_answer_is_a_state_with_a_reason_and_a_hint(driver, tmp_path, code, state, word):
    driver.fail("nvmlInitWithFlags", code)
    with running(tmp_path / "server") as server:
        status = first_status(server)
        assert (status["state"], status["devices"], status["simulated"]) == (state, [], False)
        assert word in status["reason"].lower()
        assert status["hint"]
        assert server.get("/storage/connections").status == 200


def test_no_device(driver, tmp_path):
    driver.set("devices", 0)
    with running(tmp_path / "server") as server:
        assert first_status(server)["state"] == "no_gpu"


def test_devices_and_what_is_not_known_of_them(driver, tmp_path):
    driver.set("devices", 2)
    driver.set("used 0", 7_000_000_000)
    driver.fail("nvmlDeviceGetUtilizationRates", 3, device=1)
    with running(tmp_path / "server") as server:
        status = first_status(server)
    first, second = (device["now"] for device in status["devices"])
    off = {"pcie_received_bytes_per_second", "pcie_sent_bytes_per_second"}
    assert (status["state"], first["memory_used_bytes"], set(first["unavailable"])) == ("ok", 7_000_000_000, off)
    assert second["utilization_ratio"] is None
    assert set(second["unavailable"]) == {"utilization_ratio", *off}
    assert [one["utilization_ratio"] for one in status["samples"][-1]["devices"]] == [0.0, None]


def test_slices_and_a_card_that_shares_memory(driver, tmp_path):
    driver.set("devices", 2)
    driver.set("mig 0", 1)
    driver.set("slices 0", 2)
    for symbol in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"):
        driver.fail(symbol, 3, device=1)
    with running(tmp_path / "server") as server:
        devices = first_status(server)["devices"]
    card = devices[0]["uuid"]
    assert [one["slice_of"] for one in devices] == [None, card, card, None]
    assert [one["shares_memory"] for one in devices] == [False, False, False, True]
    assert all(one["now"]["memory_used_bytes"] is not None for one in devices)
