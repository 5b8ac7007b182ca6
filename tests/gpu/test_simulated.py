from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.gpu import open_backend
from jupyter_gpu_ext.gpu.simulated import SimulatedBackend, parse_simulated, simulated_uuid
from tests.contracts.device_backend import DeviceBackendContract


@pytest.fixture
def backend(clock):
    return SimulatedBackend(count=2, clock=clock)


class TestContract(DeviceBackendContract):
    simulated = True


def test_the_same_moment_gives_the_same_numbers(backend, clock):
    first = backend.sample()
    clock.advance(20)
    assert backend.sample() != first
    clock.advance(40)
    # What was used up does not come back.
    assert [replace(one, energy_joules=0.0) for one in backend.sample()] == [
        replace(one, energy_joules=0.0) for one in first
    ]
    assert all(now.energy_joules > before.energy_joules for now, before in zip(backend.sample(), first, strict=True))


def test_power_temperature_and_clocks_follow_the_utilisation(backend, clock):
    readings = []
    for _ in range(60):
        readings.append(backend.sample()[0])
        clock.advance(1)
    busiest, idlest = (choose(readings, key=lambda one: one.utilization_ratio) for choose in (max, min))
    assert busiest.temperature_celsius > idlest.temperature_celsius
    assert busiest.power_watts == pytest.approx(busiest.power_limit_watts)
    assert (busiest.throttled_by, idlest.throttled_by) == (("power limit",), ())
    assert busiest.graphics_clock_hertz < idlest.graphics_clock_hertz


def test_loads_add_their_bytes_to_the_meter(clock):
    held = {}
    backend = SimulatedBackend(count=2, clock=clock, held_bytes=lambda: held)
    before = [reading.memory_used_bytes for reading in backend.sample()]
    held[simulated_uuid(1)] = 5_000_000_000
    after = [reading.memory_used_bytes for reading in backend.sample()]
    assert after == [before[0], before[1] + 5_000_000_000]


def test_the_meter_ends_at_the_total(clock):
    backend = SimulatedBackend(clock=clock, held_bytes=lambda: {simulated_uuid(0): 10**12})
    (device,), (reading,) = backend.devices(), backend.sample()
    assert reading.memory_used_bytes == device.memory_total_bytes
    assert (reading.memory_free_bytes, reading.memory_reserved_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("value", "name", "count", "total_bytes"),
    [
        ("1", "Simulated A100 40 GB", 1, 40_000_000_000),
        ("2", "Simulated A100 40 GB", 2, 40_000_000_000),
        ("1xA100", "Simulated A100 40 GB", 1, 40_000_000_000),
        (" 4Xl4 ", "Simulated L4 24 GB", 4, 24_000_000_000),
        ("16xH100", "Simulated H100 80 GB", 16, 80_000_000_000),
    ],
)
def test_the_environment_names_count_and_model(value, name, count, total_bytes):
    devices = open_backend({"JUPYTER_GPU_SIMULATED": value}).devices()
    assert [(device.name, device.memory_total_bytes) for device in devices] == [(name, total_bytes)] * count


@pytest.mark.parametrize("value", ["yes", "-1", "17", "2x", "x2", "2xA100,1xL4", "1xRTX", "A100", "٢", "00x", "0xA100"])
def test_any_other_value_is_refused_with_the_grammar(value):
    with pytest.raises(BadRequestError, match="2 or 1xA100"):
        open_backend({"JUPYTER_GPU_SIMULATED": value})


@pytest.mark.parametrize("value", ["", " ", "0"])
def test_empty_and_zero_ask_for_real_ones(value):
    assert parse_simulated(value) is None
