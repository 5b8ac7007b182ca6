from __future__ import annotations

import logging
import threading
import time

import pytest

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.gpu import open_backend, pace
from jupyter_gpu_ext.gpu.backend import BackendError
from jupyter_gpu_ext.gpu.models import State
from jupyter_gpu_ext.gpu.nvml import NvmlBackend
from jupyter_gpu_ext.gpu.sampler import Sampler
from jupyter_gpu_ext.gpu.simulated import SimulatedBackend

from .conftest import NVML_CODES, wait_until

# So long that only being asked can explain a second sample.
NEVER = 3600.0


@pytest.fixture
def running():
    samplers = []

    def run(open_backend, **options):
        samplers.append(Sampler(open_backend, **options))
        samplers[-1].start()
        return samplers[-1]

    yield run
    for sampler in samplers:
        sampler.stop()


def test_starts_with_a_sentence():
    status = Sampler(SimulatedBackend).status()
    assert (status.state, status.cursor, status.samples) == (State.STARTING, 0, ())
    assert status.reason


def test_hands_out_only_what_is_new():
    sampler = Sampler(SimulatedBackend, wall_clock=lambda: 12.5)
    for _ in range(5):
        sampler.poll()
    status = sampler.status(since=3)
    assert status.cursor == 5
    assert [(sample.cursor, sample.time) for sample in status.samples] == [(4, 12.5), (5, 12.5)]
    assert sampler.status(since=status.cursor).samples == ()


def test_a_cursor_of_an_earlier_server_gets_everything():
    sampler = Sampler(SimulatedBackend)
    sampler.poll()
    assert [sample.cursor for sample in sampler.status(since=9000).samples] == [1]


def test_the_driver_is_asked_as_often_for_many_as_for_one(nvml):
    sampler = Sampler(NvmlBackend)
    sampler.poll()
    before = nvml.calls()
    sampler.poll()
    one = nvml.calls() - before

    before = nvml.calls()
    callers = [threading.Thread(target=lambda: [sampler.status() for _ in range(50)]) for _ in range(8)]
    for caller in callers:
        caller.start()
    sampler.poll()
    for caller in callers:
        caller.join()
    assert nvml.calls() - before == one
    assert set(one.values()) == {1, 2}
    sampler.stop()


def test_samples_by_itself_until_stopped(nvml, running):
    sampler = running(open_backend, interval_seconds=0.01)
    wait_until(lambda: sampler.status().cursor >= 3)
    sampler.stop()
    assert nvml.calls()["nvmlInitWithFlags"] == nvml.calls()["nvmlShutdown"] == 1


