"""What a Prometheus that scrapes Jupyter Server gets; the real pynvml drives a fake driver."""

from __future__ import annotations

import asyncio
import ctypes
import threading

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from jupyter_gpu_ext.gpu.metrics import families
from jupyter_gpu_ext.gpu.models import State
from jupyter_gpu_ext.gpu.sampler import Sampler
from jupyter_gpu_ext.gpu.simulated import SimulatedBackend
from jupyter_gpu_ext.server.metrics import _STARTED, GpuCollector, _metric
from tests.gpu.conftest import Clock
from tests.gpu.readings import CARD, status
from tests.nvml.build import build
from tests.nvml.control import Control
from tests.server.live import environment, running, wait_until

OF_KERNELS = {"jupyter_gpu_kernels", "jupyter_gpu_storage_received_bytes_per_second"}


@pytest.fixture(scope="module")
def _preloaded(tmp_path_factory):
    # By its soname it is now what pynvml gets for "libnvidia-ml.so.1".
    return ctypes.CDLL(str(build(tmp_path_factory.mktemp("nvml"))))


@pytest.fixture
def driver(_preloaded, tmp_path):
    control = Control(tmp_path)
    with environment(FAKE_NVML=str(control.file), JUPYTER_GPU_SIMULATED=""):
        yield control


def scrape(server, *, token: bool = True):
    """Return our families on the server's page."""
    reply = server.request("GET", "/metrics", **({} if token else {"token": None}))
    assert reply.status == 200
    found = [one for one in read_text(reply.body.decode()) if one.name.startswith("jupyter_gpu_")]
    assert len({one.name for one in found}) == len(found), "a family stands there twice"
    return {one.name: one for one in found}


def number(found, name, /, **labels):
    family = found.get(f"jupyter_gpu_{name}")
    return next((one.value for one in family.samples if labels.items() <= one.labels.items()), None) if family else None


def state_of(server) -> str:
    (state,) = [one.labels["state"] for one in scrape(server)["jupyter_gpu_state"].samples if one.value == 1]
    return state


def test_simulated_gpus_are_on_the_servers_page_and_called_so(server):
    found = wait_until(lambda: (found := scrape(server)) and "jupyter_gpu_memory_used_bytes" in found and found)
    assert [one.labels["index"] for one in found["jupyter_gpu_memory_used_bytes"].samples] == ["0", "1"]
    assert number(found, "simulated") == 1
    assert number(found, "info", name="Simulated L4 24 GB") == 1


def test_the_page_needs_the_token(server):
    assert server.request("GET", "/metrics", token=None).status == 403


def test_the_kernels_are_asked_behind_the_scrapes_back(server, monkeypatch):
    rows = [{"id": "k", "path": "secret name.ipynb", "uses": [{"uuid": "simulated-1", "bytes": 5 * 10**9}]}]
    asked = threading.Event()

    async def report():
        asked.set()
        return rows

    monkeypatch.setattr(server.extension.kernels, "report", report)
    wait_until(lambda: number(scrape(server), "kernels_memory_bytes", uuid="simulated-1") == 5 * 10**9)
    assert asked.is_set()
    found = scrape(server)
    assert (number(found, "kernels"), number(found, "kernels_memory_bytes", uuid="simulated-0")) == (1, 0)
    assert b"secret name" not in server.request("GET", "/metrics").body


async def test_what_the_kernels_said_long_ago_is_not_told():
    clock = Clock()

    class NoKernels:
        async def report(self):
            return []

        def storage_rate(self):
            return 5e6

    def names():
        return {one.name for one in collector.collect()} & OF_KERNELS

    collector = GpuCollector(Sampler(SimulatedBackend), NoKernels(), clock=clock)
    collector.start()
    try:
        assert names() == set()
        await asyncio.sleep(0)
        await collector._asking
        assert names() == OF_KERNELS
        clock.advance(301)
        assert names() == set()
    finally:
        collector.stop()


