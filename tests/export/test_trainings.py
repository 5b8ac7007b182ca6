"""Five trainings: their scripts, run without Jupyter, give the notebook's values."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import start_new_kernel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jupyter_gpu_ext.export.script import make_script
from tests.export import training_data
from tests.export.train import ROOT, TRAININGS, Machine, by_kernel, document, values
from tests.magics.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = re.compile(r"step (\d+) loss [\d.]+")
GO = "--skip-preflight"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, training_data.write(tmp_path))


@pytest.fixture
def made(machine: Machine) -> Callable[[str], Path]:
    """Export a training; give the script."""

    def make(name: str) -> Path:
        path = machine.folder / f"{name}.py"
        text = make_script(document(name), name=f"{name}.ipynb", version="0.0.0").text
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Run a training in a kernel of its own; give the lines that the notebook shows."""
    known: dict[str, list[str]] = {}

    def run(name: str) -> list[str]:
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            environ = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER_GPU_")}
            connections = {"JUPYTER_GPU_CONNECTIONS": str(training_data.write(folder)), "OMP_NUM_THREADS": "1"}
            # A cell uses what sh does not know.
            connections["SHELL"] = "/bin/bash"
            manager, client = start_new_kernel(env=environ | connections, cwd=str(folder))
            client.stop_channels()
            try:
                cells = Cells(manager.connection_file)
                known[name] = by_kernel(cells, name)
                cells.close()
            finally:
                manager.shutdown_kernel(now=True)
        return known[name]

    return run


def torchrun(machine: Machine, script: Path) -> list[list[str]]:
    """Run a script as two processes on this machine; return what each has printed."""
    logs = machine.folder / "logs"
    # Two that write to one pipe write into each other's lines.
    options = ["--standalone", "--nproc-per-node", "2", "--redirects", "3", "--log-dir", str(logs)]
    assert machine.run("-m", "torch.distributed.run", *options, script, GO) == []
    return [values(path.read_text().splitlines()) for path in sorted(logs.glob("*/attempt_0/*/stdout.log"))]


