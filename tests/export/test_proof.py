"""The proof: notebook and script are run for real, compared, and what was changed since is found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from jupyter_gpu_ext.errors import ExistsError, ExportRefusedError, UsageError
from jupyter_gpu_ext.export import again, clock, proof
from jupyter_gpu_ext.export.command import export
from jupyter_gpu_ext.export.verify import verify
from jupyter_gpu_ext.job.described import Comparer, Describer
from jupyter_gpu_ext.job.lock import Locked
from tests.conftest import write_connections
from tests.export.notebooks import code, notebook, script

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CELLS = (
    "%load_ext jupyter_gpu_ext",
    code("steps = 1000  # many\nlr = 0.1\nscale = lr / 2", "parameters"),
    "import random, time\nimport numpy as np\nimport torch\nfrom helpers import start_of",
    "%load_blob sets://x.npy -o x",
    "began = time.time()\nseconds = began * 2\nw = torch.zeros(4) + start_of()\nfirst = torch.rand(2)",
    "noise = random.random() + np.random.rand()\nx = torch.as_tensor(x).float()",
    "torch.manual_seed(3)\nfor step in range(steps):\n    w = w - scale * (w - x) + 1e-3 * torch.randn(4)",
    code("print('loss', float(w.square().sum()))", "compare"),
    "class Model(torch.nn.Linear):\n    def __init__(self):\n        super().__init__(4, 2)",
    "model = Model()\nstate = {'w': w}",
    "%save_blob state runs://7/w.safetensors",
    "with open('notes.txt', 'w') as file:\n    file.write(f'{float(w.sum())}')",
    "import jupyter_gpu_ext as jg\nwith jg.Checkpointer('runs://ck') as kept:\n"
    "    kept.restore(model=model)\n    kept.save(1)",
    code("never = 1 / 0", "skip"),
)


class Made:
    """An export with its proof, its storage, and its notebook's folder."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.store = folder / "store"
        self.runs = folder / "runs"
        for one in (self.home, self.store, self.runs):
            one.mkdir()
        np.save(self.store / "x.npy", np.arange(4, dtype=np.float32))
        (self.runs / "old.txt").write_text("kept")
        (self.home / "helpers.py").write_text("def start_of():\n    return 1.5\n")
        self.connections = folder / "connections.toml"
        write_connections(
            self.connections, sets={"root": str(self.store)}, runs={"root": str(self.runs), "read_only": False}
        )
        self.notebook = self.home / "Train.ipynb"
        self.notebook.write_text(json.dumps(notebook(*CELLS)), encoding="utf-8")
        self.folder = folder / "job"


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Made, Any]]:
    """A notebook, exported with its proof once for all of these tests."""
    made = Made(tmp_path_factory.mktemp("proven"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_GPU_CONNECTIONS", str(made.connections))
        exported = export(str(made.notebook), folder=str(made.folder), prove=True, with_=("steps=20",))
        yield made, exported


@pytest.fixture
def job(proven: tuple[Made, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the exported job that a test may change."""
    monkeypatch.setenv("JUPYTER_GPU_CONNECTIONS", str(proven[0].connections))
    return Path(shutil.copytree(proven[0].folder, tmp_path / "job"))


def levels(result: Any, level: str) -> list[str]:
    return [one.text for one in result.lines if one.level == level]


def test_the_script_gives_the_notebook_s_result(proven: tuple[Made, Any]) -> None:
    made, exported = proven
    assert exported.proof.holds, str(exported.proof)
    assert exported.exit_code == 0
    compared = {(one.kind, one.name) for one in exported.proof.results if one.same}
    assert compared >= {
        ("variable", "w"), ("variable", "x"), ("variable", "noise"), ("variable", "model"), ("variable", "scale"),
        ("output", "cell 8"), ("file", "runs://7/w.safetensors"), ("file", "./notes.txt"),
        # Drawn before the notebook seeds anything; a step's object has another name each time.
        ("variable", "first"), ("file", "runs://ck/step-00000001.pt"),
    }  # fmt: skip
    assert exported.proof.left_out.keys() == {"began", "seconds"}
    # The parameters were those of --with, and what is computed from them followed.
    found = json.loads((made.folder / "proof" / "report.json").read_text())["expected"]["values"]
    assert found["steps"]["value"] == "20"
    assert "steps = given.steps" in (made.folder / "train.py").read_text()
    assert "| variable | `w` | the same |" in (made.folder / "proof" / "report.md").read_text()


def test_nothing_of_the_person_s_was_written(proven: tuple[Made, Any]) -> None:
    made, _ = proven
    assert [one.name for one in made.runs.iterdir()] == ["old.txt"]
    assert {one.name for one in made.home.iterdir()} <= {"helpers.py", "Train.ipynb", "jobs", "__pycache__"}


def test_what_the_kernel_read_is_locked(proven: tuple[Made, Any]) -> None:
    made, exported = proven
    lock = json.loads((made.folder / "data.lock").read_text())
    assert [one["url"] for one in lock["objects"]] == ["sets://x.npy"]
    pins = exported.job.files["requirements.txt"].splitlines()
    assert any(one.startswith("torch==") for one in pins)
    # The kernel had them, and the script needs none of them.
    assert not any(one.startswith(("ipykernel==", "ipython==", "nbclient==")) for one in pins)


def test_it_is_verified_as_it_is(job: Path) -> None:
    result = verify(str(job))
    assert result.exit_code == 0, str(result)
    assert len(levels(result, "ok")) == 3


def test_without_jupyter_and_without_storage_it_is_verified_from_its_sample(job: Path) -> None:
    """As on a runner of a repository: the base distribution, and none of the connections."""
    blocked = ("jupyter_server", "jupyter_client", "jupyter_core", "IPython", "ipykernel", "nbclient", "nbconvert",
               "nbformat", "traitlets", "tornado")  # fmt: skip
    # The script's own process is to find them as little.
    (job.parent / "site").mkdir()
    (job.parent / "site" / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {blocked!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    path = os.pathsep.join([str(job.parent / "site"), str(ROOT)])
    environ = {**os.environ, "PYTHONPATH": path, "JUPYTER_CONFIG_DIR": str(job.parent / "none")}
    del environ["JUPYTER_GPU_CONNECTIONS"]
    program = "import sys; from jupyter_gpu_ext.cli import main; sys.exit(main('gpu', ['verify', sys.argv[1]]))"
    # Beside the script its own connections are known: without their folder nothing can be looked at.
    (job / "jupyter_gpu_connections.toml").unlink()
    done = subprocess.run(
        [sys.executable, "-c", program, str(job)], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "It computes what the notebook did" in done.stdout
    assert "The data of sets was not looked at" in done.stdout


def test_a_script_that_was_tampered_with_fails(job: Path) -> None:
    file = job / "train.py"
    file.write_text(file.read_text().replace("w - scale *", "w - 2 * scale *"))
    result = verify(str(job))
    assert result.exit_code == 2
    errors = levels(result, "error")
    assert "train.py is not as it was exported." in errors
    assert any(one.startswith("variable w: it differs by up to") for one in errors)
    assert any(one.startswith("output cell 8") for one in errors)
    # Who changes the record as well has still changed the result.
    record = json.loads((job / "export.json").read_text())
    record["files"]["train.py"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (job / "export.json").write_text(json.dumps(record))
    report = json.loads((job / "proof" / "report.json").read_text())
    report["script_sha256"] = record["files"]["train.py"]
    (job / "proof" / "report.json").write_text(json.dumps(report))
    again = levels(verify(str(job)), "error")
    assert again
    assert not any(one.startswith("train.py") for one in again)


def test_a_script_that_fails_is_told_with_its_last_words(job: Path) -> None:
    file = job / "train.py"
    file.write_text(file.read_text().replace("w - scale *", "w - scalf *"))
    errors = levels(verify(str(job)), "error")
    assert any("NameError" in one and "In the notebook: cell 7, line 3." in one for one in errors), errors


def test_an_object_that_changed_fails(job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "x.npy", np.ones(4, np.float32))
    write_connections(tmp_path / "c.toml", sets={"root": str(tmp_path / "other")}, runs={"root": str(tmp_path)})
    monkeypatch.setenv("JUPYTER_GPU_CONNECTIONS", str(tmp_path / "c.toml"))
    # What it computes is another test's.
    shutil.rmtree(job / "proof")
    errors = levels(verify(str(job)), "error")
    assert any("sets://x.npy has changed since the export" in one for one in errors), errors
    (tmp_path / "other" / "x.npy").unlink()
    assert any("sets://x.npy is not there" in one for one in levels(verify(str(job)), "error"))


def test_data_that_is_too_large_is_not_kept(
    proven: tuple[Made, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_GPU_CONNECTIONS", str(proven[0].connections))
    monkeypatch.setattr(again, "SAMPLE_BYTES", 10)
    why = again.keep_sample(again.lock_of(proven[0].folder), (), tmp_path / "data")
    assert "at most 10 B is kept" in why
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (("x = 1", "y = x / 0"), {}, "Cell 2 of the notebook fails: ZeroDivisionError: division by zero"),
        (("x = 1",), {"with_": ("y=2",)}, "y is no parameter of the notebook"),
        (("x = 1",), {"compare": ("y",)}, "y is no variable of the notebook"),
        (("x = 1",), {"away": ("y",)}, "y is no variable of the notebook"),
        ((code("x = 1", "parameters"),), {"with_": ("x=one",)}, "x is of type int"),
    ],
)
def test_what_cannot_be_proven_writes_nothing(
    tmp_path: Path, cells: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    file = tmp_path / "n.ipynb"
    file.write_text(json.dumps(notebook(*cells)))
    with pytest.raises(ExportRefusedError, match=message):
        export(str(file), folder=str(tmp_path / "job"), prove=True, **options)
    assert not (tmp_path / "job").exists()


def test_a_file_that_the_job_would_miss_is_found(tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text("{}")
    file = tmp_path / "n.ipynb"
    file.write_text(json.dumps(notebook("x = open('cfg.json').read()")))
    with pytest.raises(ExportRefusedError, match="FileNotFoundError") as refused:
        export(str(file), folder=str(tmp_path / "job"), prove=True)
    assert "A job has storage" in (refused.value.hint or "")


def test_a_folder_that_is_there_stays(job: Path, proven: tuple[Made, Any]) -> None:
    made = proven[0]
    (job / "train.py").write_text("mine")
    (job / "jupyter_gpu_connections.toml").write_text("filled = true")
    with pytest.raises(ExistsError, match="exists"):
        export(str(made.notebook), folder=str(job))
    exported = export(str(made.notebook), folder=str(job), overwrite=True)
    assert set(exported.kept) == {"train.py", "jupyter_gpu_connections.toml"}
    assert (job / "train.py.before").read_text() == "mine"
    assert (job / "jupyter_gpu_connections.toml").read_text() == "filled = true"
    (job / "export.json").unlink()
    with pytest.raises(ExistsError):
        export(str(made.notebook), folder=str(job), overwrite=True)


def test_the_proof_of_an_earlier_script_goes(job: Path, tmp_path: Path) -> None:
    other = tmp_path / "Train.ipynb"
    other.write_text(json.dumps(notebook("x = 1")))
    export(str(other), folder=str(job), overwrite=True)
    assert not (job / "proof").exists()
    result = verify(str(job))
    assert result.holds
    assert any("without --prove" in one for one in levels(result, "note"))


def test_a_sample_is_whole_or_not_there(proven: tuple[Made, Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("JUPYTER_GPU_CONNECTIONS", str(proven[0].connections))
    entries = [*again.lock_of(proven[0].folder), Locked(url="sets://gone.npy", size_bytes=1, etag="x")]
    assert "does not exist" in again.keep_sample(entries, (), tmp_path / "data")
    assert not (tmp_path / "data").exists()
    for key in ("../x", "a/../x", "/x"):
        away = [Locked(url=f"sets://{key}", size_bytes=1, etag="x")]
        assert "cannot be a file" in again.keep_sample(away, (), tmp_path / "data")


@pytest.mark.parametrize("flag", ["--set", "--secret"])
def test_a_pair_without_a_value_is_refused(tmp_path: Path, flag: str) -> None:
    file = tmp_path / "n.ipynb"
    file.write_text(json.dumps(notebook("x = 1")))
    keyword = {"--set": "parameters", "--secret": "secrets"}[flag]
    with pytest.raises(UsageError, match="gives no value"):
        export(str(file), folder=str(tmp_path / "job"), **{keyword: ("lr",)})  # type: ignore[arg-type]


SAME = [
    (1.0, 1.0 + 1e-9), (float("nan"), float("nan")), ("loss 0.1234567", "loss 0.12345671"), ([1, {"a": 2.0}],) * 2,
    (np.float32([1, 2]), np.float32([1, 2.000001])), (np.zeros(0), np.zeros(0)), (True, True), (None, None),
    (np.full((2000, 2000), 0.5), np.full((2000, 2000), 0.5 + 1e-9)), (b"x", b"x"), (object(), object()),
]  # fmt: skip
OTHER = [
    (1, 2), (1.0, 1.1), (10**20, 10**20 + 1), (True, False), (None, 0.0), ("a1", "b1"), ("epoch 1", "epoch 2"),
    ([1], [1, 2]), ({"a": 1}, {"b": 1}), (np.int64([1]), np.int64([2])), (np.zeros(2), np.zeros((2, 1))),
    (np.zeros(2, "f4"), np.zeros(2, "f8")), (np.full((2000, 2000), 0.5), np.full((2000, 2000), 0.6)), (b"x", b"y"),
    (np.array([np.nan, 1]), np.array([1, np.nan])), ("x" * 30_000, "y" * 30_000), ((1, 2), [1, 3]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "same"), [*((*pair, True) for pair in SAME), *((*pair, False) for pair in OTHER)]
)
def test_values_are_compared_by_what_they_hold(one: Any, other: Any, *, same: bool) -> None:
    before, after = Describer(), Describer()
    first, second = before.describe(one), after.describe(other)
    # They travel as JSON.
    first, second = json.loads(json.dumps(first)), json.loads(json.dumps(second))
    differences = Comparer(before.arrays, after.arrays, 1e-5).compare(first, second)
    assert (not differences) == same, differences
    assert all(len(one) < 200 for one in differences)


def test_names_that_the_clock_decides_are_known() -> None:
    source = script(
        "import time, uuid\nfrom datetime import datetime\nimport torch",
        "t0 = time.perf_counter()\nx = 1",
        "took = time.perf_counter() - t0\nrate = x / took\ny = x + 1\nname = f'run-{uuid.uuid4()}'",
        "stamp = datetime.now().isoformat()\npeak = torch.cuda.max_memory_allocated()",
        "def f():\n    z = 1\n    return z\nfor i in range(3):\n    total = i\na, (b, *c) = 1, (2, 3)",
    )
    assert clock.unsteady(source) == {"t0", "took", "rate", "name", "stamp", "peak"}
    assert clock.bound(source) - clock.unsteady(source) == {"x", "y", "i", "total", "a", "b", "c"}


def test_a_proof_of_another_form_is_refused(job: Path) -> None:
    for text in ("", "{}", "[]", '{"plan": 1}'):
        (job / "proof" / "report.json").write_text(text)
        with pytest.raises(Exception, match="holds no proof"):
            proof.read(job / "proof")
