"""The doctor as people call it: in a shell, in a batch image, in a process; what it says and what it keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jsonschema
import pytest

from jupyter_gpu_ext import cli, gpu
from jupyter_gpu_ext.gpu import private as privates
from jupyter_gpu_ext.gpu.checkup import report
from jupyter_gpu_ext.gpu.facts import Facts
from tests.gpu.doctor import machine as machines
from tests.gpu.doctor.recorded import NAMES, recorded
from tests.server.contract import SPEC, closed

# No Jupyter is there in a batch image.
SHELL = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("IPython", "tornado", "jupyter_server", "jupyter_core", "traitlets", "torch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
from jupyter_gpu_ext import cli
sys.exit(cli.main("gpu", sys.argv[1:]))
"""


def shell(machine, *words):
    environ = {**os.environ, **machine.environ}
    command = [sys.executable, "-c", SHELL, *words]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


def asked(machine, *words):
    """Return the exit code and the JSON of `jupyter gpu doctor --json`."""
    done = shell(machine, "doctor", "--json", *words)
    assert done.stderr == ""
    whole = closed({"$ref": "#/components/schemas/DoctorReport", "components": SPEC["components"]})
    jsonschema.Draft202012Validator(whole).validate(json.loads(done.stdout))
    return done.returncode, json.loads(done.stdout)


def no_gpu(machine):
    return machine


def blocked(machine):
    machine.with_nvml().with_cuda().control.fail("nvmlInitWithFlags", 4)
    return machine


def blocked_and_nothing_else(machine):
    machine.with_nvml().control.fail("nvmlInitWithFlags", 4)
    return machine


def broken(machine):
    machine.with_nvml().control.fail("nvmlInitWithFlags", 18)
    return machine


def healthy(machine):
    return machine.with_nvml().with_cuda()


STATES = {
    "no GPU": (no_gpu, 1, "warning", "no_driver", "--gpus all"),
    "sensors blocked": (blocked, 0, "ok", "sensors_blocked", "compute,utility"),
    "sensors blocked, and no CUDA": (blocked_and_nothing_else, 1, "warning", "sensors_blocked", "compute,utility"),
    "broken driver": (broken, 2, "error", "driver_mismatch", "reboot"),
    "all well": (healthy, 0, "ok", "no_torch", "pip install torch"),
}


@pytest.mark.parametrize("preflight", [(), ("--preflight",)], ids=["whole", "preflight"])
@pytest.mark.parametrize(("state", "code", "verdict", "kind", "cure"), STATES.values(), ids=STATES)
def test_the_states_of_a_machine_in_a_batch_image(machine, state, code, verdict, kind, cure, preflight):
    found, data = asked(state(machine.with_torch(machines.ABSENT)), *preflight)
    assert (found, data["verdict"], data["findings"][0]["id"]) == (code, verdict, kind)
    assert cure in data["findings"][0]["fix"]
    assert data["facts"]["is_preflight"] is bool(preflight)


def test_the_torch_of_these_tests(machine):
    """It is one without CUDA, or works; slow it may be."""
    _, data = asked(machine.with_nvml().with_cuda())
    kinds = {one["id"] for one in data["findings"]}
    assert kinds & {"cpu_torch", "torch_works", "torch_sees_no_gpu", "silent_torch", "no_driver"}


def test_a_mistake_in_the_line_is_told_from_a_fault_of_the_machine(machine):
    done = shell(machine, "doctor", "--prefligth")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean --preflight?" in done.stderr


def test_text_and_exit_code(capsys, monkeypatch):
    for name, code in (("healthy", 0), ("small_shared_memory", 1), ("cpu_torch", 2)):
        monkeypatch.setattr("jupyter_gpu_ext.gpu.checkup.gather", lambda preflight, name=name: recorded(name))
        assert cli.main("gpu", ["doctor"]) == code
        assert capsys.readouterr().out.startswith("Doctor: ")


def test_a_simulated_gpu_is_said_to_be_one(monkeypatch, machine):
    for name, value in (machine.with_torch(machines.ABSENT).environ | {"JUPYTER_GPU_SIMULATED": "1xL4"}).items():
        monkeypatch.setenv(name, value)
    found = gpu.doctor(preflight=True)
    assert [one.id for one in found.findings] == ["simulated", "no_torch"]
    assert found.exit_code == 0


@pytest.fixture
def alice(monkeypatch, tmp_path):
    """The names of a person and of a machine."""
    home = tmp_path / "home" / "alice.b"
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "alice.b")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("socket.gethostname", lambda: "gpu-box-7.corp.example")
    privates._patterns.cache_clear()
    yield str(home)
    privates._patterns.cache_clear()


def test_nothing_of_a_person_or_a_machine_is_in_a_report(alice):
    facts = recorded("shadowed_nvjitlink").to_json()
    facts["torch"]["import_error"] = (
        f"ImportError: {alice}/env/torch.so on gpu-box-7, /scratch/alice.b/x, https://x/?sig={'a' * 40}"
    )
    found = report(Facts.from_json(privates.private(facts)))
    said = json.dumps(found.to_json()) + str(found)
    for secret in ("alice", "gpu-box-7", "corp.example", "a" * 40):
        assert secret not in said
    assert "~/env/torch.so on HOST, /scratch/USER/x" in said


def test_a_report_is_private_though_the_facts_were_not(alice):
    facts = recorded("torch_broken").to_json()
    facts["torch"]["import_error"] = f"ImportError: {alice}/x.so"
    found = report(Facts.from_json(facts))
    assert "alice" not in str(found)


@pytest.mark.parametrize("name", NAMES)
def test_markdown_is_one_table_that_nothing_breaks(name):
    lines = report(recorded(name)).markdown().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) > 10
    assert {line.count("|") for line in table} == {3}
