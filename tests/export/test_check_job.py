"""An exported job is looked at where it is to run; its script does the same before it begins."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext import cli
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.export import folder as folders
from jupyter_gpu_ext.export.gather import gather_from
from jupyter_gpu_ext.export.job import make_job
from jupyter_gpu_ext.export.target import Options
from jupyter_gpu_ext.magics import link
from tests.conftest import write_connections
from tests.export.environments import PLAIN
from tests.export.notebooks import notebook

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.gpu.health.checkup import Report
    from tests.conftest import Store

CELLS = (
    "import jupyter_gpu_ext as jg\nimport numpy as np",
    "x = jg.open('known://x.bin').read()",
    "jg.save({'w': np.ones(2)}, 'out://s.safetensors', overwrite=True)",
    "print(len(x))",
)


@pytest.fixture
def job(local_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that reads one connection and writes another."""
    local_store.put("x.bin", b"12345")
    (tmp_path / "out").mkdir()
    write_connections(
        tmp_path / "own.toml",
        known={"root": str(local_store.folder)},
        out={"root": str(tmp_path / "out"), "read_only": False},
    )
    monkeypatch.setenv("JUPYTER_GPU_CONNECTIONS", str(tmp_path / "own.toml"))
    made = make_job(notebook(*CELLS), name="n.ipynb", options=Options(), environment=PLAIN)
    folders.write(made.files, tmp_path / "job")
    return tmp_path / "job"


def said(report: Report, level: str) -> list[str]:
    return [one.title for one in report.findings if one.level == level]


def ran(job: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(job / "train.py"), *arguments], capture_output=True, text=True, check=False, cwd=job.parent
    )


def test_all_is_well_where_it_was_exported(job: Path) -> None:
    report = jg.check_job(job)
    assert said(report, "error") == []
    assert {"known:// works.", "out:// works."} <= set(said(report, "ok"))


def test_in_a_container_its_own_file_counts(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTER_GPU_CONNECTIONS")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(job.parent / "nothing"))
    assert said(jg.check_job(job), "error") == []
    done = ran(job)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "5"
    # On the command line another file counts.
    write_connections(job.parent / "empty.toml", other={"root": str(job)})
    done = ran(job, "--connections", str(job.parent / "empty.toml"))
    assert done.returncode == 2
    assert "needs a connection 'known'" in done.stderr
    assert ran(job, "--connections", str(job / "none.toml")).returncode == 2


def test_what_is_missing_is_said_with_what_to_do(
    job: Path, local_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUPYTER_GPU_CONNECTIONS")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(job.parent / "nothing"))
    text = (job / "jupyter_gpu_connections.toml").read_text()
    (job / "jupyter_gpu_connections.toml").write_text(text.replace("[connections.known]", "[connections.unknown]"))
    errors = said(jg.check_job(job), "error")
    assert any("'known'" in one and str(local_store.folder) in one for one in errors), errors
    done = ran(job, "--preflight-only")
    assert done.returncode == 2
    assert "The script needs a connection 'known'" in done.stderr
    (job / "jupyter_gpu_connections.toml").write_text(text.replace("read_only = false", "read_only = true"))
    assert any("the script writes to it" in one for one in said(jg.check_job(job), "error"))


def test_data_that_changed_stops_the_job_unless_it_is_told_to_go_on(job: Path, local_store: Store) -> None:
    local_store.put("x.bin", b"123")
    assert any("known://x.bin has changed" in one for one in said(jg.check_job(job), "error"))
    done = ran(job)
    assert done.returncode == 2
    assert "known://x.bin has changed" in done.stderr
    assert ran(job, "--skip-preflight").stdout.splitlines()[-1] == "3"


def test_files_that_were_changed_are_named(job: Path) -> None:
    (job / "train.py").write_text((job / "train.py").read_text() + "# mine\n")
    (job / "job.yaml").unlink()
    warnings = said(jg.check_job(job), "warning")
    assert {"train.py is not as it was exported.", "job.yaml is not there any more."} <= set(warnings)


@pytest.mark.parametrize("script", [None, "def", "x = '\x00'"])
def test_a_folder_without_a_script_is_refused(tmp_path: Path, script: str | None) -> None:
    if script is not None:
        (tmp_path / "train.py").write_text(script)
    with pytest.raises(BadRequestError, match=r"holds no train\.py"):
        jg.check_job(tmp_path)


def test_a_kernel_tells_of_its_environment(local_store: Store) -> None:
    local_store.put("x.bin", b"12345")
    jg.open(f"{local_store.name}://x.bin").read()
    said_ = link.reply({"ask": "export"}, {}, lambda: {3: "x = 1"})["environment"]
    assert json.loads(json.dumps(said_)) == said_
    assert said_["ran"] == {"3": "x = 1"}
    assert any(one["url"] == f"{local_store.name}://x.bin" and one["etag"] for one in said_["reads"])
    assert {one["name"] for one in said_["distributions"]} == {
        one.name for one in gather_from(sys.executable).distributions
    }


def test_the_command_line_exports_and_verifies_as_data(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del job
    file = tmp_path / "My notebook.ipynb"
    file.write_text(json.dumps(notebook(*CELLS)), encoding="utf-8")
    assert cli.main("gpu", ["export", str(file), "--gpus", "2", "--image", "example.com/x:1", "--json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["folder"] == str(tmp_path / "jobs" / "my-notebook")
    assert exported["image"] == "example.com/x:1"
    assert cli.main("gpu", ["verify", exported["folder"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["holds"]
    assert cli.main("gpu", ["export", str(file)]) == 1
    assert "exists" in capsys.readouterr().err
    assert cli.main("gpu", ["export", str(file), "--overwrite", "--image", "x:latest"]) == 1
    assert "another image tomorrow" in capsys.readouterr().err
    assert cli.main("gpu", ["export", str(tmp_path / "none.ipynb")]) == 1
    assert cli.main("gpu", ["export", str(file), "--code", "disk"]) == 2
    assert cli.main("gpu", ["verify", str(tmp_path)]) == 1
