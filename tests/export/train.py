"""Five notebooks as people write them, the kernel that runs them, and a machine for scripts that has no Jupyter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.export.notebooks import code, notebook, text

if TYPE_CHECKING:
    from tests.magics.cells import Cells

ROOT = Path(__file__).parents[2]
TRAININGS = {path.stem: path for path in sorted((Path(__file__).parent / "trainings").glob("*.txt"))}

# Python imports it as it starts, in every process: also in those that torchrun and a DataLoader start.
NO_JUPYTER = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        web = ("IPython", "ipykernel", "ipywidgets", "jupyter", "nbconvert", "nbformat", "tornado", "traitlets")
        if first.startswith(web) and first != "jupyter_gpu_ext":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""
# What says how long something took, or what was loaded: no value of the notebook.
_RECEIPT = re.compile(
    r".* · \d.*|.*\btensors?\b.*, [\d.]+ k?B\b.*|(CPU times|Wall time|connections|Help|jupyter_gpu_ext|Note):? .*|"
    r"[\d.]+ \S?s ± .*|"
)


def cells_of(name: str) -> list[dict[str, Any]]:
    """Return the cells of a training."""
    found = []
    for cell in re.split(r"(?m)^# %%", TRAININGS[name].read_text(encoding="utf-8"))[1:]:
        tag, _, source = cell.removesuffix("\n").partition("\n")
        found.append(text(source) if "markdown" in tag else code(source, *tag.split()))
    return found


def document(name: str) -> dict[str, Any]:
    return notebook(*cells_of(name))


def by_kernel(cells: Cells, name: str) -> list[str]:
    """Return the lines that a notebook shows, run in a real kernel."""
    said = []
    for cell in cells_of(name):
        if cell["cell_type"] == "code":
            outcome = cells.run(cell["source"])
            assert outcome.status == "ok", (name, outcome.traceback)
            shown = [one["data"]["text/plain"] for kind, one in outcome.displays if kind == "display_data"]
            said += [*outcome.stdout.splitlines(), *"\n".join(shown).splitlines()]
    return values(said)


def values(lines: list[str]) -> list[str]:
    """Return the lines without times and receipts."""
    return [line for line in lines if not _RECEIPT.fullmatch(line)]


class Machine:
    """Where scripts run: with the base distribution and torch, without Jupyter and IPython."""

    def __init__(self, folder: Path, connections: Path) -> None:
        self.folder, self.python = folder, sys.executable
        site = folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(NO_JUPYTER, encoding="utf-8")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
            "JUPYTER_GPU_CONNECTIONS": str(connections),
            # What is added up in another order is another number.
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *command: str | Path, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environ | environ,
        )

    def run(self, *command: str | Path, **environ: str) -> list[str]:
        """Run a script to its end; return the lines that it printed, without times and receipts."""
        child = self.start(*command, **environ)
        output, errors = child.communicate(timeout=100)
        assert child.returncode == 0, f"{output}\n{errors}"
        return values(output.splitlines())
