"""The panels without a device, without a connection, without a server part, behind an address with a space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import HERE
from tests.ui.lab import drive, running_lab

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_here_yet(tmp_path: Path) -> None:
    with running_lab(tmp_path / "lab", {"LD_LIBRARY_PATH": ""}, base_url="/user/a%20b/") as lab:
        says = {"GPU_SAYS": "NVIDIA", "STORAGE_SAYS": "Connect your storage"}
        found = drive("states.mjs", lab, HERE / ".artifacts" / "nothing", **says)
    assert "Paste a link" in str(found["storage"])
    assert "no GPU" in str(found["status"])
    assert found["problems"] == []


def test_no_server_part(tmp_path: Path) -> None:
    off = "--ServerApp.jpserver_extensions={'jupyter_gpu_ext': False}"
    with running_lab(tmp_path / "lab", {}, off) as lab:
        says = dict.fromkeys(("GPU_SAYS", "STORAGE_SAYS"), "The panels have no server part yet")
        found = drive("states.mjs", lab, HERE / ".artifacts" / "no_server", **says)
    assert "Restart the server" in str(found["storage"])