def test_a_server_that_left_without_a_word_spoils_no_scrape(server):
    collector = GpuCollector(Sampler(SimulatedBackend), server.extension.kernels)

    async def start():
        collector.start()

    asyncio.run(start())
    try:
        assert state_of(server) == "starting"
    finally:
        collector.stop()
    wait_until(lambda: state_of(server) == "ok")


def test_a_driver_that_fails_and_comes_back_is_a_state(driver, tmp_path):
    with running(tmp_path / "server") as server:
        sampler = server.extension.sampler
        wait_until(lambda: state_of(server) == "ok")
        wait_until(lambda: number(scrape(server), "memory_used_bytes") == 300_000_000)
        driver.fail("nvmlDeviceGetCount_v2", 999)
        wait_until(lambda: state_of(server) == "broken")
        found = scrape(server)
        assert {one.labels["state"]: one.value for one in found["jupyter_gpu_state"].samples} == {
            one.value: float(one is State.BROKEN) for one in State
        }
        assert "jupyter_gpu_memory_used_bytes" not in found
        driver.heal("nvmlDeviceGetCount_v2")
        wait_until(lambda: state_of(server) == "ok")
        assert sampler.peek().state is State.OK


def test_a_scrape_asks_no_driver_and_keeps_nobody_awake(driver, tmp_path):
    with running(tmp_path / "server") as server:
        sampler = server.extension.sampler
        wait_until(lambda: state_of(server) == "ok")
        # From here on the devices are read by nobody but, if at all, the scrape.
        sampler.stop()
        before, asked_at = driver.calls(), sampler._asked_at
        for _ in range(20):
            assert number(scrape(server), "memory_used_bytes") == 300_000_000
        assert driver.calls() == before
        assert sampler._asked_at == asked_at


def test_a_driver_that_hangs_keeps_no_scraper_waiting(driver, tmp_path):
    with running(tmp_path / "server") as server:
        wait_until(lambda: state_of(server) == "ok")
        driver.set("latency nvmlDeviceGetCount_v2", 60_000)
        before = driver.calls()["nvmlDeviceGetCount_v2"]
        wait_until(lambda: driver.calls()["nvmlDeviceGetCount_v2"] > before)
        assert state_of(server) == "ok"
        driver.unset("latency nvmlDeviceGetCount_v2")


def test_of_two_servers_in_a_process_the_one_that_started_last_speaks(driver, tmp_path):
    before = list(_STARTED)
    driver.set("name 0", "first")
    with running(tmp_path / "one") as one:
        wait_until(lambda: number(scrape(one), "info", name="first"))
        with environment(JUPYTER_GPU_SIMULATED="1xL4"), running(tmp_path / "two") as two:
            wait_until(lambda: number(scrape(two), "info", name="Simulated L4 24 GB"))
            assert number(scrape(one), "simulated") == 1
        assert number(scrape(one), "info", name="first") == 1
    assert before == _STARTED
    assert sum(type(one) is GpuCollector for one in REGISTRY._collector_to_names) == len(before)


def test_without_a_token_where_the_hub_says_so(tmp_path):
    with (
        environment(JUPYTER_GPU_SIMULATED="1"),
        running(tmp_path / "server", authenticate_prometheus=False) as server,
    ):
        wait_until(lambda: "jupyter_gpu_info" in scrape(server, token=False))


def test_the_families_are_open_metrics_too_and_counters_are_counters():
    class Everything:
        def collect(self):
            return map(_metric, families(status(), []))

    text = openmetrics.generate_latest(Everything()).decode()
    found = {one.name: one for one in read_openmetrics(text)}
    kinds = {name: one.type for name, one in found.items() if one.type != "gauge"}
    assert kinds == {"jupyter_gpu_energy_joules": "counter", "jupyter_gpu_ecc_errors": "counter"}
    assert number(found, "energy_joules", uuid=CARD) == 81_234.5
    assert {one.name for one in found["jupyter_gpu_ecc_errors"].samples} == {"jupyter_gpu_ecc_errors_total"}
