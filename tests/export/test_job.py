"""The folder of a job: what people read is golden, what machines read is checked by their own schemas."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from jupyter_gpu_ext import cli
from jupyter_gpu_ext.errors import ExportRefusedError
from jupyter_gpu_ext.export.job import Job, arguments, make_job
from jupyter_gpu_ext.export.manifest_rules import problems
from jupyter_gpu_ext.export.script import make_script
from jupyter_gpu_ext.export.target import Options, label
from jupyter_gpu_ext.job import lock
from tests.conftest import write_connections
from tests.export.environments import CUDA, PLAIN, TORCH
from tests.export.notebooks import code, notebook

GOLDEN = Path(__file__).parent / "golden" / "jobs"
CELLS = (
    "%load_ext jupyter_gpu_ext",
    code("lr: float = 1e-3  # step of the optimiser\nsteps = 2000\nresume = False\nout = 'run7://m'", "parameters"),
    "import pandas, torch\nfrom helpers import loss_of",
    "%load_blob weights://w.npy -o w",
    "for step in range(steps):\n    loss = loss_of(w) * lr",
    "%save_blob w $out/w.npy",
)
HELPERS = "import numpy\n\n\ndef loss_of(w):\n    return numpy.sum(w)\n"


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three connections: two of the cloud, of which one has a secret, and a folder."""
    monkeypatch.setenv("RUN7_SAS", "unused")
    file = tmp_path / "connections.toml"
    write_connections(
        file,
        weights={"root": "az://models/prod", "account": "mystorage", "credential": "azure-cli"},
        run7={
            "root": "s3://runs/7", "endpoint": "https://minio.example.com", "credential": "keys",
            "secret": "file:/home/ada/.secret", "read_only": False,
        },
        disk={"root": str(tmp_path / "disk")},
    )  # fmt: skip
    monkeypatch.setenv("JUPYTER_GPU_CONNECTIONS", str(file))
    return tmp_path / "disk"


