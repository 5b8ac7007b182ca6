from __future__ import annotations

import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from jupyter_gpu_ext.gpu.metrics import REASONS, _reason, exposition, families
from jupyter_gpu_ext.gpu.models import METRICS, Device, DeviceSample, State, Status
from jupyter_gpu_ext.gpu.nvml_readings import _THROTTLES

from .readings import CARD, SLICE, device, kernel, reading, status

GOLDEN = Path(__file__).with_name("golden") / "metrics.prom"
KERNELS = [kernel((CARD, 9_400_000_000), (None, 5)), kernel((SLICE, 10**8)), kernel()]


def text(shown: Status, kernels=None, storage=None) -> str:
    return exposition(families(shown, kernels, storage))


def parsed(exposed: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every number under its name and labels, as Prometheus' own Python parser reads them."""
    found = [sample for family in text_string_to_metric_families(exposed) for sample in family.samples]
    numbers = {(one.name, tuple(sorted(one.labels.items()))): one.value for one in found}
    assert len(numbers) == len(found), "two series have the same labels"
    return numbers


def number(exposed: str, name: str, **labels: str) -> float | None:
    return parsed(exposed).get((f"jupyter_gpu_{name}", tuple(sorted(labels.items()))))


def test_the_text_is_as_it_was():
    assert text(status(), KERNELS, 1.9e9) == GOLDEN.read_text()


def test_promtool_finds_nothing_to_criticise():
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: Debian's package prometheus has it"
    shown = text(status(), KERNELS, 1.9e9)
    done = subprocess.run([promtool, "check", "metrics"], input=shown, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_field_of_a_reading_has_a_series():
    names = " ".join(family.name for family in families(status()))
    words = {"ecc_corrected_count": "ecc_errors", "ecc_uncorrected_count": "ecc_errors", "throttled_by": "throttled"}
    words |= {"graphics_clock_hertz": "clock_hertz", "memory_clock_hertz": "clock_hertz"}
    assert [name for name in METRICS if words.get(name, name.removesuffix("_count")) not in names] == []


@pytest.mark.parametrize("name", [name for name in METRICS if name != "memory_used_bytes"])
def test_what_is_not_reported_has_no_series_and_takes_no_other_along(name):
    before = parsed(text(status(now=(reading(),))))
    after = parsed(text(status(now=(replace(reading(), **{name: None}),))))
    assert after.items() < before.items()
    lost = {name for name, _ in before.keys() - after.keys()}
    assert len(lost) == 1, lost


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_told(wrong):
    assert number(text(status(now=(reading(power_watts=wrong),))), "power_watts", uuid=CARD, index="0") is None
    assert number(text(status(), storage=wrong), "storage_received_bytes_per_second") is None


def test_labels_are_few_and_name_nobody():
    exposed = text(status(), KERNELS)
    labels = {name for _, pairs in parsed(exposed) for name, _ in pairs}
    assert labels == {"uuid", "index", "name", "slice_of", "state", "clock", "kind", "reason"}
    assert "train" not in exposed


@pytest.mark.parametrize("state", State)
def test_exactly_one_state_is_on(state):
    exposed = text(Status(state=state, reason="No."))
    assert [one for one in State if number(exposed, "state", state=one.value) == 1] == [state]
    assert "memory" not in exposed


def test_old_numbers_are_not_told_as_those_of_now():
    exposed = text(status(stale=True))
    assert number(exposed, "stale") == 1
    assert number(exposed, "memory_total_bytes", uuid=CARD, index="0") == 40_000_000_000
    assert "memory_used" not in exposed


def test_numbers_that_are_made_up_say_so():
    assert number(text(status(simulated=True)), "simulated") == 1
    assert number(text(status()), "simulated") == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("temperature", "thermal"),
        ("overheating", "thermal"),
        ("heat", "thermal"),
        ("power limit", "power_cap"),
        ("power brake", "power_brake"),
        ("hardware slowdown", "hardware"),
        ("sync boost", "sync"),
        ("application clocks", "setting"),
        ("display clocks", "setting"),
        ("something that NVML learns one day", "other"),
    ],
)
def test_the_reasons_of_slow_clocks_are_a_closed_set(words, reason):
    exposed = text(status(now=(reading(throttled_by=(words,)),)))
    found = {one: number(exposed, "throttled", uuid=CARD, index="0", reason=one) for one in REASONS}
    assert found == {one: float(one == reason) for one in REASONS}


