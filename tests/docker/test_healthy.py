"""The health check beside the server that the image starts: its own command, less the address."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.docker.dockerfile import DOCKER, read
from tests.gpu.health.machine import COMPUTES, Machine
from tests.server.live import wait_until

SCRIPT = DOCKER / "healthy.py"


@pytest.fixture
def container(tmp_path):
    """What a container gives: a home and a /tmp of its own, a driver and a torch that are in order."""
    machine = Machine(tmp_path).with_nvml().with_cuda().with_torch(COMPUTES)
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    machine.variables = {
        **os.environ,
        **machine.environ,
        "HOME": str(tmp_path / "home"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "home" / "runtime"),
        "TMPDIR": str(tmp_path / "tmp"),
        # It is not asked of a proxy.
        "http_proxy": "http://127.0.0.1:9",
    }
    return machine


@pytest.fixture
def server(container, tmp_path):
    _, stages = read()
    words = stages["notebook"].exec_form("CMD")
    assert words[0] == "jupyter"
    assert "--ip=0.0.0.0" in words
    words = [word for word in words[1:] if not word.startswith(("--ip", "--port"))]
    words += ["--ip=127.0.0.1", f"--port={free_port()}", "--ServerApp.base_url=/user/ada", "--allow-root"]
    log = (tmp_path / "log").open("w")
    with (
        log,
        subprocess.Popen(
            [sys.executable, "-m", "jupyter", *words],
            env=container.variables,
            cwd=tmp_path / "home",
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        yield process
        process.terminate()


def asked(container) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=container.variables, capture_output=True, text=True, check=False, timeout=40
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def answered(container) -> tuple[int, str] | None:
    found = asked(container)
    return None if "No notebook server" in found[1] else found


@pytest.mark.prove
def test_from_the_start_to_the_end(container, server, tmp_path):
    """One server for all of it: a start takes seconds."""
    examined = tmp_path / "tmp" / "jupyter-gpu-examined"
    container.control.fail("nvmlInitWithFlags", 18)
    code, said = wait_until(lambda: answered(container), 60)
    assert code == 1
    assert "updated under you" in said or "version" in said.lower()
    assert not examined.exists()
    container.control.heal("nvmlInitWithFlags")
    # The doctor was well, and is not asked again.
    assert asked(container) == (0, "Healthy.\n")
    assert examined.exists()
    container.control.fail("nvmlInitWithFlags", 15)
    code, said = asked(container)
    assert (code, "lost" in said.lower()) == (1, True)
    container.control.heal("nvmlInitWithFlags")
    assert asked(container) == (0, "Healthy.\n")
    server.terminate()
    assert server.wait(30) == 0
    assert asked(container) == (1, "No notebook server answers.\n")


def test_what_an_earlier_container_left_is_no_server(container):
    runtime = Path(container.variables["JUPYTER_RUNTIME_DIR"])
    runtime.mkdir()
    (runtime / "jpserver-7.json").write_text(f'{{"port": {free_port()}, "base_url": "/"}}')
    (runtime / "jpserver-8.json").write_text('{"po')
    (runtime / "jpserver-9.json").write_text("{}")
    assert asked(container) == (1, "No notebook server answers.\n")
