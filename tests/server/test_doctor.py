"""The doctor over HTTP: the server's environment, a kernel's, and one doctor at a time."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from jupyter_gpu_ext import __version__
from jupyter_gpu_ext.errors import UnsupportedFormatError
from jupyter_gpu_ext.server import environments
from jupyter_gpu_ext.server.interpreters import SERVERS, of_kernel
from tests.gpu.doctor import machine as machines
from tests.gpu.doctor.machine import Machine
from tests.gpu.doctor.recorded import recorded
from tests.server.contract import check
from tests.server.live import API, environment, running, wait_until
from tests.server.test_auth import Recording, authorizer  # noqa: F401 -- a fixture

FACTS = f"#!/bin/sh\necho . >> $0.asked\ncat <<'END'\n{json.dumps(recorded('cpu_torch').to_json())}\nEND\n"


def script(folder, text, name="python3"):
    """Return the path of a program that stands in for a Python."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def doctor(server):
    """The server's doctor, who remembers nothing."""
    doctor = server.extension.doctor
    doctor._known.clear()
    yield doctor
    doctor._known.clear()


@pytest.fixture
def at_once(monkeypatch, tmp_path):
    """Let the server's environment answer at once, and count how often it is asked."""
    path = script(tmp_path / "server", FACTS)
    monkeypatch.setattr(environments, "SERVERS", type(SERVERS)(path=path))
    return tmp_path / "server" / "python3.asked"


@pytest.fixture
def kernels(server, monkeypatch):
    """Let a kernel of any interpreter run, as far as its kernel spec goes."""
    known = {}

    def add(path, **env):
        spec = KernelSpec(argv=[path, "-m", "ipykernel"], language="python", env=env)
        known["k1"] = SimpleNamespace(kernel_spec=spec, provisioner=LocalProvisioner())
        return "k1"

    class Manager:
        def __contains__(self, identity):
            return identity in known

        def get_kernel(self, identity):
            return known[identity]

    monkeypatch.setattr(server.extension.doctor, "_kernel_manager", Manager())
    return add


def asked(server, **arguments):
    return check("/gpu/doctor", server.get("/gpu/doctor", **arguments))


def kinds(data):
    return [one["id"] for one in data["findings"]]


STATES = {"driver not loaded": (9, "warning"), "no permission": (4, "warning"), "version mismatch": (18, "error")}


@pytest.mark.parametrize(("code", "verdict"), STATES.values(), ids=STATES)
def test_the_states_of_the_servers_machine(tmp_path, code, verdict):
    (tmp_path / "machine").mkdir()
    machine = Machine(tmp_path / "machine").with_nvml().with_torch(machines.ABSENT)
    machine.control.fail("nvmlInitWithFlags", code)
    with environment(**machine.environ), running(tmp_path / "server") as server:
        data = asked(server)
    assert data["verdict"] == verdict
    assert data["report"].startswith("# GPU doctor")
    assert data["facts"]["driver"]["nvml_reason"] in json.dumps(data["findings"], ensure_ascii=False)


def test_the_servers_own_environment(server, doctor, monkeypatch):
    # The tests clear it, and the doctor looks at what is so now.
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "2xL4")
    data = asked(server)
    assert "simulated" in kinds(data)
    assert data["facts"]["system"]["package"] == __version__


def test_many_who_ask_at_once_share_one_doctor(server, doctor, at_once):
    async def many():
        return await asyncio.gather(*(doctor.report() for _ in range(8)))

    assert {found.title for found in server.await_(many())} == {server.await_(doctor.report()).title}
    assert at_once.read_text() == ".\n"


def test_what_is_older_than_half_a_minute_is_looked_at_again(server, doctor, at_once, monkeypatch):
    monkeypatch.setattr(environments, "KEPT_SECONDS", -1.0)
    asked(server)
    asked(server)
    assert at_once.read_text() == ".\n.\n"


def test_a_kernel_whose_torch_is_another(server, doctor, at_once, kernels, tmp_path):
    text = FACTS.replace("2.13.0+cpu", "2.11.0+cpu")
    data = asked(server, kernel=kernels(script(tmp_path / "kernel", text)))
    assert (data["verdict"], data["facts"]["torch"]["version"]) == ("error", "2.11.0+cpu")
    assert kinds(data)[0] == "cpu_torch"
    assert "other_torch" in kinds(data)


