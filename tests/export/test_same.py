"""A script prints what its notebook prints: its cells run in one namespace, the script in a process of its own."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

import pytest

from tests.export.notebooks import code, script

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]

# Notebooks as text: `# %%` begins a cell; the lines above the first say where a statement has to stand.
NOTEBOOKS = sorted((Path(__file__).parent / "same").glob("*.txt"))


def cells_of(path: Path) -> tuple[list[str], dict[str, bool]]:
    """Return the cells, and for some statements whether they stand at module level."""
    head, *cells = path.read_text(encoding="utf-8").removesuffix("\n").split("# %%\n")
    lines = (line.removeprefix("# ").split(": ", 1) for line in head.splitlines())
    return [cell.removesuffix("\n") for cell in cells], {
        ast.literal_eval(text): kind == "module" for kind, text in lines
    }


def printed_by(cells: Sequence[str]) -> str:
    """Return what the cells print, run as a kernel runs them."""
    module, output = ModuleType("__main__"), io.StringIO()
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    async def all_of_them() -> None:
        nonlocal flags
        for cell in cells:
            compiled = compile(cell, "<cell>", "exec", flags=flags, dont_inherit=True)
            flags |= compiled.co_flags & 0x1000000
            result = eval(compiled, module.__dict__)
            if isinstance(compiled, CodeType) and result is not None:
                await result

    try:
        with contextlib.redirect_stdout(output):
            asyncio.run(all_of_them())
    finally:
        sys.modules["__main__"] = before
    return output.getvalue()


def run(made: str, folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    path = folder / "made.py"
    path.write_text(made, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)} | environ,
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_script_prints_what_the_notebook_prints(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, places = cells_of(path)
    made = script(*cells)
    for text, at_module_level in places.items():
        assert (f"\n{text}" in made) == at_module_level, made
        assert (f"\n    {text}" in made) != at_module_level, made
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    expected = printed_by(cells)
    done = run(made, tmp_path, "--skip-preflight")
    assert (done.returncode, done.stdout) == (0, expected), f"{done.stderr}\n{made}"
    assert expected


def test_these_scripts_pass_the_linter(tmp_path: Path) -> None:
    for path in NOTEBOOKS:
        (tmp_path / f"{path.stem}.py").write_text(script(*cells_of(path)[0]), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9", "--output-format", "json"]
    done = subprocess.run([*ruff, str(tmp_path)], capture_output=True, text=True, check=False)
    # That a notebook makes a name twice, or mentions one that is nowhere, is its own affair.
    found = [(one["code"], Path(one["filename"]).stem) for one in json.loads(done.stdout)]
    unknown = {("F821", "futures")}
    assert [one for one in found if one[0] != "F811" and one not in unknown] == []


def test_a_cell_that_is_left_out_is_not_run(tmp_path: Path) -> None:
    made = script(code("x = 1", "export"), "x = 2", code("print(x)", "export"), code("x = 3", "skip", "export"))
    assert "# left out: not tagged export" in made
    assert run(made, tmp_path, "--skip-preflight").stdout == "1\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_import_the_script_find_its_definitions(method: str, tmp_path: Path) -> None:
    made = script(
        "import multiprocessing\nprint('once')",
        "class Box:\n    def __init__(self, value):\n        self.value = value",
        "def double(box):\n    return Box(2 * box.value)",
        f"with multiprocessing.get_context('{method}').Pool(1) as pool:\n"
        "    print([box.value for box in pool.map(double, [Box(1), Box(2)])])",
    )
    done = run(made, tmp_path, "--skip-preflight")
    assert (done.returncode, done.stdout) == (0, "once\n[2, 4]\n"), done.stderr


def test_two_ranks_save_and_show_once(tmp_path: Path) -> None:
    made = script(
        "import numpy as np\nx = np.arange(3)",
        "np.save('x.npy', x)\ndisplay(x.sum())",
        "import os\nprint(os.path.exists('x.npy'))",
    )
    second = run(made, tmp_path, "--skip-preflight", RANK="1")
    assert second.stdout == "False\n"
    first = run(made, tmp_path, "--skip-preflight", RANK="0")
    assert first.stdout.splitlines()[-1] == "True"
    assert "3" in first.stdout.splitlines()[0]
