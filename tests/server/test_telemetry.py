"""One thread reads the driver, whoever asks the server, however often, and whatever the driver does."""

from __future__ import annotations

import ctypes
import threading
import time

import pytest
from traitlets.config import Config

from tests.nvml.build import build
from tests.nvml.control import Control
from tests.server.contract import check
from tests.server.live import environment, running, wait_until

INTERVAL_SECONDS = 0.5
PID = 987_654_321


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nvml")
    # By its soname it is now what pynvml gets for "libnvidia-ml.so.1".
    ctypes.CDLL(str(build(folder)))
    control = Control(folder)
    control.set("devices", 2)
    control.set("compute 0", f"{PID}:500000000")
    with environment(FAKE_NVML=str(control.file), JUPYTER_GPU_SIMULATED=""):
        yield control


@pytest.fixture(scope="module")
def driven(driver, tmp_path_factory):
    """One server on two cards of the fake driver."""
    asked = {"sample_interval_seconds": INTERVAL_SECONDS, "pcie_throughput": True}
    with running(tmp_path_factory.mktemp("server"), config=Config(GpuExtension=asked)) as server:
        wait_until(lambda: server.get("/gpu/status").json["state"] == "ok")
        yield server


def status(server, **arguments):
    return check("/gpu/status", server.get("/gpu/status", **arguments))


def after_a_sample(server):
    """Return the cursor when it has moved."""
    before = status(server)["cursor"]
    return wait_until(lambda: (now := status(server)["cursor"]) > before and now)


class Clients:
    """Poll the status far more often than panels do, and remember how long each answer took."""

    def __init__(self, server, count):
        self.seconds = []
        self._server, self._stopped = server, threading.Event()
        self._threads = [threading.Thread(target=self._poll) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _poll(self):
        cursor = 0
        while not self._stopped.wait(0.02):
            begun = time.monotonic()
            cursor = self._server.get("/gpu/status", since=cursor).json["cursor"]
            self.seconds.append(time.monotonic() - begun)


def between_samples(server, driver):
    """Return the cursor and the calls so far at a moment when the driver is not being asked."""

    def quiet():
        calls, cursor = driver.calls(), server.extension.sampler.status().cursor
        time.sleep(INTERVAL_SECONDS / 10)
        return driver.calls() == calls and (cursor, calls, time.monotonic())

    return wait_until(quiet)


def calls_a_sample(server, driver, clients, samples=3):
    with Clients(server, clients) as polling:
        first, before, begun = between_samples(server, driver)
        wait_until(lambda: status(server)["cursor"] >= first + samples)
        last, after, ended = between_samples(server, driver)
    assert len(polling.seconds) > clients
    assert last - first <= (ended - begun) / INTERVAL_SECONDS + 1
    return {symbol: count / (last - first) for symbol, count in (after - before).items()}


def test_the_driver_is_asked_as_often_for_many_clients_as_for_one(driven, driver):
    one = calls_a_sample(driven, driver, clients=1)
    assert (one["nvmlDeviceGetCount_v2"], one["nvmlDeviceGetPowerUsage"]) == (1, 2)
    assert calls_a_sample(driven, driver, clients=8) == one


def test_the_link_is_watched_where_the_configuration_asks_for_it(driven, driver):
    driver.set("pcie_received 1", 4000)
    after_a_sample(driven)
    wait_until(lambda: status(driven)["devices"][1]["now"]["pcie_received_bytes_per_second"] == 4000 * 1024)
    assert status(driven)["devices"][1]["now"]["unavailable"] == {}


def test_processes_stay_on_the_server(driven):
    assert [one.pid for one in driven.extension.sampler.status().now[0].processes] == [PID]
    for path in ("/gpu/status", "/gpu/history"):
        assert str(PID).encode() not in driven.get(path).body


def test_a_driver_that_hangs_keeps_nobody_waiting(driven, driver):
    before = after_a_sample(driven)
    driver.set("latency nvmlDeviceGetPowerUsage", 3_600_000)
    try:
        with Clients(driven, 4) as polling:
            hanging = wait_until(lambda: (now := status(driven))["stale"] and now)
            assert driven.get("/gpu/history").status == driven.get("/storage/connections").status == 200
    finally:
        driver.unset("latency nvmlDeviceGetPowerUsage")
    # The limit is for a server that waits for its driver, not for a slow machine.
    assert max(polling.seconds) < 3
    assert (hanging["state"], len(hanging["devices"])) == ("ok", 2)
    assert all(device["now"]["memory_used_bytes"] for device in hanging["devices"])
    back = wait_until(lambda: not (now := status(driven))["stale"] and now["cursor"] > hanging["cursor"] and now)
    assert back["cursor"] > before


def test_ok_lost_ok_without_a_restart(driven, driver):
    for symbol, code in [("nvmlDeviceGetCount_v2", 999), ("nvmlDeviceGetHandleByIndex_v2", 15)]:
        driver.fail(symbol, code)
        driver.set("generation", code)
        lost = wait_until(lambda: (now := status(driven))["state"] == "broken" and now)
        assert lost["reason"]
        assert lost["hint"]
        assert driven.get("/storage/connections").status == 200
        driver.heal(symbol)
        back = wait_until(lambda: (now := status(driven))["state"] == "ok" and now)
        assert len(back["devices"]) == 2


def test_a_day_in_columns(server):
    wait_until(lambda: check("/gpu/history", server.get("/gpu/history"))["devices"])
    history = check("/gpu/history", server.get("/gpu/history"))
    assert [device["uuid"] for device in history["devices"]] == ["simulated-0", "simulated-1"]
    columns = [history["storage_bytes_per_second"]]
    for device in history["devices"]:
        columns += [value for value in device.values() if isinstance(value, list)]
        assert device["memory_used_bytes"][-1] > 0
        assert 0 <= device["utilization_ratio"][-1] <= 1
    assert {len(column) for column in columns} == {len(history["times"])}
    assert len(columns) == 9
    assert abs(history["times"][-1] - time.time()) < 3600
