"""The batch stage's own pip commands, in an environment of their own: the library works, and Jupyter is not there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.docker.dockerfile import ROOT, read

if TYPE_CHECKING:
    from pathlib import Path

ABSENT = ("IPython", "ipykernel", "jupyter_client", "jupyter_server", "jupyterlab", "nbconvert", "tornado", "torch")

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]


def shell(command: str, **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", command], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> Path:
    """The folder of an environment in which the image's commands were run, with the image's paths moved to it."""
    place = tmp_path_factory.mktemp("opt")
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    built = shutil.ignore_patterns("node_modules", "lib", "__pycache__", "_version.py")
    for name in ("jupyter_gpu_ext", "labextension"):
        shutil.copytree(ROOT / name, source / name, ignore=built)
    _, stages = read()
    shutil.copy(ROOT / "requirements" / "constraints.txt", place)
    # The frontend is built by its own tests, and is nothing to a job.
    wheel = stages["build"].every("RUN")[-1].replace("/wheels", f"{place}/wheels").replace("python3", sys.executable)
    shell(f"cd {source} && {wheel}", HATCH_JUPYTER_BUILDER_SKIP_NPM="1", PYTHONPATH="")
    shell(f"{sys.executable} -m venv {place}/jupyter-gpu")
    (install,) = (one for one in stages["batch"].every("RUN") if "pip install" in one)
    (extras,) = re.findall(r"EXTRAS=(\S+)", " ".join(stages["batch"].every("ARG")))
    path = f"{place}/jupyter-gpu/bin:{os.environ['PATH']}"
    shell(install.replace("/opt/", f"{place}/"), PATH=path, EXTRAS=extras, PYTHONPATH="")
    return place / "jupyter-gpu" / "bin"


def test_it_has_the_library_and_nothing_of_jupyter(batch):
    program = f"import json, importlib.util as u; print(json.dumps([n for n in {ABSENT!r} if u.find_spec(n)]))"
    assert json.loads(shell(f"cd / && {batch}/python -c {shlex.quote(program)}", PYTHONPATH="")) == []


@pytest.mark.parametrize("program", ["jupyter-gpu", "jupyter-blob"])
def test_its_commands_work(batch, program):
    assert "--json" in shell(f"{batch}/{program} ls --help || {batch}/{program} status --help", PYTHONPATH="")


def test_a_folder_is_listed_and_looked_into(batch, tmp_path):
    np.save(tmp_path / "m.npy", np.zeros(2, np.float32))
    file = tmp_path / "connections.toml"
    file.write_text(f'[connections.disk]\nroot = "{tmp_path}"\n')
    variables = {"JUPYTER_GPU_CONNECTIONS": str(file), "PYTHONPATH": ""}
    listed = json.loads(shell(f"{batch}/jupyter-blob ls disk:// --json", **variables))
    assert "m.npy" in json.dumps(listed)
    assert "float32" in shell(f"{batch}/jupyter-blob info disk://m.npy", **variables)
