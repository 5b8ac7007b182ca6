"""What every hardware layer must do: subclass, and give a `backend` fixture with two devices."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields

import pytest

from jupyter_gpu_ext.gpu.models import DeviceSample, Sample, State, Status

METRICS = [field.name for field in fields(DeviceSample) if field.name not in {"uuid", "unavailable"}]


class DeviceBackendContract:
    simulated: bool

    def test_says_whether_it_is_made_up(self, backend):
        assert backend.simulated is self.simulated

    def test_names_every_device_before_the_first_sample(self, backend):
        devices = backend.devices()
        assert [device.index for device in devices] == [0, 1]
        assert len({device.uuid for device in devices}) == 2
        assert all(device.name and device.memory_total_bytes > 0 for device in devices)

    def test_made_up_devices_are_named_so(self, backend):
        assert all(("Simulated" in device.name) is self.simulated for device in backend.devices())

    def test_samples_in_the_order_of_the_devices(self, backend):
        readings = backend.sample()
        assert [reading.uuid for reading in readings] == [device.uuid for device in backend.devices()]

    def test_numbers_are_within_bounds(self, backend):
        for device, reading in zip(backend.devices(), backend.sample(), strict=True):
            assert 0 <= reading.memory_used_bytes <= device.memory_total_bytes
            assert 0 <= reading.utilization_ratio <= 1
            assert reading.memory_used_bytes + reading.memory_free_bytes <= device.memory_total_bytes
            assert 0 < reading.power_watts <= 1.05 * reading.power_limit_watts
            assert 0 < reading.temperature_celsius < 110
            assert 10**8 < reading.graphics_clock_hertz < 10**10
            assert 10**8 < reading.memory_clock_hertz < 10**11
            assert 0 <= reading.fan_ratio <= 1
            assert 1 <= reading.pcie_generation <= 7
            assert reading.pcie_width in {1, 2, 4, 8, 16}

    def test_every_metric_is_read(self, backend):
        for reading in backend.sample():
            assert set(reading.unavailable) <= {"pcie_received_bytes_per_second", "pcie_sent_bytes_per_second"}
            assert reading.processes == ()

    def test_a_reason_stands_beside_every_none_and_nowhere_else(self, backend):
        for reading in backend.sample():
            assert {name for name in METRICS if getattr(reading, name) is None} == set(reading.unavailable)

    def test_a_reading_does_not_change_later(self, backend):
        reading = backend.sample()[0]
        with pytest.raises(FrozenInstanceError):
            reading.memory_used_bytes = 0

    def test_identities_stay(self, backend):
        before = backend.devices()
        backend.sample()
        assert [device.uuid for device in backend.devices()] == [device.uuid for device in before]

    def test_becomes_strict_json(self, backend):
        sample = Sample(cursor=1, time=0.0, devices=backend.sample())
        status = Status(state=State.OK, devices=backend.devices(), samples=(sample,)).to_json()
        assert json.loads(json.dumps(status, allow_nan=False)) == status

    def test_closes_twice(self, backend):
        backend.close()
        backend.close()