def test_what_nvml_knows_by_name_has_a_reason_of_its_own():
    exposed = text(status(now=(reading(throttled_by=tuple(_THROTTLES.values())),)))
    found = {one: number(exposed, "throttled", uuid=CARD, index="0", reason=one) for one in REASONS}
    assert found == dict.fromkeys(REASONS, 1)
    unnamed = [words for words in _THROTTLES.values() if _reason(words) == "other"]
    assert unnamed == ["board limit", "reliability"]


def test_nothing_slows_is_a_zero_and_not_known_is_none():
    assert number(text(status(now=(reading(throttled_by=()),))), "throttled", uuid=CARD, index="0", reason="other") == 0
    assert "throttled" not in text(status(now=(reading(throttled_by=None),)))


def test_the_kernels_are_summed_by_device():
    exposed = text(status(), [*KERNELS, kernel((CARD, 600_000_000))])
    assert number(exposed, "kernels") == 3
    assert number(exposed, "kernels_memory_bytes", uuid=CARD) == 10_000_000_000
    assert number(exposed, "kernels_memory_bytes", uuid=SLICE) == 100_000_000


def test_a_sum_with_a_part_that_nobody_knows_is_not_told():
    exposed = text(status(), [*KERNELS, kernel((CARD, None))])
    assert number(exposed, "kernels") == 3
    assert number(exposed, "kernels_memory_bytes", uuid=CARD) is None
    assert number(exposed, "kernels_memory_bytes", uuid=SLICE) == 100_000_000


def test_a_kernel_cannot_make_up_labels():
    exposed = text(status(), [kernel((f"forged {at}", 1)) for at in range(100)])
    assert (number(exposed, "kernels"), "forged" in exposed) == (0, False)


def test_without_kernels_nothing_is_said_of_them():
    assert "kernels" not in text(status())


@pytest.mark.parametrize(
    "name", ['a"b', "a\\b", "a\nb", "a\rb", "\u202egpj.exe", "größe", "\ud800", '\\"\n', "}", "é" * 300]
)
def test_a_name_may_hold_anything(name):
    exposed = text(status(devices=(device(name=name),)))
    exposed.encode()
    ((_, labels),) = [one for one in parsed(exposed) if one[0] == "jupyter_gpu_info"]
    told = dict(labels)["name"]
    assert told == name or re.fullmatch(r"[^\n\r\u202e\ud800]+", told)
    assert len(exposed.splitlines()) == exposed.count("\n")


NUMBERS = st.none() | st.integers(0, 2**64) | st.floats()
READINGS = st.builds(
    DeviceSample,
    uuid=st.text(max_size=3),
    throttled_by=st.none() | st.lists(st.text(), max_size=3).map(tuple),
    needs_reset=st.none() | st.booleans(),
    **{name: NUMBERS for name in METRICS if name not in ("throttled_by", "needs_reset")},
)
DEVICES = st.builds(
    Device,
    index=st.integers(0, 20),
    uuid=st.text(max_size=3),
    name=st.text(),
    memory_total_bytes=st.none() | st.integers(0, 2**64),
    slice_of=st.none() | st.text(),
)
STATUSES = st.builds(
    Status,
    state=st.sampled_from(State),
    stale=st.booleans(),
    simulated=st.booleans(),
    devices=st.lists(DEVICES, max_size=4).map(tuple),
    now=st.lists(READINGS, max_size=4).map(tuple),
)


@given(
    STATUSES,
    st.none() | st.lists(st.lists(st.tuples(st.text(max_size=3), NUMBERS)).map(lambda one: kernel(*one))),
    NUMBERS,
)
def test_whatever_is_known_is_text_that_prometheus_reads(shown, kernels, storage):
    exposed = text(shown, kernels, storage)
    exposed.encode()
    numbers = parsed(exposed)
    assert numbers["jupyter_gpu_state", (("state", shown.state.value),)] == 1
    assert all(map(math.isfinite, numbers.values()))
    assert len(numbers) == sum(not line.startswith("#") for line in exposed.split("\n")[:-1])


@given(st.integers(0, 2**53))
def test_bytes_are_told_exactly(size):
    exposed = text(status(now=(reading(memory_used_bytes=size),)))
    assert number(exposed, "memory_used_bytes", uuid=CARD, index="0") == size
