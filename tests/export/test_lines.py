"""Notebooks with IPython's own lines: the script prints what IPython prints, without IPython."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export.notebooks import script
from tests.export.train import ROOT, Machine, values

NOTEBOOKS = {path.stem: path for path in sorted((Path(__file__).parent / "lines").glob("*.txt"))}
# What a magic says of itself.
_SAID = re.compile(r"env: .*|<IPython\.core\.display\..*|Available .*|%.*|Automagic is .*|")
PLACES = {"HOME": "/", "SHELL": "/bin/bash"}


def cells_of(name: str) -> list[str]:
    return [cell.removesuffix("\n") for cell in NOTEBOOKS[name].read_text(encoding="utf-8").split("# %%\n")]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return what IPython prints of each notebook."""
    folder = tmp_path_factory.mktemp("ipython")
    asked = {"folder": str(folder), "notebooks": {name: cells_of(name) for name in NOTEBOOKS}}
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder), **PLACES}
    done = subprocess.run(
        [sys.executable, "-m", "tests.export.shell_cells"],
        input=json.dumps(asked), capture_output=True, text=True, check=False, env=environ, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(NOTEBOOKS, "")
    return {name: plain((folder / f"{name}.out").read_text(encoding="utf-8")) for name in NOTEBOOKS}


def plain(text: str) -> list[str]:
    return [line for line in values(text.splitlines()) if not _SAID.fullmatch(line)]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_script_prints_what_ipython_prints(name: str, printed: dict[str, list[str]], tmp_path: Path) -> None:
    machine = Machine(tmp_path, tmp_path / "connections.toml")
    (tmp_path / "made.py").write_text(script(*cells_of(name)), encoding="utf-8")
    assert plain("\n".join(machine.run("made.py", "--skip-preflight", **PLACES))) == printed[name]
    assert printed[name]


def test_these_scripts_pass_the_linter(tmp_path: Path) -> None:
    for name in NOTEBOOKS:
        made = script(*cells_of(name))
        (tmp_path / f"{name}.py").write_text(made, encoding="utf-8")
        assert not re.search(r"^[^#'\"]*get_ipython", made, re.MULTILINE)
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
