from __future__ import annotations

import pytest

from tests.gpu.doctor.machine import Machine


@pytest.fixture
def machine(tmp_path):
    """A machine without a driver; torch is the real one until it is given another."""
    return Machine(tmp_path)


@pytest.fixture
def here(machine, monkeypatch):
    """The same, and this process runs on it once `use` was called."""

    def use():
        for name, value in machine.environ.items():
            monkeypatch.setenv(name, value)
        return machine

    machine.use = use
    return machine
