"""A JupyterLab of its own for the browser to drive, with nothing of this machine's configuration in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.conftest import HERE, free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "a-token-for-this-run"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab.

    Attributes
    ----------
    work : Path
        The folder that it shows.
    log : Path
        What it printed.
    """

    url: str
    work: Path
    log: Path


@contextmanager
def running_lab(folder: Path, environ: dict[str, str], *more: str, base_url: str = "/") -> Iterator[Lab]:
    """Run JupyterLab on 127.0.0.1 with `environ` added to its environment and `more` to its options."""
    port = free_port()
    for name in ("work", "config", "data", "settings/@jupyterlab/apputils-extension", "runtime"):
        (folder / name).mkdir(parents=True)
    panels = folder / "panels" / "jupyter-gpu-ext"
    panels.parent.mkdir()
    panels.symlink_to(HERE.parent / "jupyter_gpu_ext" / "labextension", target_is_directory=True)
    news = folder / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.write_text(json.dumps({"fetchNews": "false"}))
    options = [
        f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder / 'work'}",
        f"--ServerApp.base_url={base_url}",
        f"--IdentityProvider.token={TOKEN}",
        "--no-browser",
        "--LabApp.expose_app_in_browser=True",
        # The panels of this checkout, whichever are installed.
        f"--LabApp.extra_labextensions_path={panels.parent}",
        "--allow-root",
        "--Application.log_level=DEBUG",
        *more,
    ]
    own = {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    log = folder / "lab.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter", "lab", *options],
            env=os.environ | own | environ,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        try:
            wait_for_port(port, process)
            yield Lab(f"http://127.0.0.1:{port}{base_url}", folder / "work", log)
        finally:
            process.terminate()
            process.wait(30)


def drive(script: str, lab: Lab, output: Path, **more: str) -> dict[str, object]:
    """Run a browser script with node and return what it found.

    Raises
    ------
    AssertionError
        With the script's own words when it failed.
    """
    output.mkdir(parents=True, exist_ok=True)
    environ = os.environ | more | {"LAB_URL": lab.url, "LAB_TOKEN": TOKEN, "OUTPUT": str(output)}
    done = subprocess.run(
        ["node", str(HERE / "ui" / script)], env=environ, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{script}:\n{done.stdout}\n{done.stderr}"
    return dict(json.loads((output / "found.json").read_text()))
