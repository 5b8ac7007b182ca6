"""Whole notebooks and the scripts that people read."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_gpu_ext.export.script import make_script

GOLDEN = Path(__file__).parent / "golden"
NOTEBOOKS = sorted(GOLDEN.glob("*.ipynb"))


def made(path: Path) -> str:
    return make_script(json.loads(path.read_text(encoding="utf-8")), name=path.name, version="0.0.0").text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_script_is_the_golden_one(path: Path) -> None:
    assert made(path) == path.with_suffix(".py").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_script_knows_no_notebook(path: Path) -> None:
    names = {node.id for node in ast.walk(ast.parse(made(path))) if isinstance(node, ast.Name)}
    assert "get_ipython" not in names
    assert "IPython" not in made(path)


def test_scripts_pass_the_linter(tmp_path: Path) -> None:
    for path in NOTEBOOKS:
        (tmp_path / f"{path.stem}.py").write_text(made(path), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
