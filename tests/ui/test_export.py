"""A notebook becomes a job in a real browser: the menu, the dialog, the folder, a run that outlives its tab."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pytest

from tests.conftest import AZURITE_KEY, HERE, KEY_VARIABLE, Azurite, azure_fields, write_connections
from tests.ui.lab import drive, running_lab

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
PARAMETERS = (
    "lr: float = 3e-4  # step of the optimiser\nsteps = 3\nresume = False  # go on where the last run was stopped\n"
    "out = 'run7://models/a-rather-long-name-of-a-run'"
)
TRAIN = (
    "import time\nfor step in range(steps):\n    print('step', step, 'loss', float(w.sum()) * lr, flush=True)\n"
    "    time.sleep(1)"
)
CELLS = (
    "%load_ext jupyter_gpu_ext",
    PARAMETERS,
    "%load_blob weights://layers/w.npy -o w --device cpu",
    "home = '/home/ada/data'",
    TRAIN,
    "%save_blob w $out/w.npy --overwrite",
)


def put(place: Path, *cells: str) -> None:
    """Write a notebook; a cell that declares is tagged so."""
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    for cell in made:
        cell.metadata["tags"] = ["parameters"] if cell.source == PARAMETERS else []
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": KERNEL}), place)


def npy(values: np.ndarray[Any, Any]) -> bytes:
    """Return an array's file."""
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.timeout(400)
def test_a_notebook_becomes_a_job(azurite: Azurite, tmp_path: Path) -> None:
    container = azurite.new_container()
    container.upload_blob("layers/w.npy", npy(np.ones(4)))
    weights = azure_fields(azurite, container.container_name)
    run7 = {**weights, "root": f"{weights['root']}/run7", "read_only": False}
    write_connections(tmp_path / "connections.toml", weights=weights, run7=run7)
    with running_lab(tmp_path / "lab", {"JUPYTER_GPU_SIMULATED": "1xA100", KEY_VARIABLE: AZURITE_KEY}) as lab:
        put(lab.work / "train.ipynb", *CELLS)
        put(lab.work / "bad.ipynb", "x = 1", "%nobody knows this one")
        # What only a script has, and what fails wherever it runs.
        (lab.work / "tried").mkdir()
        put(
            lab.work / "tried" / "shaky.ipynb",
            "where = '__file__' if '__file__' in globals() else 'In'",
            "rows = len(where)",
        )
        put(lab.work / "tried" / "fails.ipynb", "rows = 0", "mean = 1 / rows")
        found: dict[str, Any] = drive("export.mjs", lab, HERE / ".artifacts" / "export")
        folder = lab.work / "jobs" / "train"
        assert {"train.py", "job.yaml", "job.sbatch", "README.md"} <= {one.name for one in folder.iterdir()}
        assert "--lr=1e-3" in (folder / "job.yaml").read_text()
        log = (folder / "train.log").read_text()
        proof = json.loads((folder / "proof" / "report.json").read_text())
    assert "def main()" in found["script"]
    assert "get_ipython" not in found["script"]
    assert found["command"] == "kubectl apply -f jobs/train/job.yaml"
    assert found["remark"].startswith("Cell 4, line 1:")
    assert (found["shown"], found["refused"]["active"]) == (3, 1)
    assert "Cell 2, line 1" in found["refused"]["message"]
    assert "%nobody" in found["refused"]["message"]
    assert "'fast'" in found["wrong"]
    assert (proof["holds"], proof["plan"]["arguments"]) == (True, ["--lr=1e-3", "--steps=2"])
    proven = found["proven"]
    assert (proven["suggested"], proven["blocked"]) == ("steps=3", True)
    assert proven["problem"].startswith("step is no parameter.")
    assert proven["phase"].startswith("Running the ")
    assert proven["title"].startswith("The script gives the notebook's result: ")
    assert found["differs"].startswith("2 results of 2 differ.")
    assert "rows" in found["differs"]
    assert "Cell 2 of the notebook fails: ZeroDivisionError" in found["failing"]["said"]
    assert found["failing"]["active"] == 1
    assert found["running"].startswith("Running in the background")
    assert found["done"].startswith("Done after")
    assert "step 2 loss 0.004" in log
    assert container.get_blob_client("run7/models/a-rather-long-name-of-a-run/w.npy").exists()
    stored = container.download_blob("run7/logs/train.log").readall().decode()
    assert "step 2 loss 0.004" in stored
    assert AZURITE_KEY not in stored + log + str(found)
    assert all("422" in one for one in found["problems"]), "only what is refused is a problem"
