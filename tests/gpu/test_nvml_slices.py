"""MIG slices: devices of their own, and a part of their card."""

from __future__ import annotations

import pytest

from jupyter_gpu_ext.gpu.models import ProcessMemory
from jupyter_gpu_ext.gpu.nvml import NvmlBackend

from .conftest import NVML_CODES

# A slice has memory and processes of its own; what its card has for all of them is told there.
OWN = {"memory_used_bytes", "memory_free_bytes", "memory_reserved_bytes", "processes"}
NO_SUCH_CALL = {3, 13, 25, 26}


@pytest.fixture
def backend(nvml, clock):
    """Return a backend on a card with two slices and on a whole one."""
    nvml.set("devices", 2)
    nvml.set("mig 0", 1)
    nvml.set("slices 0", 2)
    nvml.set("mig 1", 0)
    backend = NvmlBackend(clock=clock)
    yield backend
    backend.close()


def shape(backend):
    return [(device.index, device.slice_of is not None) for device in backend.devices()]


def read(backend):
    return dict(zip(["card", "first", "second", "whole"], backend.sample(), strict=True))


def test_slices_stand_behind_their_card(backend):
    card, first, second, whole = backend.devices()
    assert shape(backend) == [(0, False), (0, True), (1, True), (1, False)]
    assert (first.slice_of, second.slice_of, whole.slice_of) == (card.uuid, card.uuid, None)
    assert len({device.uuid for device in backend.devices()}) == 4
    assert [reading.uuid for reading in backend.sample()] == [device.uuid for device in backend.devices()]


def test_a_slice_has_memory_of_its_own(nvml, backend):
    nvml.set("used 0.1", 4_000_000_000)
    reading = read(backend)
    assert reading["second"].memory_used_bytes == 4_000_000_000
    assert reading["first"].memory_used_bytes == 300_000_000
    assert backend.devices()[2].memory_total_bytes == 5_100_000_000


def test_what_belongs_to_the_card_is_not_asked_of_its_slices(nvml, backend):
    before = nvml.calls()
    reading = read(backend)
    asked = nvml.calls() - before
    assert asked["nvmlDeviceGetPowerUsage"] == 2
    reasons = reading["first"].unavailable
    assert not OWN & set(reasons)
    assert (reasons["power_watts"], reasons["utilization_ratio"]) == ("told for the whole card only", "not supported")
    assert reading["card"].power_watts is not None
    assert set(reading["card"].unavailable) - {"utilization_ratio"} == set(reading["whole"].unavailable)


def test_a_process_is_told_where_it_runs(nvml, backend):
    nvml.set("compute 0", "1:100")
    nvml.set("compute 0.0", "2:200")
    nvml.set("compute 0.1", "3:300")
    reading = read(backend)
    held = {name: {one.pid: one.memory_bytes for one in reading[name].processes} for name in reading}
    assert held == {"card": {1: 100}, "first": {2: 200}, "second": {3: 300}, "whole": {}}


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ({"name 0.0": "NVIDIA A100 MIG 1g.5gb"}, "NVIDIA A100 MIG 1g.5gb"),
        ({"name 0.0": "NVIDIA A100"}, "NVIDIA A100 MIG 1g.5gb"),
        ({"name 0.0": "NVIDIA A100", "gpu_slices 0.0": 3, "attributes_mib 0.0": 20096}, "NVIDIA A100 MIG 3g.20gb"),
        (
            {"name 0.0": "NVIDIA A100", "gpu_slices 0.0": 3, "compute_slices 0.0": 1, "attributes_mib 0.0": 20096},
            "NVIDIA A100 MIG 1c.3g.20gb",
        ),
    ],
)
def test_a_slice_is_named_with_its_profile(nvml, clock, lines, name):
    for key, value in {"mig 0": 1, "slices 0": 1, **lines}.items():
        nvml.set(key, value)
    backend = NvmlBackend(clock=clock)
    assert backend.devices()[1].name == name
    backend.close()


def test_a_container_that_may_see_its_slice_only(nvml, clock):
    nvml.set("mig 0", 1)
    nvml.set("slices 0", 1)
    nvml.fail("nvmlDeviceGetMemoryInfo_v2", 4, device=0)
    backend = NvmlBackend(clock=clock)
    card, slice_ = backend.sample()
    assert card.unavailable["memory_used_bytes"] == "insufficient permissions"
    assert slice_.memory_used_bytes is not None
    backend.close()


