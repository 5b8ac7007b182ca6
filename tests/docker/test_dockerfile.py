"""The Dockerfile: what a linter says, and the rules of this project that no linter knows."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from jupyter_gpu_ext.gpu.health import compat
from tests.docker.dockerfile import DOCKER, ROOT, filled, read

ARGUMENTS, STAGES = read()
BATCH, NOTEBOOK = STAGES["batch"], STAGES["notebook"]
SECRET = re.compile(r"password|passwd|secret|token|credential|sas\b|[_-]key|api_?key", re.IGNORECASE)


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    # It hands each RUN to shellcheck, too.
    program = Path(sys.executable).with_name("hadolint")
    words = [str(program), "--failure-threshold", "style", "--no-color", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def test_the_linter_has_nothing_to_say():
    done = hadolint(DOCKER / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("RUN pip install torch", "DL3013"),
        ("RUN cd /tmp && echo $UNQUOTED", "SC2086"),
        ("RUN curl https://example.org | sh", "DL4006"),
        ("FROM ubuntu:latest", "DL3007"),
    ],
)
def test_the_linter_would_say_so(line, code, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"{(DOCKER / 'Dockerfile').read_text('utf-8')}\n{line}\n", "utf-8")
    done = hadolint(tmp_path / "Dockerfile")
    assert done.returncode != 0
    assert code in done.stdout


def test_one_pinned_base_for_every_stage():
    images = {stage.image for stage in STAGES.values() if stage.image not in STAGES}
    assert images == {"docker.io/pytorch/pytorch:${BASE_TAG}${BASE_DIGEST}"}
    (pinned,) = (filled(image, ARGUMENTS) for image in images)
    version, cuda = re.fullmatch(r"docker.io/pytorch/pytorch:([\d.]+)-cuda([\d.]+)-cudnn\d+-runtime", pinned).groups()
    digest = f"sha256:{'0' * 64}"
    assert filled(*images, {**ARGUMENTS, "BASE_DIGEST": f"@{digest}"}) == f"{pinned}@{digest}"
    # The one that everything is tested with, in a build that PyTorch makes.
    assert f"torch=={version}" in (ROOT / "requirements" / "constraints.txt").read_text("utf-8").splitlines()
    built = {row.cuda for row in compat.tables().wheels if row.torch == compat.numbers(version)[:2]}
    assert compat.numbers(cuda) in built


def test_the_notebook_is_the_batch_image_and_more():
    assert NOTEBOOK.image == "batch"
    assert list(STAGES) == ["build", "batch", "notebook"]


@pytest.mark.parametrize("stage", [BATCH, NOTEBOOK], ids=lambda stage: stage.name)
def test_it_ends_as_a_user_who_is_not_root(stage):
    assert stage.every("USER")[-1] == "1000:1000"
    last = max(at for at, (word, _) in enumerate(stage.lines) if word == "USER")
    assert not [rest for word, rest in stage.lines[last:] if word in ("RUN", "COPY", "ADD")]


def test_the_user_has_what_torch_asks_for():
    known = BATCH.variables()
    assert "useradd --uid 1000" in " ".join(BATCH.every("RUN"))
    assert known["HOME"] == f"/home/{known['USER']}" == BATCH.every("WORKDIR")[-1]
    assert {"TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"} <= known.keys()
    assert (known["NVIDIA_VISIBLE_DEVICES"], known["NVIDIA_DRIVER_CAPABILITIES"]) == ("all", "compute,utility")


def test_nothing_is_fetched_but_packages_that_are_held_to_a_version():
    for stage in STAGES.values():
        assert stage.every("ADD") == []
        for command in stage.every("RUN"):
            assert not re.search(r"\b(curl|wget|git|ssh)\b|https?://", command)
            for installed in re.findall(r"pip install [^&]*", command):
                assert "-c /opt/constraints.txt" in installed
    assert STAGES["build"].variables()["PIP_CONSTRAINT"].endswith("requirements/constraints.txt")


def test_what_the_build_asks_for_is_held_to_a_version():
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    held = (ROOT / "requirements" / "constraints.txt").read_text("utf-8").lower().replace("_", "-").splitlines()
    names = {line.partition("==")[0] for line in held}
    assert {re.split(r"[<>=]", one)[0] for one in asked} | {"pip"} <= names


def test_no_secret_is_an_argument_or_a_variable():
    declared = [*ARGUMENTS, *(one for stage in STAGES.values() for one in stage.every("ARG") + stage.every("ENV"))]
    assert not [one for one in declared if SECRET.search(one)]
    assert not [one for stage in STAGES.values() for one in stage.every("COPY") if re.search(r"\.env|\.toml$", one)]


def test_signals_arrive():
    assert BATCH.exec_form("ENTRYPOINT")[0] == "tini"
    assert NOTEBOOK.every("ENTRYPOINT") == []
    assert BATCH.exec_form("CMD") == ["jupyter-gpu", "doctor", "--preflight"]
    assert not [one for one in NOTEBOOK.exec_form("CMD") if "token" in one or "password" in one or "root" in one]


def test_health_is_asked_of_the_program_that_the_image_has():
    (asked,) = NOTEBOOK.every("HEALTHCHECK")
    assert asked.endswith('CMD ["jupyter-gpu-healthy"]')
    assert "--chmod=0755 docker/healthy.py /usr/local/bin/jupyter-gpu-healthy" in NOTEBOOK.every("COPY")
    # The doctor takes 15 seconds at most, and the server has 5.
    assert int(re.search(r"--timeout=(\d+)s", asked)[1]) > 20


def test_the_image_is_built_from_what_it_needs_and_nothing_else():
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    kept = [line.removeprefix("!") for line in rules if line.startswith("!")]
    copies = [one for stage in STAGES.values() for one in stage.every("COPY") if "--from=" not in one]
    sources = {word.rstrip("/") for one in copies for word in one.split()[:-1] if not word.startswith("--")}
    assert sources == set(kept)
    assert all((ROOT / one).exists() for one in kept)


def test_what_a_build_here_left_does_not_travel():
    rules = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"]
    left = [line for line in rules[1:] if not line.startswith("!")]
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    ours = [one.strip("/") for one in ignored if one.startswith(("/jupyter_gpu_ext/", "/labextension/"))]
    assert [one for one in ours if not any(fnmatch.fnmatch(one, rule) for rule in left)] == []