@pytest.fixture
def unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage as it was: the clouds of these tests exist nowhere."""
    seen = {"weights://w.npy": lock.Locked(url="weights://w.npy", size_bytes=4096, etag='"0x8D"', md5="00ff")}
    monkeypatch.setattr(lock, "observe", lambda urls: tuple(seen[url] for url in urls))


def made(*cells: Any, environment: Any = CUDA, **options: Any) -> Job:
    return make_job(
        notebook(*cells),
        name="Train ResNet.ipynb",
        options=Options(**options),
        environment=environment,
        beside={"helpers": HELPERS}.get,
    )


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "same_image",
            {"environment": CUDA, "arguments": {"lr": "3e-4", "resume": "true"}, "service_account": "train"},
        ),
        ("torch_image", {"environment": replace(PLAIN, image=""), "gpus": 4}),
        ("own_image", {"environment": CUDA, "image": "example.com/job:1", "code": "image", "gpus": 0}),
    ],
)
def test_the_folder_is_the_golden_one(name: str, options: dict[str, Any]) -> None:
    job = made(*CELLS, **options)
    assert {one.name for one in (GOLDEN / name).iterdir()} == set(job.files)
    for file, text in job.files.items():
        assert steady(text) == (GOLDEN / name / file).read_text(encoding="utf-8"), file


def steady(text: str) -> str:
    """Return a text without what each version of this package changes."""
    plain = re.sub(r"by jupyter_gpu_ext \S+\.$", "by jupyter_gpu_ext 0.0.0.", text, flags=re.MULTILINE)
    return re.sub(r"train-resnet:[0-9a-f]{12}", "train-resnet:0123456789ab", plain)


VARIANTS: list[dict[str, Any]] = [
    {},
    {"gpus": 0},
    {"gpus": 8, "image": "example.com/x@sha256:" + "0" * 64},
    {"code": "image", "image": "example.com:5000/x/y:1.0"},
    {"environment": PLAIN, "arguments": {"steps": "5"}},
    {"environment": replace(PLAIN, cuda="", distributions=()), "service_account": "me"},
    {"environment": replace(CUDA, peak_bytes=1)},
]


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize("options", VARIANTS)
def test_a_cluster_takes_it(options: dict[str, Any]) -> None:
    job = made(*CELLS, **options)
    documents = list(yaml.safe_load_all(job.files["job.yaml"]))
    for document in documents:
        kubernetes_validate.validate(document, "1.37", strict=True)
    assert problems(documents) == []
    pod = documents[-1]["spec"]["template"]["spec"]
    mounts = {one["name"] for container in pod["containers"] for one in container["volumeMounts"]}
    assert mounts == {one["name"] for one in pod["volumes"]}


@pytest.mark.usefixtures("unasked")
def test_the_workflow_and_the_batch_script_are_of_their_forms(tmp_path: Path) -> None:
    job = made(*CELLS, environment=PLAIN, gpus=2)
    for name in ("github-workflow.yml", "job.sbatch"):
        (tmp_path / name).write_text(job.files[name], encoding="utf-8")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*check, str(tmp_path / "github-workflow.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert subprocess.run(["bash", "-n", str(tmp_path / "job.sbatch")], check=False).returncode == 0
    asked = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", job.files["job.sbatch"], re.MULTILINE)
    assert len(asked) == job.files["job.sbatch"].count("#SBATCH")
    # Options of sbatch, and nothing stands before them that would end their list.
    assert {name for name, _ in asked} <= {
        "job-name", "nodes", "ntasks", "cpus-per-task", "mem", "gpus-per-node", "output", "requeue", "signal"
    }  # fmt: skip
    before = job.files["job.sbatch"].partition("\nset ")[0].splitlines()
    assert all(line.startswith("#") or not line for line in before)


@pytest.mark.parametrize("name", ["same_image", "torch_image", "own_image"])
def test_the_dockerfile_passes_the_linter(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, GOLDEN / name / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def changed(document: dict[str, Any], path: str, value: Any) -> list[Any]:
    """Return a job with one place of its pod or container changed."""
    copy = json.loads(json.dumps(document))
    place = copy["spec"]["template"]["spec"]
    *folders, last = path.split(".")
    for one in folders:
        place = place[int(one)] if one.isdecimal() else place.setdefault(one, {})
    place[last] = value
    return [copy]


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("containers.0.resources.limits.nvidia!com/gpu", 0.5, "no whole number"),
        ("containers.0.resources.limits.nvidia!com/gpu", "0", "no whole number"),
        ("containers.0.resources.requests.nvidia!com/gpu", 2, "a request of it is the same"),
        ("containers.0.resources.limits", {"cpu": "1"}, "no limit of memory"),
        ("containers.0.image", "pytorch/pytorch:latest", "another image tomorrow"),
        ("containers.0.image", "pytorch/pytorch", "another image tomorrow"),
        ("containers.0.securityContext.privileged", True, "privileged"),
        ("containers.0.securityContext.allowPrivilegeEscalation", True, "privileged"),
        ("containers.0.securityContext.capabilities", {}, "capabilities"),
        ("containers.0.env", [{"name": "WEIGHTS_KEY", "value": "abc"}], "secret in the file"),
        ("containers.0.env", [{"name": "X", "value": "https://a.blob.core.windows.net/?sig=" + "a" * 44}], "secret"),
        ("containers.0.command", ["python", "x.py", "AccountKey=" + "a" * 86 + "=="], "secret"),
        ("hostNetwork", True, "node's own"),
        ("securityContext.runAsNonRoot", False, "as root"),
        ("volumes", [{"name": "v", "hostPath": {"path": "/"}}], "folder of the node"),
        ("volumes", [{"name": "v", "emptyDir": {"medium": "Memory"}}], "without a limit"),
    ],
)
def test_what_should_not_run_breaks_a_rule(path: str, value: Any, message: str) -> None:
    document = list(yaml.safe_load_all(made(*CELLS).files["job.yaml"]))[-1]
    assert problems([document]) == []
    found = problems(changed(document, path, value) if "!" not in path else _resource(document, path, value))
    assert any(message in one for one in found), found


def _resource(document: dict[str, Any], path: str, value: Any) -> list[Any]:
    where, _, name = path.rpartition(".")
    old = document["spec"]["template"]["spec"]["containers"][0]["resources"][where.rpartition(".")[2]]
    return changed(document, where, {**old, name.replace("!", "."): value})


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": -1}, "cannot have -1 GPUs"),
        ({"gpus": 0.5}, "cannot have 0.5 GPUs"),
        ({"gpus": True}, "cannot have True GPUs"),
        ({"cpus": 0}, "processors"),
        ({"memory": "16"}, "no amount of memory"),
        ({"shared_memory": "1e9"}, "no amount of memory"),
        ({"image": "example.com/x:latest"}, "another image tomorrow"),
        ({"image": "example.com/x"}, "another image tomorrow"),
        ({"image": "x y:1"}, "no name of an image"),
        ({"image": "$(rm -rf):1"}, "no name of an image"),
        ({"name": "Not_A_Label"}, "cannot name the job"),
        ({"name": "a" * 64}, "cannot name the job"),
        ({"service_account": "../x"}, "cannot name the service account"),
        ({"secrets": {"run7": "A/b"}}, "cannot name the secret of run7"),
        ({"arguments": {"epochs": "3"}}, "epochs is no parameter"),
        ({"arguments": {"steps": "many"}}, "steps is of type int"),
        ({"arguments": {"out": "https://a.blob.core.windows.net/?sig=" + "a" * 44}}, "looks like a secret"),
    ],
)
def test_an_option_that_no_cluster_takes_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ExportRefusedError, match=re.escape(message)) as refused:
        made(*CELLS, **options)
    assert refused.value.hint
    assert "sig=" not in str(refused.value)


def test_arguments_are_one_word_each() -> None:
    declared = make_script(notebook(CELLS[1]), name="x", version="0").parameters
    given = {"lr": "-1", "steps": "3", "resume": "no", "out": "--help"}
    assert arguments(declared, given) == ["--lr=-1", "--steps=3", "--no-resume", "--out=--help"]


def test_names_become_labels() -> None:
    for text in ("Train ResNet_50 (final)", "7", "…", "-", "x" * 200, "Ünïcode", "a--b"):
        assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", label(text)), label(text)


def test_a_script_too_large_for_a_config_map_is_refused(storage: Path) -> None:
    del storage
    big = f"x = {'a' * 1_200_000!r}"
    with pytest.raises(ExportRefusedError, match="1 MiB"):
        made(big)
    assert made(big, code="image", image="example.com/x:1").files["train.py"]


def test_a_module_beside_the_notebook_goes_along() -> None:
    sources = {"a": "import b", "b": "import a, numpy"}
    job = make_job(notebook("import a"), name="n.ipynb", options=Options(), environment=CUDA, beside=sources.get)
    assert {"a.py", "b.py"} <= set(job.files)
    assert "COPY train.py a.py b.py /app/" in job.files["Dockerfile"]
    assert "numpy==" in job.files["requirements.txt"]
    for text, message in (("password = 'AccountKey=" + "a" * 86 + "=='", "secret"), ("def", "no valid Python")):
        with pytest.raises(ExportRefusedError, match=message):
            make_job(notebook("import a"), name="n.ipynb", options=Options(), environment=CUDA, beside={"a": text}.get)


def test_a_file_that_is_run_goes_along_with_what_it_imports() -> None:
    sources = {"prepare": "import more\nx = more.y", "more": "y = 1"}
    cells = "n = 1", "%run prepare.py $n\nprint(x)", "%run lib/elsewhere.py"
    job = make_job(notebook(*cells), name="n.ipynb", options=Options(), environment=CUDA, beside=sources.get)
    assert {"prepare.py", "more.py"} <= job.files.keys()
    assert "elsewhere.py" not in "".join(job.files)


def test_the_shell_may_be_strict(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(notebook("!ls")), encoding="utf-8")
    train = tmp_path / "jobs" / "n" / "train.py"
    assert cli.main("gpu", ["export", str(path), "--strict-shell"]) == 0
    assert 'shell.run("ls", check=True)' in train.read_text(encoding="utf-8")
    assert cli.main("gpu", ["export", str(path), "--overwrite"]) == 0
    assert 'shell.run("ls")' in train.read_text(encoding="utf-8")


def test_a_cpu_build_of_torch_is_said() -> None:
    torch = replace(TORCH, version="2.13.0+cpu", requires=())
    job = made("import torch", environment=replace(PLAIN, cuda="", distributions=(torch,)))
    assert any("a build for the CPU" in one for one in job.notes)
    assert job.target.image == "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime"
    assert job.target.driver_major is None


@pytest.mark.usefixtures("unasked")
def test_plain_data_has_no_secret_and_every_file() -> None:
    said = made(*CELLS).to_json()
    assert json.loads(json.dumps(said)) == said
    assert {one["name"] for one in said["files"]} == set(made(*CELLS).files)
    assert said["gpu_memory_bytes"] > said["peak_bytes"]
    run7 = next(one for one in said["connections"] if one["name"] == "run7")
    assert (run7["writes"], run7["secret"], run7["kubernetes_secret"]) == (True, "RUN7_SECRET", "train-resnet-run7")
    assert "/home/ada" not in json.dumps(said)