def test_a_card_that_is_cut_does_not_share_the_systems_memory(nvml, clock):
    nvml.set("mig 0", 1)
    nvml.set("slices 0", 1)
    for symbol in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"):
        nvml.fail(symbol, 3, device=0)
        nvml.fail(symbol, 3, device="0.0")
    backend = NvmlBackend(clock=clock)
    card, slice_ = backend.devices()
    assert (card.shares_memory, card.memory_total_bytes) == (False, None)
    # What it was cut with is known all the same.
    assert (slice_.shares_memory, slice_.memory_total_bytes) == (False, 4864 * 2**20)
    assert [reading.unavailable["memory_used_bytes"] for reading in backend.sample()] == ["not supported"] * 2
    backend.close()


def test_cards_are_cut_and_made_whole_while_we_look(nvml, backend):
    for lines, expected in [
        ({"mig 1": 1}, [(0, False), (0, True), (1, True), (1, False)]),
        ({"slices 1": 1}, [(0, False), (0, True), (1, True), (1, False), (0, True)]),
        ({"slices 0": 0}, [(0, False), (1, False), (0, True)]),
        ({"slices 1": 0, "mig 1": 0, "mig 0": 0}, [(0, False), (1, False)]),
    ]:
        for key, value in lines.items():
            nvml.set(key, value)
        readings = backend.sample()
        assert shape(backend) == expected
        assert len(readings) == len(expected)
    assert all(reading.utilization_ratio is not None for reading in backend.sample())


def test_a_slice_that_is_cut_anew_is_another_device(nvml, backend):
    before = [device.uuid for device in backend.devices()]
    nvml.set("uuid 0.0", "MIG-new")
    backend.sample()
    assert [device.uuid for device in backend.devices()] == [before[0], "MIG-new", *before[2:]]


@pytest.mark.parametrize(
    "symbol", ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetUUID"]
)
def test_trouble_of_one_slice_is_its_own(nvml, backend, clock, symbol):
    for older in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetComputeRunningProcesses_v2"):
        nvml.fail(older, 3, device="0.0")
    healthy = {name: set(reading.unavailable) for name, reading in read(backend).items()}
    before = backend.devices()
    for code in NVML_CODES:
        nvml.fail(symbol, code, device="0.0")
        found = {name: set(reading.unavailable) for name, reading in read(backend).items()}
        assert {**found, "first": None} == {**healthy, "first": None}
        nvml.heal(symbol, device="0.0")
        clock.advance(600)
        assert {name: set(reading.unavailable) for name, reading in read(backend).items()} == healthy
    assert backend.devices() == before


@pytest.mark.parametrize(
    "symbol",
    ["nvmlDeviceGetMigMode", "nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMigDeviceHandleByIndex"],
)
def test_slices_are_back_at_the_next_sample_whatever_went_wrong(nvml, backend, clock, symbol):
    before = backend.devices()
    for code in NVML_CODES:
        nvml.fail(symbol, code, device="0.0" if "Handle" in symbol else 0)
        readings = {reading.uuid: reading for reading in backend.sample()}
        assert readings[before[-1].uuid].memory_used_bytes is not None
        nvml.heal(symbol, device="0.0" if "Handle" in symbol else 0)
        clock.advance(600)
        backend.sample()
        assert backend.devices() == before, code
    assert all(reading.memory_used_bytes is not None for reading in backend.sample())


def test_slices_of_a_lost_card_stay_in_sight(nvml, backend):
    before = backend.devices()
    nvml.set("generation", 1)
    nvml.fail("nvmlDeviceGetHandleByIndex_v2", 15, device=0)
    backend.sample()
    reading = read(backend)
    assert backend.devices() == before
    for name in ("card", "first", "second"):
        assert reading[name].unavailable["memory_used_bytes"] == "the GPU is lost"
    assert reading["whole"].memory_used_bytes is not None
    nvml.heal("nvmlDeviceGetHandleByIndex_v2", device=0)
    assert all(one.memory_used_bytes is not None for one in backend.sample())


def test_a_slice_with_somebody_elses_program_in_its_list(nvml, clock):
    # As a driver would that lists the whole card.
    nvml.set("mig 0", 1)
    nvml.set("slices 0", 1)
    nvml.set("compute 0.0", "2:200")
    nvml.fail("nvmlDeviceGetGpuInstanceId", 999)
    backend = NvmlBackend(clock=clock)
    assert backend.sample()[1].processes == (ProcessMemory(pid=2, memory_bytes=200),)
    backend.close()
