from __future__ import annotations

import json
import math

import pytest

from jupyter_gpu_ext.gpu.day import Day
from jupyter_gpu_ext.gpu.models import SERIES, Device, DeviceSample, Sample

START = 1_700_000_040


class Writer:
    """Writes a day; a device is a letter, its values are keywords."""

    def __init__(self):
        self.day = Day()

    def __call__(self, seconds, storage=None, **devices):
        readings = tuple(
            DeviceSample(uuid=uuid, **{"memory_used_bytes": None, "utilization_ratio": None, **values})
            for uuid, values in devices.items()
        )
        sample = Sample(cursor=1, time=START + seconds, devices=readings, storage_bytes_per_second=storage)
        known = [Device(index=0, uuid=uuid, name=f"GPU {uuid}", memory_total_bytes=100) for uuid in devices]
        self.day.append(sample, known)

    @property
    def json(self):
        found = self.day.to_json()
        for device in found["devices"]:
            for metric in SERIES:
                assert len(device[metric]) == len(found["times"])
        assert len(found["storage_bytes_per_second"]) == len(found["times"]) <= 1440
        assert found["times"] == sorted(set(found["times"]))
        return found


@pytest.fixture
def write():
    return Writer()


def test_before_the_first_sample(write):
    assert write.json == {"interval_seconds": 60, "times": [], "storage_bytes_per_second": [], "devices": []}


def test_a_minute_is_its_means_and_its_peaks_of_memory_and_heat(write):
    for second, value in enumerate([0.2, 0.4, 0.9]):
        reading = {"memory_used_bytes": int(100 * value), "utilization_ratio": value}
        write(20 * second, a={**reading, "temperature_celsius": 100 * value, "power_watts": 10 * value}, storage=value)
    write(60, a={"memory_used_bytes": 7})
    (device,) = write.json["devices"]
    assert write.json["times"] == [START, START + 60]
    assert device == {
        "uuid": "a",
        "name": "GPU a",
        "memory_total_bytes": 100,
        "memory_used_bytes": [90, 7],
        "utilization_ratio": [0.5, None],
        "temperature_celsius": [90.0, None],
        "power_watts": [5.0, None],
    }
    assert write.json["storage_bytes_per_second"] == [0.5, None]


def test_the_minute_that_is_not_over_is_there_too(write):
    write(5, a={"memory_used_bytes": 1})
    assert write.json["devices"][0]["memory_used_bytes"] == [1]
    write(6, a={"memory_used_bytes": 2})
    assert write.json["devices"][0]["memory_used_bytes"] == [2]


def test_minutes_in_which_nothing_was_read_are_gaps(write):
    write(0, a={"memory_used_bytes": 1})
    write(200, a={"memory_used_bytes": 2})
    assert write.json["times"] == [START + 60 * at for at in range(4)]
    assert write.json["devices"][0]["memory_used_bytes"] == [1, None, None, 2]


def test_a_device_that_comes_late_and_one_that_goes(write):
    write(0, a={"memory_used_bytes": 1})
    write(60, a={"memory_used_bytes": 2}, b={"memory_used_bytes": 3})
    write(120, b={"memory_used_bytes": 4})
    assert {one["uuid"]: one["memory_used_bytes"] for one in write.json["devices"]} == {
        "a": [1, 2, None],
        "b": [None, 3, 4],
    }


def test_keeps_a_day_and_forgets_who_is_gone(write):
    write(0, a={"memory_used_bytes": 1})
    for minute in range(1, 1500):
        write(60 * minute, b={"memory_used_bytes": minute})
    found = write.json
    assert len(found["times"]) == 1440
    assert found["times"][0] == START + 60 * 60
    assert [(one["uuid"], one["memory_used_bytes"][0]) for one in found["devices"]] == [("b", 60)]


def test_a_night_without_power_is_a_gap_of_a_day_at_most(write):
    write(0, a={"memory_used_bytes": 1})
    write(100 * 86400, a={"memory_used_bytes": 2})
    found = write.json
    assert len(found["times"]) == 1440
    assert found["times"][-1] == START + 100 * 86400
    assert found["devices"][0]["memory_used_bytes"] == [None] * 1439 + [2]


def test_a_clock_that_is_put_right_by_seconds_does_not_matter(write):
    write(60, a={"memory_used_bytes": 1})
    write(58, a={"memory_used_bytes": 2})
    write(61, a={"memory_used_bytes": 3})
    assert (write.json["times"], write.json["devices"][0]["memory_used_bytes"]) == ([START + 60], [3])


def test_a_clock_that_goes_back_by_hours_starts_a_new_day(write):
    write(86400, a={"memory_used_bytes": 1})
    write(0, a={"memory_used_bytes": 2})
    assert (write.json["times"], write.json["devices"][0]["memory_used_bytes"]) == ([START], [2])


def test_is_strict_json_whatever_was_measured(write):
    write(0, a={"utilization_ratio": math.nan, "power_watts": math.inf}, storage=math.nan)
    assert json.loads(json.dumps(write.json, allow_nan=False)) == write.json
    assert write.json["devices"][0]["power_watts"] == [None]
