"""An exported script runs where there is no Jupyter and no IPython."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.export.notebooks import script

ROOT = Path(__file__).parents[2]

# The loader is a stand-in: what it was asked for is the result.
CLEAN = """
import runpy, sys, types
sys.path.insert(0, sys.argv[2])
class Missing:
    def find_spec(self, name, path=None, target=None):
        first = name.partition(".")[0]
        web = ("IPython", "ipykernel", "jupyter", "nbconvert", "nbformat", "tornado", "traitlets", "torch")
        if first.startswith(web) and first != "jupyter_gpu_ext":
            raise ImportError(f"{name} is not here")
sys.meta_path.insert(0, Missing())
loader = types.ModuleType("jupyter_gpu_ext.tensors.loader")
loader.load = lambda *given, **options: [*given, options]
sys.modules[loader.__name__] = loader
path = sys.argv[1]
sys.argv = [path, "--skip-preflight"]
runpy.run_path(path, run_name="__main__")
"""


def run(made: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "made.py"
    path.write_text(made, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-I", "-c", CLEAN, str(path), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def test_a_script_does_what_the_notebook_did(tmp_path: Path) -> None:
    (tmp_path / "my data").mkdir()
    made = script(
        "from __future__ import annotations\nimport os\nstep = 7",
        "%load_ext jupyter_gpu_ext\n%load_blob weights://run{step}/größe.pt --device cpu\nprint(größe)",
        "%%time\nx = %load_blob $step\nprint(x)",
        "%env GREETING=hello {step}\n!echo $GREETING from the shell",
        "%cd 'my data'\n!touch 'a {step}.txt' b.txt\nfiles = !ls\nprint(files, files.s)",
        "%%capture said\nprint('kept')\n!echo and this",
        "said.show()\nprint(said.stdout == str(said))",
        "display(step, 'text')",
        "!exit 3",
        "print('end')",
    )
    done = run(made, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['weights://run7/größe.pt', {'device': 'cpu'}]",
        "[7, {}]",
        "hello 7 from the shell",
        "['a 7.txt', 'b.txt'] a 7.txt b.txt",
        "kept",
        "and this",
        "True",
        "7",
        "'text'",
        "end",
    ]
    assert done.stderr == "The shell command ended with exit code 3.\n"


def test_an_error_names_the_line_below_its_cell(tmp_path: Path) -> None:
    made = script("x = 1", "y = 0\nx / y")
    done = run(made, tmp_path)
    assert done.returncode == 1
    line = made.split("\n").index("    x / y") + 1
    assert f'made.py", line {line}' in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert done.stderr.splitlines()[-1] == "In the notebook: cell 2, line 2."
