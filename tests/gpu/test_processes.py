"""What is read of the system: real processes, and tables as other systems have them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jupyter_gpu_ext.gpu.attribution import How, Kernel, attribute
from jupyter_gpu_ext.gpu.models import Device, DeviceSample, ProcessMemory, State, Status
from jupyter_gpu_ext.gpu.processes import Processes

A, B = "GPU-aaaa", "GPU-bbbb"
CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read()
child.stdin.close()
child.wait()
"""


def status(*rows, silent=False):
    held = None if silent else tuple(ProcessMemory(pid=pid, memory_bytes=size) for pid, size in rows)
    devices = tuple(Device(index=i, uuid=uuid, name="", memory_total_bytes=None) for i, uuid in enumerate((A, B)))
    now = DeviceSample(uuid=A, memory_used_bytes=None, utilization_ratio=None, processes=held)
    return Status(state=State.OK, devices=devices, now=(now,))


@pytest.fixture
def parent():
    """A process that has a child: (its pid, the child's)."""
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        yield started.pid, int(started.stdout.readline())
        started.stdin.close()


@pytest.mark.parametrize(("is_host", "how"), [(True, How.PID), (False, How.NAMESPACE_PID)])
def test_a_child_is_its_parents(parent, is_host, how):
    kernel, child = parent
    seen = Processes(is_host=is_host).look(status((child, 5), (os.getpid(), 7)), [kernel])
    (use,) = attribute({"a": Kernel(pid=kernel)}, seen)["a"]
    assert (use.bytes, use.how) == (5, how)


def test_one_number_that_nobody_has_shows_the_hosts_numbers(parent):
    kernel, child = parent
    seen = Processes(is_host=False).look(status((child, 5), (2**22 + 1, 7)), [kernel])
    assert seen.numbering is None
    assert {kernel, child} <= seen.processes.keys(), "now everything below the kernel is looked at"
    assert attribute({"a": Kernel(pid=kernel)}, seen)["a"] == ()


def test_a_process_that_has_just_ended_does_not_look_like_the_hosts():
    processes = Processes(is_host=False)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        assert processes.look(status((started.pid, 5)), []).numbering is How.NAMESPACE_PID
        started.stdin.close()
    assert processes.look(status((started.pid, 5)), []).numbering is How.NAMESPACE_PID
    assert processes.look(status((started.pid, 5)), []).numbering is None


def test_a_thread_is_no_process():
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    try:
        assert Processes(is_host=False).look(status((thread.native_id, 5)), []).numbering is None
    finally:
        go.set()
        thread.join()


def test_only_what_leads_to_a_kernel_is_read_where_that_is_enough(parent, monkeypatch):
    kernel, child = parent
    processes, read = Processes(is_host=True), []
    real = processes._read
    monkeypatch.setattr(processes, "_read", lambda pid: read.append(pid) or real(pid))
    processes.look(status((child, 5)), [kernel])
    assert set(read) == _upwards(child)
    read.clear()
    processes.look(status(silent=True), [kernel])
    assert child in read


def _upwards(pid):
    found = set()
    while pid not in found:
        found.add(pid)
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        pid = int(next(line for line in lines if line.startswith("PPid")).split()[1])
        if pid == 0:
            return found | {0}
    return found


class Proc:
    """A folder as Linux has it."""

    def __init__(self, folder):
        self.folder = folder

    def process(self, pid, parent, *inner, opened=()):
        place = self.folder / str(pid)
        (place / "fd").mkdir(parents=True)
        numbers = "\t".join(map(str, (pid, *inner)))
        (place / "status").write_text(
            f"Name:\tPPid:\t9\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{parent}\nNStgid:\t{numbers}\nNSpid:\t{numbers}\n"
        )
        for number, target in enumerate(opened):
            (place / "fd" / str(number)).symlink_to(target)

    def card(self, bus, minor, uuid):
        place = self.folder / "driver" / "nvidia" / "gpus" / bus
        place.mkdir(parents=True)
        text = f"Model: \t\t NVIDIA L4\nGPU UUID: \t {uuid}\nBus Type: \t PCIe\nDevice Minor: \t {minor}\n"
        (place / "information").write_text(text)

    def look(self, status, kernels, *, is_host):
        return Processes(self.folder, is_host=is_host).look(status, kernels)


@pytest.fixture
def proc(tmp_path):
    made = Proc(tmp_path)
    made.card("0000:01:00.0", 1, A)
    made.card("0000:02:00.0", 0, B)
    return made


def test_a_kernel_in_a_container_of_its_own_is_found_by_its_number_there(proc):
    proc.process(500, 1, 7)
    proc.process(501, 500, 8, opened=["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm", "/tmp/nvidia0"])
    proc.process(8, 2)
    seen = proc.look(status((8, 5)), [500], is_host=True)
    (use,) = attribute({"a": Kernel(pid=500)}, seen)["a"]
    assert (use.uuid, use.bytes, use.how) == (A, 5, How.NSPID)


def test_devices_that_are_open_are_found_by_the_drivers_own_files(proc):
    proc.process(500, 1)
    proc.process(501, 500, opened=["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia7", "/dev/null"])
    seen = proc.look(status((48213, 5)), [500], is_host=False)
    uses = attribute({"a": Kernel(pid=500)}, seen)["a"]
    assert [(one.uuid, one.bytes, one.how) for one in uses] == [(uuid, None, How.DESCRIPTORS) for uuid in (A, B)]


def test_descriptors_that_may_not_be_read_are_nobodys(proc):
    proc.process(500, 1)
    (proc.folder / "500" / "fd").rmdir()
    seen = proc.look(status((48213, 5)), [500], is_host=False)
    assert seen.processes[500].opened is None


@pytest.mark.parametrize("text", ["", "Tgid:\t500\n", "PPid:\t1\n", "Tgid:\t500\nPPid:\tx\n", "\0" * 100])
def test_what_is_no_status_is_no_process(proc, text):
    proc.process(500, 1)
    (proc.folder / "500" / "status").write_text(text)
    assert 500 not in proc.look(status((48213, 5)), [500], is_host=False).processes


def test_a_system_without_the_table_knows_nobody(tmp_path):
    seen = Processes(tmp_path / "none").look(status((7, 5)), [])
    assert (dict(seen.processes), seen.numbering) == ({}, None)
