"""The sentence that the product is: walked in a real browser, on a real server, kernel and store."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat
import pytest
import torch

from tests.conftest import AZURITE_KEY, HERE, KEY_VARIABLE, Store
from tests.ui.lab import drive, running_lab

if TYPE_CHECKING:
    from pathlib import Path

CHECKSUM = """\
# the value that notebook and script must agree on
checksum = sum(float(weight.double().sum()) for weight in step_100_best["model"].values())
print(f"checksum {checksum:.15e} at step {step_100_best['step']}")
"""


def checkpoint() -> bytes:
    """Return a training step with tied weights and an optimizer's state."""
    torch.manual_seed(7)
    model = torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 256)).sum().backward()
    optimizer.step()
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 100}, file)
    return file.getvalue()


def notebook() -> str:
    """Return a notebook that uses `step_100_best` and does not load it yet."""
    cells = [nbformat.v4.new_code_cell("%load_ext jupyter_gpu_ext"), nbformat.v4.new_code_cell(CHECKSUM)]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}))


@pytest.fixture
def found(azure_store: Store, tmp_path: Path) -> dict[str, object]:
    """Walk the main job once and return what the browser saw."""
    azure_store.put("runs/step 100 #best.pt", checkpoint())
    azure_store.put("runs/notes.txt", b"not a checkpoint")
    output = HERE / ".artifacts" / "first_light"
    environ = {"JUPYTER_GPU_SIMULATED": "1xA100", KEY_VARIABLE: AZURITE_KEY}
    with running_lab(tmp_path / "lab", environ) as lab:
        (lab.work / "train.ipynb").write_text(notebook())
        seen = drive("first_light.mjs", lab, output)
        seen["notebook"] = (lab.work / "train.ipynb").read_text()
        seen["log"] = lab.log.read_text(errors="replace")
    seen["script"] = (output / "train.py").read_text()
    return seen


def run_script(script: str, folder: Path) -> str:
    """Run an exported script in a process of its own, without IPython and Jupyter."""
    (folder / "train.py").write_text(script)
    blocked = "import sys; sys.modules.update(dict.fromkeys(('IPython', 'ipykernel', 'jupyter_server', 'nbconvert')));"
    runner = f"{blocked} import runpy; runpy.run_path('train.py', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", runner], cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_main_job(found: dict[str, object], tmp_path: Path) -> None:
    assert found["line"] == '%load_blob "weights://runs/step 100 #best.pt" -o step_100_best'
    printed = re.search(r"checksum \S+ at step 100", str(found["printed"]))
    assert printed, found["printed"]
    assert printed.group() in run_script(str(found["script"]), tmp_path)
    assert "get_ipython" not in str(found["script"])
    assert found["problems"] == []
    for place in ("bodies", "notebook", "log", "script"):
        assert AZURITE_KEY not in str(found[place]), place