@pytest.mark.parametrize(
    "symbol", ["nvmlDeviceGetCount_v2", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetComputeRunningProcesses_v3"]
)
def test_a_hanging_driver_stops_no_caller(nvml, running, symbol):
    sampler = running(open_backend, interval_seconds=0.01, stale_seconds=0.1)
    wait_until(lambda: sampler.status().state is State.OK)
    nvml.set(f"latency {symbol}", 3_600_000)

    def stale():
        started = time.monotonic()
        status = sampler.status()
        assert time.monotonic() - started < 1
        return status.stale and status

    status = wait_until(stale)
    assert status.state is State.OK
    assert len(status.devices) == 1
    assert "has not answered" in str(status)
    cursor = status.cursor
    nvml.unset(f"latency {symbol}")
    wait_until(lambda: sampler.status().cursor > cursor and not sampler.status().stale)


def test_a_driver_that_hangs_from_the_start_is_stale_too(nvml, running):
    nvml.set("latency nvmlInitWithFlags", 3_600_000)
    sampler = running(open_backend, interval_seconds=0.01, stale_seconds=0.1)
    assert wait_until(lambda: sampler.status().stale and sampler.status()).state is State.STARTING
    nvml.unset("latency nvmlInitWithFlags")
    wait_until(lambda: sampler.status().state is State.OK)


class Waiting(SimulatedBackend):
    """Answers when told so."""

    def __init__(self):
        super().__init__()
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def sample(self):
        self.asked.set()
        self.may_answer.wait()
        return super().sample()


def test_stale_means_that_the_driver_was_asked_five_seconds_ago(running, clock):
    backend = Waiting()
    sampler = running(lambda: backend, interval_seconds=NEVER, clock=clock)
    assert backend.asked.wait(20)
    clock.advance(5)
    assert not sampler.status().stale
    clock.advance(0.1)
    assert sampler.status().stale
    backend.may_answer.set()
    wait_until(lambda: sampler.status().cursor == 1)
    clock.advance(50)
    # It is not asked just now: nobody waits for it.
    assert not sampler.status().stale


@pytest.mark.parametrize("state", [State.OK, State.NO_GPU])
def test_who_comes_after_a_rest_finds_nothing_stale(nvml, clock, state):
    nvml.set("devices", int(state is State.OK))
    sampler = Sampler(open_backend, clock=clock)
    sampler.poll()
    clock.advance(3000)
    assert (sampler.status().state, sampler.status().stale) == (state, False)
    sampler.stop()


def test_slows_down_when_nobody_asks_and_is_back_at_once(running, clock):
    sampler = running(SimulatedBackend, interval_seconds=NEVER, clock=clock)
    wait_until(lambda: sampler.status().cursor == 1)
    clock.advance(61)
    sampler.status()
    wait_until(lambda: sampler.status().cursor == 2)


def test_the_history_goes_on_while_nobody_asks(running, clock, monkeypatch):
    monkeypatch.setattr(pace, "UNWATCHED_REST_SECONDS", 0.01)
    wall = [1_700_000_000.0]

    def a_minute_later():
        wall[0] += 60
        return wall[0]

    sampler = running(SimulatedBackend, interval_seconds=0.01, clock=clock, wall_clock=a_minute_later)
    clock.advance(100)
    wait_until(lambda: len(sampler.history()["times"]) > 20)
    (device,) = sampler.history()["devices"]
    assert None not in device["power_watts"]


def test_a_sample_says_what_storage_gave_meanwhile():
    sampler = Sampler(SimulatedBackend, storage_rate=lambda: 5e6)
    sampler.poll()
    assert [sample.storage_bytes_per_second for sample in sampler.status().samples] == [5e6]
    assert sampler.history()["storage_bytes_per_second"] == [5e6]


def test_asking_once_is_good_for_a_minute(nvml, running, clock):
    sampler = running(open_backend, interval_seconds=0.01, clock=clock)
    wait_until(lambda: sampler.status().cursor)
    clock.advance(61)
    sampler.status()
    before = nvml.calls()["nvmlDeviceGetCount_v2"]
    wait_until(lambda: nvml.calls()["nvmlDeviceGetCount_v2"] >= before + 5)


def test_ok_broken_ok_without_a_restart(nvml):
    sampler = Sampler(open_backend)
    sampler.poll()
    nvml.fail("nvmlDeviceGetCount_v2", 999)
    for _ in range(2):
        sampler.poll()
    status = sampler.status()
    assert (status.state, status.devices, status.cursor) == (State.BROKEN, (), 1)
    assert status.reason
    assert status.hint
    nvml.heal("nvmlDeviceGetCount_v2")
    sampler.poll()
    status = sampler.status()
    assert (status.state, status.reason, status.cursor, len(status.devices)) == (State.OK, "", 2, 1)
    sampler.stop()


@pytest.mark.parametrize("symbol", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"])
def test_whatever_the_driver_refuses_the_next_poll_finds_it_well_again(nvml, symbol):
    sampler = Sampler(open_backend)
    for code in NVML_CODES:
        # The next poll opens the driver anew.
        nvml.fail("nvmlDeviceGetCount_v2", 999)
        sampler.poll()
        nvml.heal("nvmlDeviceGetCount_v2")
        nvml.fail(symbol, code)
        sampler.poll()
        failed = sampler.status()
        assert failed.state in {State.BROKEN, State.BLOCKED, State.NO_GPU}, code
        assert failed.reason
        assert failed.hint
        nvml.heal(symbol)
        sampler.poll()
        assert (sampler.status().state, len(sampler.status().devices)) == (State.OK, 1), code
    sampler.stop()


def test_every_failure_gives_the_driver_back(nvml):
    sampler = Sampler(open_backend)
    for _ in range(3):
        nvml.fail("nvmlDeviceGetCount_v2", 999)
        sampler.poll()
        nvml.heal("nvmlDeviceGetCount_v2")
        sampler.poll()
    calls = nvml.calls()
    assert (calls["nvmlInitWithFlags"], calls["nvmlShutdown"]) == (4, 3)
    nvml.fail("nvmlDeviceGetCount_v2", 999)
    sampler.poll()


def test_a_wrong_configuration_is_shown_with_its_hint():
    def misconfigured():
        return open_backend({"JUPYTER_GPU_SIMULATED": "many"})

    sampler = Sampler(misconfigured)
    sampler.poll()
    status = sampler.status()
    assert status.state is State.BROKEN
    with pytest.raises(BadRequestError) as caught:
        misconfigured()
    assert (status.reason, status.hint) == (caught.value.message, caught.value.hint)


def test_a_surprise_ends_nothing(caplog):
    held = {}
    sampler = Sampler(lambda: SimulatedBackend(held_bytes=lambda: {"simulated-0": held["bytes"]}))
    for _ in range(3):
        sampler.poll()
    assert sampler.status().state is State.BROKEN
    assert "KeyError" in sampler.status().reason
    assert [record.exc_info is not None for record in caplog.records] == [False, True]
    held["bytes"] = 1
    sampler.poll()
    assert sampler.status().state is State.OK


def test_each_fault_is_logged_once(nvml, caplog):
    caplog.set_level(logging.INFO)
    nvml.set("devices", 2)
    nvml.set("mig 1", 1)
    nvml.set("slices 1", 2)
    nvml.fail("nvmlDeviceGetUtilizationRates", 3, device=0)
    nvml.fail("nvmlDeviceGetFanSpeed", 3, device=0)
    nvml.fail("nvmlDeviceGetUtilizationRates", 999, device=1)
    for slice_ in ("1.0", "1.1"):
        nvml.fail("nvmlDeviceGetUtilizationRates", 4, device=slice_)
    sampler = Sampler(open_backend)
    for _ in range(20):
        sampler.poll()
    said = sorted(record.getMessage().partition(": ")[2] for record in caplog.records)
    assert said == [
        "insufficient permissions (utilization_ratio)",
        "insufficient permissions (utilization_ratio)",
        "not supported (utilization_ratio, fan_ratio)",
        "unknown error (utilization_ratio)",
    ]
    sampler.stop()


@pytest.mark.parametrize(("state", "level"), [(State.NO_GPU, logging.INFO), (State.BROKEN, logging.WARNING)])
def test_a_machine_without_a_gpu_is_no_warning(caplog, state, level):
    caplog.set_level(logging.INFO)

    def refuse():
        raise BackendError(state, "No.", "Ask.")

    Sampler(refuse).poll()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(level, "No. — Ask.")]
