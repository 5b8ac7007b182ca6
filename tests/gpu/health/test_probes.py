"""The probes on machines made of real libraries: what they find, and that nothing of them stays behind."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from jupyter_gpu_ext.gpu.health import session
from jupyter_gpu_ext.gpu.health.checkup import report
from jupyter_gpu_ext.gpu.health.child import Child
from jupyter_gpu_ext.gpu.health.private import private
from jupyter_gpu_ext.gpu.health.probe_system import shadows, variables
from jupyter_gpu_ext.gpu.health.probes import gather
from tests.gpu.health import machine as machines
from tests.gpu.health.machine import no_process_left

if TYPE_CHECKING:
    from jupyter_gpu_ext.gpu.health.facts import Facts

pytestmark = pytest.mark.usefixtures("here")


def gathered(machine, **options) -> Facts:
    machine.use()
    with no_process_left():
        facts = gather(**options)
    for group in (facts.system, facts.driver, facts.torch, facts.session):
        missing = {one.name for one in dataclasses.fields(group) if getattr(group, one.name) is None}
        assert missing == set(group.unknown)
        assert all(group.unknown.values())
    return facts


def test_no_driver_and_no_torch(here):
    facts = gathered(here.with_torch(machines.ABSENT))
    assert (facts.driver.nvml_state, facts.driver.nvml_devices, facts.torch.is_installed) == ("no_gpu", (), False)
    assert facts.driver.libcuda_error
    assert facts.torch.unknown["products"] == "torch is not installed"
    assert facts.system.variables["LD_LIBRARY_PATH"] == private(str(here.folder))
    assert [one.id for one in report(facts).findings] == ["no_driver", "no_torch"]


def test_a_driver_as_cuda_and_nvml_show_it(here):
    facts = gathered(here.with_nvml().with_cuda(FAKE_CUDA_VERSION="12080").with_torch(machines.ABSENT))
    driver = facts.driver
    assert (driver.cuda_version, driver.init_code, driver.init_name) == ("12.8", 0, "CUDA_SUCCESS")
    (cuda,), (nvml,) = driver.cuda_devices, driver.nvml_devices
    assert (cuda.name, cuda.capability, cuda.memory_total_bytes) == ("NVIDIA Fake 0", "9.0", 24_000_000_000)
    assert cuda.uuid == "GPU-10101010-1010-1010-1010-101010101010"
    assert (nvml.name, nvml.is_slice) == ("NVIDIA Fake", False)
    assert driver.libcuda_file.endswith("/libcuda.so.1")
    assert [one.id for one in report(facts).findings] == ["no_torch", "cuda_works"]


def test_cuda_that_cannot_be_opened(here):
    facts = gathered(here.with_nvml().with_cuda(FAKE_CUDA_INIT="802").with_torch(machines.ABSENT))
    assert (facts.driver.init_code, facts.driver.init_name) == (802, "CUDA_ERROR_SYSTEM_NOT_READY")
    assert report(facts).findings[0].id == "fabric_manager"


@pytest.mark.parametrize("preflight", [False, True])
def test_devices_compute_and_add_up(here, preflight):
    facts = gathered(here.with_cuda(FAKE_CUDA_DEVICES="2").with_torch(machines.COMPUTES), preflight=preflight)
    assert (facts.torch.archs, facts.torch.cudnn, facts.torch.nccl) == (("sm_80", "sm_90"), "9.20.0", "2.29.7")
    assert [(one.devices, one.error) for one in facts.torch.products] == [((0,), ""), ((1,), "")]
    if preflight:
        assert facts.torch.unknown["all_reduce"] == "left out of a quick check"
    else:
        assert (facts.torch.all_reduce.devices, facts.torch.all_reduce.error) == ((0, 1), "")
    assert facts.is_preflight is preflight


def test_a_torch_that_hangs_is_ended_and_what_the_others_said_stays(here):
    begun = time.monotonic()
    facts = gathered(here.with_cuda().with_torch(machines.HANGS), limit_seconds=2)
    assert time.monotonic() - begun < 10
    assert facts.torch.unknown["version"] == "no answer within 2 s"
    assert facts.driver.init_code == 0
    assert [one.id for one in report(facts).findings] == ["silent_torch", "cuda_works"]


def test_a_driver_that_hangs_is_ended_and_what_it_said_before_stays(here):
    facts = gathered(here.with_nvml().with_cuda(FAKE_CUDA_HANG="1").with_torch(machines.ABSENT), limit_seconds=2)
    assert (facts.driver.cuda_version, facts.driver.nvml_state) == ("13.0", "ok")
    assert facts.driver.unknown["init_code"] == "no answer within 2 s"
    assert report(facts).findings[0].id == "silent_driver"


def test_a_torch_that_crashes_is_a_fact(here):
    facts = gathered(here.with_torch(machines.CRASHES))
    assert facts.torch.unknown["version"] == "the probe was ended by SIGSEGV"


def test_what_torch_prints_is_no_fact(here):
    facts = gathered(here.with_torch(machines.CHATTERS))
    assert facts.torch.import_error == "ImportError: libcudart.so.12: cannot open shared object file"


def test_a_torch_beside_the_notebook_is_not_torch(here, tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise SystemExit('this is not torch')")
    monkeypatch.chdir(tmp_path)
    facts = gathered(here.with_torch(machines.ABSENT))
    assert facts.torch.is_installed is False


def test_without_an_interpreter_everything_is_unknown(here, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    facts = gathered(here)
    assert facts.system.unknown["python"].startswith("Python could not be started")
    assert report(facts).verdict == "error"


def test_an_interrupt_ends_the_probes(here):
    here.with_torch(machines.HANGS).use()
    program = (
        "import os, signal, sys, threading; from jupyter_gpu_ext.gpu.health import probes\n"
        "threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try: probes.gather()\n"
        "except KeyboardInterrupt: import psutil; print(len(psutil.Process().children()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_probe_outlives_nobody(here):
    """The system ends a probe that hangs, also when the one that asked was killed."""
    here.with_torch(machines.HANGS).use()
    program = "from jupyter_gpu_ext.gpu.health import child, probe_torch as p; child.tell(p.probe, limit_seconds=0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGALRM


def test_a_probe_without_time_says_nothing(here):
    here.use()
    child = Child("probe_system", limit_seconds=0.0)
    said, problem = child.answer()
    assert problem == "no answer within 0 s"
    assert isinstance(said["unknown"], dict)
    assert not psutil.pid_exists(child._process.pid)


def test_libraries_that_come_before_those_of_the_wheels(tmp_path):
    toolkit, wheel, same = tmp_path / "cuda", tmp_path / "nvidia" / "cudnn" / "lib", tmp_path / "same"
    for folder in (toolkit, wheel):
        folder.mkdir(parents=True)
        for name in ("libcudnn.so.9", "libcudnn_ops.so.9", "libelse.so.1"):
            (folder / name).touch()
    (toolkit / "libcudart.so.12").touch()
    same.symlink_to(wheel)
    found = list(shadows([tmp_path / "gone", same, toolkit], [wheel]))
    assert [(one.folder, one.library) for one in found] == [
        (str(toolkit), "libcudnn.so.9"),
        (str(toolkit), "libcudnn_ops.so.9"),
    ]


def test_of_the_environment_only_what_decides_is_kept():
    kept = variables({"CUDA_VISIBLE_DEVICES": "", "USER": "alice", "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/home/alice"})
    assert kept == {"CUDA_VISIBLE_DEVICES": "", "USER": "set"}


def test_the_last_error_of_this_process(monkeypatch):
    monkeypatch.setattr(sys, "last_value", RuntimeError("Torch not compiled with CUDA enabled"), raising=False)
    monkeypatch.setattr(sys, "last_exc", None, raising=False)
    assert session.look().last_error == "RuntimeError: Torch not compiled with CUDA enabled"
    monkeypatch.setattr(sys, "last_value", RuntimeError("my secret"))
    assert session.look().last_error is None


def test_variables_that_were_changed_since_the_start(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert "CUDA_VISIBLE_DEVICES" in session.look().changed_variables
