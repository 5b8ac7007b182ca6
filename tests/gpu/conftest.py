from __future__ import annotations

import ctypes
import time

import pytest

from tests.nvml.build import build
from tests.nvml.control import Control

# The codes of nvmlReturn_t: nvml.h knows 1 to 30 and 999.
NVML_CODES = [*range(1, 31), 999]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


def wait_until(condition, seconds=20.0):
    """Return the condition's first truth; the limit is for a broken program, not for a slow machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.002)
    raise AssertionError("the condition did not come true")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def fake_library(tmp_path_factory):
    """Return the path of the fake driver library."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def _preloaded(fake_library):
    # By its soname it is now what pynvml gets for "libnvidia-ml.so.1".
    return ctypes.CDLL(str(fake_library))


@pytest.fixture
def nvml(_preloaded, tmp_path, monkeypatch):
    """Return the control of the fake driver that the real pynvml drives in this process."""
    control = Control(tmp_path)
    monkeypatch.setenv("FAKE_NVML", str(control.file))
    monkeypatch.delenv("JUPYTER_GPU_SIMULATED", raising=False)
    return control
