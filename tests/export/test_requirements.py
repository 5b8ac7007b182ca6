"""What a script needs, pinned to what the notebook ran with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.export.environment import Environment
from jupyter_gpu_ext.export.gather import gather, gather_from
from jupyter_gpu_ext.export.requirements import imported, in_torch_image, require, wheel_index
from jupyter_gpu_ext.storage.models import Version
from jupyter_gpu_ext.storage.reads import READS
from tests.export.environments import CUDA, dist

if TYPE_CHECKING:
    from pathlib import Path


def names(text: str) -> list[str]:
    return [line.partition("==")[0] for line in text.splitlines() if "==" in line]


def test_what_is_imported_is_pinned_with_what_it_needs() -> None:
    needs = require(["import torch, json\ndef f():\n    import pandas.api as p"], CUDA)
    assert [one.name for one in needs.direct] == ["jupyter-gpu-ext", "pandas", "torch"]
    # pyarrow is an engine that pandas finds by its name: nobody imports it, and it was loaded.
    assert [one.name for one in needs.others] == ["adlfs", "filelock", "fsspec", "numpy", "nvidia-cublas", "pyarrow"]
    assert needs.text().startswith(
        "--extra-index-url https://download.pytorch.org/whl/cu130\n# What the script imports.\n"
    )
    assert "torch==2.13.0+cu130" in needs.text()
    assert needs.problems == needs.missing == ()


def test_a_notebook_s_own_packages_stay_behind() -> None:
    assert not {"ipykernel", "tornado"} & set(names(require(["import torch"], CUDA).text()))
    # Unless the script imports one.
    assert "tornado" in names(require(["import tornado"], CUDA).text())


def test_an_image_of_pytorch_has_torch_and_its_libraries() -> None:
    needs = require(["import torch"], CUDA)
    away = in_torch_image(needs)
    assert away == {"torch", "nvidia-cublas"}
    assert not {*away, "--extra-index-url"} & set(names(needs.text(without=away)))
    assert "--extra-index-url" not in needs.text(without=away)


@pytest.mark.parametrize("origin", ["editable", "file", "url"])
def test_what_no_index_has_is_reported_and_not_written(origin: str) -> None:
    mine = dist("my-model", origin=origin)
    needs = require(["import my_model"], replace(CUDA, distributions=(*CUDA.distributions, mine)))
    assert "my-model" not in names(needs.text().replace("# my-model", "#"))
    assert "file:" not in needs.text()
    assert "my-model 1.0 was installed from" in needs.problems[0]


def test_a_module_that_nothing_brings_is_missing() -> None:
    assert require(["import helpers, os, numpy"], CUDA).missing == ("helpers",)


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import a.b as c\nfrom d import e\nfrom . import f\nif x:\n    import g\nclass C:\n    import h"
    assert imported(source) == {"a", "d", "g", "h"}


@pytest.mark.parametrize(
    ("version", "index"),
    [
        ("2.13.0+cu130", "/whl/cu130"),
        ("2.13.0+cpu", "/whl/cpu"),
        ("2.6.0+rocm6.2.4", "/whl/rocm6.2.4"),
        ("2.13.0", ""),
        ("2.13.0a0+gitabcdef", ""),
    ],
)
def test_the_index_follows_from_torch_s_version(version: str, index: str) -> None:
    assert wheel_index(version).removeprefix("https://download.pytorch.org") == index


def test_this_environment_travels_and_comes_back() -> None:
    READS.add("weights://seen.npy", Version(7, "tag"))
    READS.add("weights://empty", Version(0, "tag"))
    READS.add(
        "https://x.blob.core.windows.net/c/k?sv=2024-01-01&sig=c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U%3D",
        Version(1, "t"),
    )
    here = gather({1: "x = 1"})
    assert Environment.from_json(json.loads(json.dumps(here.to_json()))) == here
    torch = here.find("torch")
    assert torch is not None
    assert "sympy" in torch.requires
    packaging = here.find("packaging")
    assert packaging is not None
    assert packaging.loaded
    own = here.find("jupyter-gpu-ext")
    assert own is not None
    assert "jupyter_gpu_ext" in own.modules
    assert [one.etag for one in here.reads if one.url == "weights://seen.npy"] == ["tag"]
    # A link that was read without a connection holds its secret.
    assert "sig=" not in json.dumps(here.to_json())


def test_another_interpreter_tells_of_itself() -> None:
    there = gather_from(sys.executable)
    here = gather()
    assert {one.name: one.version for one in there.distributions} == {
        one.name: one.version for one in here.distributions
    }
    # It imported nothing of what it has.
    torch = there.find("torch")
    assert torch is not None
    assert not torch.loaded


def test_an_interpreter_without_the_package_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as refused:
        gather_from(sys.executable, {**os.environ, "PYTHONPATH": "", "PYTHONHOME": str(tmp_path)})
    assert "pip install jupyter-gpu-ext" in (refused.value.hint or "")
    with pytest.raises(NotFoundError):
        gather_from(str(tmp_path / "python"))


@pytest.mark.parametrize(
    "said",
    [None, {}, {"python": 3}, {**CUDA.to_json(), "distributions": [{"name": 1}]}, {**CUDA.to_json(), "ran": [1]}],
)
def test_an_answer_of_another_form_is_refused(said: object) -> None:
    with pytest.raises(BadRequestError) as refused:
        Environment.from_json(said)
    assert "same version" in (refused.value.hint or "")


@pytest.mark.prove
def test_the_pins_are_to_be_had(tmp_path: Path) -> None:
    """The index resolves them: all but this package itself, which may be a version that nobody published."""
    text = require(["import torch, pandas, xarray, zarr"], gather_from(sys.executable)).text()
    # A build for the CPU from PyTorch's own index is not everywhere to be had.
    lines = [line for line in text.replace("+cpu", "").splitlines() if not line.startswith(("--", "jupyter-gpu-ext"))]
    (tmp_path / "requirements.txt").write_text("\n".join(lines), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "-r"]
    done = subprocess.run([*pip, str(tmp_path / "requirements.txt")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
