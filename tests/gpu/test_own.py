from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jupyter_gpu_ext.gpu.models import ProcessMemory
from jupyter_gpu_ext.gpu.own import OwnProcess, own_processes

NOBODY = 65534


def held(pid: int, size: int | None = 1) -> ProcessMemory:
    return ProcessMemory(pid=pid, memory_bytes=size)


@pytest.fixture
def sleeping():
    """A process of the caller's."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def foreign():
    """The number of a process of somebody else's."""
    if os.getuid() != 0:
        yield 1
        return
    with subprocess.Popen(["sleep", "600"], user=NOBODY) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def gone():
    """A number that nobody has any more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_largest_comes_first(sleeping):
    found = own_processes([held(os.getpid(), None), held(sleeping.pid, 5)])
    assert [(one.pid, one.memory_bytes) for one in found] == [(sleeping.pid, 5), (os.getpid(), None)]
    assert all(one.name.startswith("python") for one in found)


def test_others_processes_are_not_shown(sleeping, foreign):
    assert [one.pid for one in own_processes([held(foreign, 9), held(sleeping.pid)])] == [sleeping.pid]


@pytest.mark.parametrize("pid", ["gone", 2**22 + 1, 2**40])
def test_numbers_of_another_system_say_nothing(request, sleeping, pid):
    strange = request.getfixturevalue(pid) if isinstance(pid, str) else pid
    assert own_processes([held(sleeping.pid), held(strange)]) == ()


@pytest.mark.parametrize("processes", [None, ()])
def test_nothing_is_known_of_nobody(processes):
    assert own_processes(processes) == ()


def test_no_command_line_is_kept():
    assert set(OwnProcess.__dataclass_fields__) == {"pid", "name", "memory_bytes"}