def test_a_kernel_without_the_package(server, doctor, at_once, kernels, tmp_path):
    bare = script(tmp_path / "kernel", f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    data = asked(server, kernel=kernels(bare))
    found = next(one for one in data["findings"] if one["id"] == "kernel_without_package")
    assert f"`%pip install jupyter-gpu-ext=={__version__}`" in found["fix"]
    assert data["facts"]["torch"]["version"] == "2.13.0+cpu"


SILENT = {
    "nowhere": (None, "No such file"),
    "no facts": ("#!/bin/sh\necho hello\n", "gave no facts"),
    "other facts": ('#!/bin/sh\necho \'{"torch": {"version": [1]}}\'\n', "gave no facts"),
    "a crash": ("#!/bin/sh\necho secret /home/alice >&2\nexit 3\n", "code 3"),
}


@pytest.mark.parametrize(("text", "said"), SILENT.values(), ids=SILENT)
def test_a_kernel_that_gives_no_facts(server, doctor, at_once, kernels, tmp_path, text, said):
    path = script(tmp_path / "kernel", text) if text else "/nowhere/python3"
    data = asked(server, kernel=kernels(path))
    found = next(one for one in data["findings"] if one["id"] == "kernel_silent")
    assert said in found["evidence"]
    assert "alice" not in json.dumps(data)


def test_an_interpreter_that_hangs_is_ended_with_its_children(server, doctor, at_once, kernels, tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "LIMIT_SECONDS", 1.0)
    path = script(tmp_path / "kernel", '#!/bin/sh\necho $$ > "$0.pid"\ntail -f "$0" &\ntail -f "$0"\n')
    begun = time.monotonic()
    data = asked(server, kernel=kernels(path))
    assert time.monotonic() - begun < 15
    assert "kernel_silent" in kinds(data)
    group = int((tmp_path / "kernel" / "python3.pid").read_text())
    wait_until(lambda: not any(_in_group(one.pid, group) for one in psutil.process_iter()))


def _in_group(pid, group):
    try:
        return os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def test_a_real_kernel(server, doctor, at_once):
    manager = server.app.kernel_manager
    identity = server.await_(manager.start_kernel(kernel_name="python3"))
    try:
        data = asked(server, kernel=identity)
        assert data["facts"]["system"]["python"] == ".".join(map(str, sys.version_info[:3]))
        assert "kernel_silent" not in kinds(data)
    finally:
        server.await_(manager.shutdown_kernel(identity, now=True))
    gone = server.get("/gpu/doctor", kernel=identity)
    assert (gone.status, check("/gpu/doctor", gone)["code"]) == (404, "not_found")


def test_a_kernels_environment_needs_the_right_to_run_on_kernels(server, doctor, at_once, authorizer):  # noqa: F811
    recording = authorizer(Recording())
    recording.refused = frozenset({("execute", "kernels")})
    assert server.get("/gpu/doctor").status == 200
    refused = server.request("GET", API + "/gpu/doctor", "kernel=any")
    assert (refused.status, check("/gpu/doctor", refused)["code"]) == (403, "forbidden")
    assert recording.asked[-2:] == [("read", "gpu"), ("execute", "kernels")]


INTERPRETERS = {
    "its path": (["/opt/env/bin/python3.12"], "/opt/env/bin/python3.12"),
    "bare": (["python"], sys.executable),
    "bare with a version": ([f"python{sys.version_info[0]}"], sys.executable),
    "below a prefix": (["{prefix}/bin/python"], f"{sys.prefix}/bin/python"),
    "a template": (["{some}/python"], sys.executable),
}


def kernel(argv, **more):
    spec = KernelSpec(argv=argv, language="python", resource_dir="/specs/x", **more)
    return SimpleNamespace(kernel_spec=spec, provisioner=LocalProvisioner())


@pytest.mark.parametrize(("argv", "path"), INTERPRETERS.values(), ids=INTERPRETERS)
def test_the_interpreter_of_a_kernel(argv, path):
    assert of_kernel(kernel(argv)).path == path


def test_the_variables_of_a_kernel(monkeypatch):
    monkeypatch.setenv("PLACE", "/data")
    found = of_kernel(
        kernel(["python"], env={"LD_LIBRARY_PATH": "${PLACE}/lib:${NOWHERE}", "CUDA_VISIBLE_DEVICES": "1"})
    )
    assert found.environment()["LD_LIBRARY_PATH"] == "/data/lib:${NOWHERE}"
    assert found.environment()["CUDA_VISIBLE_DEVICES"] == "1"
    assert of_kernel(kernel(["python"])) == SERVERS


@pytest.mark.parametrize("argv", [["R"], ["conda", "run"], ["bash", "-c", "python"], [], ["/x/python-evil"]])
def test_what_is_no_python_is_not_started(argv):
    with pytest.raises(UnsupportedFormatError):
        of_kernel(kernel(argv))


def test_a_kernel_of_another_machine_is_not_looked_for_here():
    remote = kernel(["/usr/bin/python3"])
    remote.provisioner = object()
    with pytest.raises(UnsupportedFormatError, match="another machine"):
        of_kernel(remote)