def sampled(*quick: str) -> list[Any]:
    """Return the trainings, of which `make test` takes some."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.prove) for name in TRAININGS]


@pytest.mark.parametrize("name", sampled("evaluate"))
def test_the_script_gives_the_notebooks_values(name: str, machine: Machine, made: Any, noted: Any) -> None:
    shown = noted(name)
    assert shown
    assert machine.run(made(name), GO) == shown


def test_the_scripts_pass_the_linter_and_know_no_notebook(machine: Machine, made: Any) -> None:
    scripts = [made(name) for name in TRAININGS]
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        compile(text, path.name, "exec")
        assert "get_ipython" not in text
        assert "IPython" not in text
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9", *map(str, scripts)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_two_processes_learn_together_what_the_notebook_learned(machine: Machine, made: Any, noted: Any) -> None:
    number = re.compile(r"-?\d+\.\d+")
    (alone,) = ([float(one) for one in number.findall(line)] for line in noted("linear"))
    ((first,), (second,)) = torchrun(machine, made("linear"))
    assert first == second
    assert [float(one) for one in number.findall(first)] == pytest.approx(alone, abs=2e-4)
    assert (machine.folder / "out" / "linear" / "weights.npy").exists()


@pytest.mark.prove
@pytest.mark.parametrize("name", [name for name in TRAININGS if name != "linear"])
def test_two_processes_give_the_notebooks_values(name: str, machine: Machine, made: Any, noted: Any) -> None:
    first, second = torchrun(machine, made(name))
    assert first == noted(name)
    # It displays nothing.
    assert second == [line for line in first if not line.startswith("[Score")]


def killed(machine: Machine, script: Path, after: int) -> list[str]:
    """Start the training, send SIGTERM once the step is over, and return the lines of that run."""
    child = machine.start(script, GO, "--pause-seconds", "0.02")
    lines = []
    assert child.stdout
    for line in child.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith(f"step {after} "):
            child.send_signal(signal.SIGTERM)
            break
    rest, errors = child.communicate(timeout=100)
    assert child.returncode == 143, errors
    return values([*lines, *rest.splitlines()])


@pytest.mark.parametrize("after", [[9], pytest.param([2, 11, 12, 25], marks=pytest.mark.prove)])
def test_a_script_that_sigterm_ends_goes_on_where_it_was(
    after: list[int], machine: Machine, made: Any, noted: Any
) -> None:
    script = made("cnn")
    parts = [*(killed(machine, script, step) for step in after), machine.run(script, GO)]
    numbers = [[int(found.group(1)) for line in part if (found := STEP.fullmatch(line))] for part in parts]
    # Each run begins with the step after the last one of the run before.
    assert [number for part in numbers for number in part] == list(range(40))
    assert all(numbers)
    # The same losses, and the same weights at the end, as of the notebook that nobody ended.
    (size, *_), (*_, end) = parts[0], parts[-1]
    assert [size, *(line for part in parts for line in part if STEP.fullmatch(line)), end] == noted("cnn")


@pytest.mark.prove
def test_workers_that_are_spawned_find_the_data_set(machine: Machine, made: Any, noted: Any) -> None:
    assert machine.run(made("windows"), GO, "--start-method", "spawn") == noted("windows")


PARAMETERS = {
    "linear": ("--steps INT", "--lr FLOAT", "--run STR"),
    "cnn": ("--steps INT", "--batch-size INT", "--run STR", "--pause-seconds FLOAT"),
    "finetune": ("--epochs INT", "--freeze, --no-freeze", "--head-lr FLOAT", "--name STR"),
    "windows": ("--hours INT", "--workers INT", "--start-method STR", "--seed INT"),
    "evaluate": ("--parts INT", "--threshold FLOAT", "--metrics LIST", "--mode {fast,exact}", "--tag STR"),
}


@pytest.mark.parametrize("name", sampled("evaluate", "linear"))
def test_help_shows_every_parameter(name: str, machine: Machine, made: Any) -> None:
    shown = " ".join(machine.run(made(name), "--help", COLUMNS="200"))
    for one in PARAMETERS[name]:
        assert one in shown


@pytest.mark.prove
def test_parameters_reach_the_training(machine: Machine, made: Any) -> None:
    given = ["--mode", "fast", "--metrics", '["recall"]', "--tag", "mine"]
    lines = machine.run(made("evaluate"), GO, *given)
    assert lines[0] == "1 parts"
    assert lines[1].startswith("[Score(metric='recall'")
    assert lines[2] == "MINE fast"


@pytest.fixture
def installed(machine: Machine) -> Machine:
    """Give the machine an environment of its own: the base distribution and torch, and what they say they need."""
    environment = machine.folder / "venv"
    venv.create(environment, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    for name in needed("jupyter_gpu_ext", "torch"):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."} - {"__pycache__"}:
            place = Path(str(found.locate_file(top)))
            # Several distributions lie in one folder, such as `azure`.
            if place.exists() and not (site / top).exists() and not top.startswith("_editable"):
                (site / top).symlink_to(place)
    machine.environ |= {"PYTHONPATH": str(ROOT)}
    machine.python = str(environment / "bin" / "python")
    return machine


def needed(*names: str) -> set[str]:
    """Return the distributions that these need, extras aside, and themselves."""
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        wants = map(Requirement, distribution(name).requires or ())
        waiting += [
            canonicalize_name(one.name) for one in wants if not one.marker or one.marker.evaluate({"extra": ""})
        ]
    return found


@pytest.mark.prove
@pytest.mark.parametrize("name", TRAININGS)
def test_the_base_and_torch_are_all_that_a_script_needs(
    name: str, machine: Machine, installed: Machine, made: Any, noted: Any
) -> None:
    assert installed.run(
        "-c", "import importlib.util as u; print(u.find_spec('IPython'), u.find_spec('traitlets'))"
    ) == ["None None"]
    assert installed.run(made(name), GO) == noted(name)
