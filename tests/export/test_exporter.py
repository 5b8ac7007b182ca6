"""The doors: `jupyter nbconvert --to trainscript`, JupyterLab's export menu, and the list of formats."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nbconvert.utils.exceptions import ConversionException
from nbformat import from_dict

from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.exporter import TrainScriptExporter
from tests.export.notebooks import notebook, text

TRAIN = notebook(text("# Train"), "%load_ext jupyter_gpu_ext\n%gpu", "x = 1\nx")
REFUSED = notebook("x = 1", text("…"), "y = 2\n%foo")
REFUSAL = "Cell 3, line 2: %foo has no translation. — Remove it, or tag the cell `skip`."

# Everything that a machine may lack, or that is too heavy for a list of formats.
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "zarr", "adlfs", "obstore", "pynvml", "azure", "fsspec", "numpy"}:
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Missing())
import json
from nbconvert.exporters import get_export_names, get_exporter
from nbformat import from_dict
names = get_export_names()
made, resources = get_exporter("trainscript")().from_notebook_node(from_dict(json.load(sys.stdin)))
print(json.dumps([names, made, resources["output_extension"]]))
"""


def nbconvert(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nbconvert", "--to", "trainscript", *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent)


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(document: dict[str, Any], name: str = "train.ipynb") -> Path:
        path = tmp_path / name
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


def test_the_list_of_formats_needs_none_of_our_dependencies() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], input=json.dumps(TRAIN), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names, made, extension = json.loads(done.stdout)
    assert {"trainscript", "python", "html"} <= set(names)
    assert "print(jg.gpu.status())" in made
    assert extension == ".py"


def test_nbconvert_writes_the_script_beside_the_notebook(written: Any) -> None:
    path = written(TRAIN | {"metadata": {"language_info": {"name": "python", "file_extension": "./../../evil.sh"}}})
    done = nbconvert(path)
    assert done.returncode == 0, done.stderr
    assert sorted(one.name for one in path.parent.iterdir()) == ["train.ipynb", "train.py"]
    assert "# Made from train.ipynb by jupyter_gpu_ext" in path.with_suffix(".py").read_text(encoding="utf-8")


def test_a_name_leads_to_no_other_folder() -> None:
    made, resources = TrainScriptExporter().from_notebook_node(from_dict(TRAIN), {"metadata": {"name": "../../evil"}})
    assert "# Made from ../../evil.ipynb" in made
    assert resources["output_extension"] == ".py"
    assert not resources.get("outputs")


def test_nbconvert_tells_a_refusal_in_one_line(written: Any) -> None:
    path = written(REFUSED)
    done = nbconvert(path, "--log-level", "ERROR")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"[NbConvertApp] ERROR | Not exported: {REFUSAL}"]
    assert not path.with_suffix(".py").exists()


def test_a_refusal_is_an_error_of_nbconvert_and_of_ours() -> None:
    with pytest.raises(ConversionException) as refused:
        TrainScriptExporter().from_notebook_node(from_dict(REFUSED))
    assert isinstance(refused.value, ExportRefusedError)
    assert str(refused.value) == REFUSAL


def test_an_unknown_magic_may_become_a_comment_and_remarks_are_logged(written: Any) -> None:
    path = written(notebook("%foo\nx = '/home/ada/x'"))
    done = nbconvert(path, "--TrainScriptExporter.unknown=comment", "--log-level", "WARN")
    assert done.returncode == 0
    assert "    # not translated: %foo\n" in path.with_suffix(".py").read_text(encoding="utf-8")
    assert "Cell 1, line 2: /home/ada is a person's folder" in done.stderr


def test_the_shell_may_be_strict() -> None:
    document = from_dict(notebook("!ls"))
    assert 'shell.run("ls", check=True)' in TrainScriptExporter(strict_shell=True).from_notebook_node(document)[0]
    assert 'shell.run("ls")' in TrainScriptExporter().from_notebook_node(document)[0]


def test_the_same_notebook_gives_the_same_bytes() -> None:
    exporter = TrainScriptExporter()
    first, resources = exporter.from_notebook_node(from_dict(TRAIN), {"metadata": {"name": "a"}})
    assert exporter.from_notebook_node(from_dict(TRAIN), {"metadata": {"name": "a"}})[0] == first
    assert "# Made from a.ipynb" in first
    assert resources["output_extension"] == ".py"


# Each fails at its import as such packages do where a library of theirs is missing.
BROKEN = ("torch", "zarr", "adlfs", "obstore", "pynvml", "azure", "fsspec", "numcodecs", "aiohttp", "psutil")


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """Put packages that raise in front of the installed ones, for every process that is started with this."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in BROKEN:
        (folder / f"{name}.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')\n")
    place = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    return {**os.environ, "PYTHONPATH": place}


@pytest.mark.parametrize(
    "options",
    [
        ["--to", "trainscript"],
        pytest.param(["--to", "python"], marks=pytest.mark.prove),
        pytest.param(["--to", "html"], marks=pytest.mark.prove),
        pytest.param(["--help"], marks=pytest.mark.prove),
    ],
    ids=lambda one: one[-1],
)
def test_nbconvert_works_where_everything_heavy_raises(
    options: list[str], written: Any, broken: dict[str, str]
) -> None:
    path = written(TRAIN)
    command = [sys.executable, "-m", "nbconvert", *options, *([] if "--help" in options else [str(path)])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=path.parent, env=broken)
    assert done.returncode == 0, done.stderr
    made = [one.suffix for one in path.parent.iterdir() if one.stem == path.stem and one != path]
    assert made == [".html" if options[-1] == "html" else ".py"] or "trainscript" in done.stdout
    proof = [sys.executable, "-c", "import torch"]
    assert b"libcudart" in subprocess.run(proof, capture_output=True, check=False, env=broken).stderr


@pytest.fixture
def fetch(jp_fetch: Any, jp_asyncio_loop: Any) -> Any:
    """Ask the running server, on its own loop."""
    return lambda *path, **options: jp_asyncio_loop.run_until_complete(jp_fetch(*path, **options))


def test_the_menu_lists_and_downloads_it(fetch: Any, jp_root_dir: Path) -> None:
    (jp_root_dir / "train.ipynb").write_text(json.dumps(TRAIN), encoding="utf-8")
    listed = json.loads(fetch("api", "nbconvert").body)
    assert listed["trainscript"] == {"output_mimetype": "text/x-python"}
    reply = fetch("nbconvert", "trainscript", "train.ipynb", params={"download": "true"})
    assert reply.headers["Content-Type"] == "text/x-python; charset=utf-8"
    assert "train.py" in reply.headers["Content-Disposition"]
    assert "print(jg.gpu.status())" in reply.body.decode()


def test_the_menu_shows_the_refusal(fetch: Any, jp_root_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    (jp_root_dir / "bad.ipynb").write_text(json.dumps(REFUSED), encoding="utf-8")
    reply = fetch("nbconvert", "trainscript", "bad.ipynb", raise_error=False)
    assert reply.code == 500
    assert REFUSAL in reply.body.decode()
    assert "Traceback" not in reply.body.decode()
    assert f"Not exported: {REFUSAL}" in caplog.messages
