"""The GPU panel in a real browser: two simulated cards, a real kernel, an address with an encoded space."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import nbformat
import numpy as np
import pytest
import zarr

from tests.conftest import HERE, write_connections
from tests.nvml.build import build
from tests.nvml.control import Control
from tests.ui.lab import drive, running_lab

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTES = 64
# Read until the browser has seen it.
STREAM = """\
import time
from pathlib import Path
import jupyter_gpu_ext as jg
stream = jg.ZarrStream("demo://field.zarr")
for sample in (one for _ in range(20) for one in stream):
    time.sleep(0.05)
    if Path("seen.txt").exists(): break
del sample"""
CELLS = (
    "%load_ext jupyter_gpu_ext",
    "%load_blob demo://weights.npy -o weights",
    STREAM,
    "weights[:1]",
    # A tensor that only the last error's frames keep alive.
    "def step():\n    held = weights.clone()\n    raise ValueError(held.shape)\nstep()",
)


def notebook() -> nbformat.NotebookNode:
    """Return a notebook that loads onto the simulated card and ends in an error."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def test_see_release_look_back_and_examine(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    np.save(store / "weights.npy", np.zeros(MEGABYTES * 250_000, dtype="float32"))
    zarr.create_array(store / "field.zarr", data=np.zeros((60, 8), "float32"), chunks=(4, 8))
    write_connections(tmp_path / "connections.toml", demo={"root": str(store), "read_only": True})
    with running_lab(tmp_path / "lab", {"JUPYTER_GPU_SIMULATED": "2xL4"}, base_url="/user/a%20b/") as lab:
        nbformat.write(notebook(), lab.work / "train.ipynb")
        found: dict[str, Any] = drive("gpu.mjs", lab, HERE / ".artifacts" / "gpu")
    assert "train.ipynb" not in found["before"]
    assert "field.zarr" in found["streams"]
    assert "waited " in found["streams"]
    assert f"{MEGABYTES}.0 MB" in found["row"]
    assert found["badge"].startswith(f"{MEGABYTES}.0 MB")
    assert all(found["details"]), "each detail is a value or a reason"
    check_release(found["rungs"])
    assert "variables are lost" in found["end"]["question"]
    assert found["end"]["kept"] == 1
    assert "restarted" in found["end"]["notice"]
    check_dashboard(found["dashboard"])
    assert found["doctor"]["verdict"]
    assert found["doctor"]["report"].startswith("#")
    assert "doctor:" in found["doctor"]["line"]
    assert found["hidden"] == [], "nobody asks while nobody looks"
    assert found["problems"] == []


def check_release(rungs: dict[str, Any]) -> None:
    """Check that the error's tensor was the traceback's, and nothing else's."""
    names = ["cache", "traceback", "outputs", "restart", "shut down"]
    assert [one.split("\n")[0].strip() for one in rungs["offered"]] == names
    assert f"+{MEGABYTES}.0 MB" in rungs["offered"][1]
    assert f"{MEGABYTES}.0 MB" in rungs["said"]["traceback"]
    assert f"{MEGABYTES}.0 MB" not in rungs["said"]["cache"]
    assert rungs["focus"], "the keyboard is back on the button"


def check_dashboard(dashboard: dict[str, Any]) -> None:
    """Check the diagrams, their legend and that the theme reaches the canvas."""
    assert dashboard["count"] == 1
    assert dashboard["titles"] == ["memory", "busy", "temperature", "power", "storage"]
    assert [re.sub(r"\s+", " ", one)[:5] for one in dashboard["legend"]] == ["GPU 0", "GPU 1"]
    assert re.search(r"\d\d:\d\d:\d\d", dashboard["crosshair"]), "the cursor is one for all diagrams"
    assert dashboard["light"] != dashboard["dark"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cast("Path", build(tmp_path_factory.mktemp("nvml")))


def test_sensors_that_are_blocked(library: Path, tmp_path: Path) -> None:
    driver = Control(tmp_path)
    driver.fail("nvmlInitWithFlags", 4)
    environ = {"LD_LIBRARY_PATH": str(library.parent), "FAKE_NVML": str(driver.file), "JUPYTER_GPU_SIMULATED": ""}
    with running_lab(tmp_path / "lab", environ) as lab:
        says = {"GPU_SAYS": "blocked", "STORAGE_SAYS": "Connect your storage"}
        found: dict[str, Any] = drive("states.mjs", lab, HERE / ".artifacts" / "blocked", **says)
    assert "sensors blocked" in found["status"]
    assert "NVIDIA_DRIVER_CAPABILITIES" in found["gpu"]
    assert found["problems"] == []
