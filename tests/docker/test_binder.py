"""Binder: what repo2docker makes of the repository, and the tour run through as it is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from tests.docker.dockerfile import ROOT

BINDER = ROOT / "binder"


@pytest.fixture(scope="module")
def planned() -> tuple[str, str]:
    """The Dockerfile that repo2docker would build, and what it says meanwhile; no Docker is needed for it."""
    words = [str(Path(sys.executable).with_name("repo2docker")), "--no-build", "--debug"]
    # As root it asks for a user, who is the image's and not this machine's.
    words += ["--user-id", "1000", "--user-name", "jovyan", "."]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_repo2docker_takes_the_conda_environment(planned):
    dockerfile, said = planned
    python = next(one for one in conda() if one.startswith("python="))
    assert f"Building conda environment for {python}" in said
    assert re.search(r"^COPY \S+ src/binder/environment.yml", dockerfile, re.MULTILINE)
    assert 'env update -p ${NB_PYTHON_PREFIX} --file "binder/environment.yml"' in dockerfile


def test_post_build_and_start_are_run(planned):
    dockerfile, _ = planned
    assert "RUN ./binder/postBuild" in dockerfile
    assert 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in dockerfile
    for name in ("postBuild", "start"):
        text = (BINDER / name).read_text("utf-8")
        assert text.startswith("#!/usr/bin/env bash\n")
        # An error of a line is not passed over.
        assert re.search(r"^set -e", text, re.MULTILINE)
        assert os.access(BINDER / name, os.X_OK)
        shown = subprocess.run(["bash", "-n", str(BINDER / name)], capture_output=True, text=True, check=False)
        assert (shown.returncode, shown.stderr) == (0, "")
    assert (BINDER / "start").read_text("utf-8").endswith('exec "$@"\n')


def test_nothing_relies_on_a_file_that_repo2docker_ignores():
    # A Dockerfile would win over everything, and beside environment.yml these are not read.
    ignored = {"Dockerfile", "requirements.txt", "Pipfile", "Pipfile.lock", "setup.py", "runtime.txt", "install.R"}
    assert not ignored & {path.name for path in BINDER.iterdir()}
    assert not (ROOT / ".binder").exists()
    # With a folder `binder` the package is not installed by itself.
    assert "pip install" in (BINDER / "postBuild").read_text("utf-8")
    # What is named in a script is in the repository, or made by it.
    for name in ("postBuild", "start"):
        for path in re.findall(r"\bbinder/\S+", (BINDER / name).read_text("utf-8")):
            assert (ROOT / re.sub(r"[\"')]+$", "", path)).exists()


def test_the_environment_has_what_the_build_and_the_tour_ask_for():
    names = {re.split(r"[<>=]", one)[0] for one in conda()}
    assert {"python", "pip", "nodejs"} <= names
    assert any(name.startswith("pytorch") for name in names)
    assert not [one for one in conda() if "cuda" in one]


def conda() -> list[str]:
    return yaml.safe_load((BINDER / "environment.yml").read_text("utf-8"))["dependencies"]


@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    """The tour, run through in a copy of the demo; and its folder and variables."""
    place = tmp_path_factory.mktemp("binder")
    shutil.copytree(BINDER, place / "binder")
    variables = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER_GPU_")}
    variables |= {"PYTHONPATH": str(ROOT), "JUPYTER_GPU_SIMULATED": "1xA100"}
    demo = [sys.executable, str(place / "binder" / "demo.py")]
    subprocess.run([*demo, "prepare"], env=variables, check=True, timeout=60)
    told = subprocess.run([*demo, "environment"], env=variables, check=True, timeout=60, capture_output=True, text=True)
    variables |= dict(shlex.split(line)[1].split("=", 1) for line in told.stdout.splitlines())
    work = place / ".demo" / "work"
    notebook = nbformat.read(work / "tour.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(work)}})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        client.execute()
    nbformat.write(notebook, work / "tour.ipynb")
    return notebook, work, variables


def output_of(notebook, start: str) -> str:
    """Return what the cell that begins so has put out."""
    (cell,) = (one for one in notebook.cells if one.cell_type == "code" and one.source.startswith(start))
    return json.dumps(cell.outputs)


@pytest.mark.prove
@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("%load_ext", "runs"),
        ("%gpu", "A100"),
        ("%blob ls demo", "step 100 #best.pt"),
        ("%blob info demo://tiny-llm", "model.layers.3.mlp.up_proj.weight"),
        ("%blob info demo://weather", "2 metre temperature"),
        ("%load_blob demo://checkpoints", "digits"),
        ("%load_blob demo://weather", "warm"),
        ("%%gpu", "checksum"),
        ("%blob ls runs", "layer0.safetensors"),
        ("import torch", "steps 0 to 3"),
    ],
)
def test_the_tour_shows_it(toured, start, expected):
    notebook, _, _ = toured
    found = [one for one in notebook.cells if one.cell_type == "code" and one.source.startswith(start)]
    assert any(expected in json.dumps(one.outputs) for one in found)


@pytest.mark.prove
def test_its_script_prints_the_same_and_goes_on_where_it_ended(toured):
    notebook, work, variables = toured
    made = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "trainscript", "tour.ipynb"]
    subprocess.run(made, cwd=work, env=variables, check=True, capture_output=True, timeout=60)
    done = subprocess.run(
        [sys.executable, "tour.py", "--steps", "2"],
        cwd=work, env=variables, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (checksum,) = re.findall(r"checksum -?[\d.]+", done.stdout)
    assert checksum in output_of(notebook, "%%gpu")
    assert "steps 3 to 5" in done.stdout, done.stdout
