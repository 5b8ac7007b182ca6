"""The guide's training: a notebook on a store of Azurite; its job alone and on two ranks, killed, and gone on."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import runpy
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import pytest
import torch

from jupyter_gpu_ext.datasets import pointer
from jupyter_gpu_ext.export.command import export
from jupyter_gpu_ext.export.verify import verify
from jupyter_gpu_ext.job import lock
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Azurite, Store, azure_fields, write_connections
from tests.export.train import ROOT, Machine
from tests.tensors.zarr_stores import upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STEP = re.compile(r"epoch \d+ step (\d+) loss ([\d.]+) rank (\d)\n")
ERROR = re.compile(r"error ([\d.]+), without a model ([\d.]+)\n")
# 24 steps an epoch; 12 on each of two ranks.
OPTIONS = ("--skip-preflight", "--log-every", "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run printed: the loss of each step, by rank, and how good the model is if it came so far."""

    losses: dict[int, dict[int, str]]
    error: tuple[float, float] | None
    code: int

    @property
    def steps(self) -> list[int]:
        return sorted(self.losses[0])


class Job:
    """An exported folder, and the machine that it runs on; its connections are those beside the script."""

    def __init__(self, place: Path, azurite: Azurite) -> None:
        self.data, self.runs = azurite.new_container(), azurite.new_container()
        write_era5 = runpy.run_path(str(ROOT / "binder" / "demo.py"))["write_era5"]
        for name, hours in (("train.zarr", range(400)), ("valid.zarr", range(400, 480))):
            write_era5(place / "written" / name, hours)
        upload(place / "written", Store("era5", container=self.data), "2020")
        self.connections = place / "connections.toml"
        era5 = {**azure_fields(azurite, self.data.container_name), "root": f"az://{self.data.container_name}/2020"}
        runs = {**azure_fields(azurite, self.runs.container_name), "read_only": False}
        write_connections(self.connections, era5=era5, runs=runs)
        self.notebook, self.folder = place / "forecast.ipynb", place / "job"
        shutil.copyfile(ROOT / "binder" / "forecast.ipynb", self.notebook)
        self._numbers = itertools.count()
        self._machine = Machine(place, self.connections)
        self._machine.folder = self.folder
        del self._machine.environ["JUPYTER_GPU_CONNECTIONS"]
        self._machine.environ[KEY_VARIABLE] = AZURITE_KEY

    def here(self, name: str, *options: str) -> Ran:
        """Run the script in this process, where torch is there already."""
        said, threads = io.StringIO(), torch.get_num_threads()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
            patch.setattr(sys, "argv", ["train.py", *OPTIONS, "--name", name, *options])
            patch.setattr(sys, "excepthook", sys.excepthook)
            torch.set_num_threads(1)
            try:
                runpy.run_path(str(self.folder / "train.py"), run_name="__main__")
            finally:
                torch.set_num_threads(threads)
        return ran(said.getvalue(), 0)

    def run(
        self, name: str, *options: str, ranks: int = 1, until: int = -1, kill: Callable[[psutil.Process], None] = id
    ) -> Ran:
        """Run the script to its end, or kill it when a step is over."""
        logs = self.folder.with_name(f"logs {next(self._numbers)}")
        # Two that write to one pipe write into each other's lines.
        redirected = ("--redirects", "3", "--log-dir", str(logs))
        many = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", *redirected, "--")
        child = self._machine.start(*(many if ranks > 1 else ()), "train.py", *OPTIONS, "--name", name, *options)
        assert child.stdout
        lines = []
        if ranks == 1:
            for line in child.stdout:
                lines.append(line)
                if f" step {until} " in line:
                    kill(psutil.Process(child.pid))
                    break
        elif until >= 0:
            while not any(f" step {until} " in file.read_text() for file in logs.glob("*/attempt_0/0/stdout.log")):
                assert child.poll() is None
                time.sleep(0.01)
            kill(psutil.Process(child.pid))
        rest, said = child.communicate(timeout=100)
        assert (child.returncode != 0) == (until >= 0), said
        lines += [rest, *(file.read_text() for file in sorted(logs.glob("*/attempt_0/*/stdout.log")))]
        return ran("".join(lines), child.returncode)

    def stored(self, name: str) -> list[int]:
        """Return the steps in Azurite that are whole, oldest first."""
        blob = self.runs.get_blob_client(f"{name}/{pointer.NAME}")
        found = pointer.from_bytes(blob.download_blob().readall(), name) if blob.exists() else ()
        return [one.step for one in reversed(found)]


def ran(said: str, code: int) -> Ran:
    losses = dict[int, dict[int, str]]()
    for step, loss, rank in STEP.findall(said):
        losses.setdefault(int(rank), {})[int(step)] = loss
    found = ERROR.search(said)
    return Ran(losses=losses, error=(float(found[1]), float(found[2])) if found else None, code=code)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> Job:
    made = Job(tmp_path_factory.mktemp("forecast"), azurite)
    with connected(made):
        export(str(made.notebook), folder=str(made.folder))
    return made


@contextlib.contextmanager
def connected(job: Job) -> Iterator[None]:
    """Let this process have the connections of who wrote the notebook."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_GPU_CONNECTIONS", str(job.connections))
        patch.setenv(KEY_VARIABLE, AZURITE_KEY)
        yield


@pytest.fixture(scope="module")
def alone(job: Job) -> Ran:
    with connected(job):
        return job.here("alone", "--epochs", "2")


@pytest.fixture(scope="module")
def together(job: Job) -> Ran:
    return job.run("together", "--epochs", "4", ranks=2)


def terminate(process: psutil.Process) -> None:
    process.send_signal(signal.SIGTERM)


def kill(process: psutil.Process) -> None:
    process.kill()


def kill_rank(number: int) -> Callable[[psutil.Process], None]:
    """Kill one of the processes that torchrun started, as a machine does that goes away."""

    def one(process: psutil.Process) -> None:
        (found,) = (one for one in process.children() if one.environ().get("RANK") == str(number))
        found.kill()

    return one


def test_the_folder_knows_what_the_streams_read(job: Job) -> None:
    found = lock.read(job.folder / lock.NAME)
    assert {one.url: one.objects for one in found.entries} == {"era5://train.zarr": 128, "era5://valid.zarr": 34}
    assert all(one.is_known for one in found.entries)
    with connected(job):
        assert lock.differences(found.entries) == ()
    assert set(found.connections) == {"era5", "runs"}
    said = (job.folder / "jupyter_gpu_connections.toml").read_text()
    assert said.index("# read\n[connections.era5]") < said.index("# written\n[connections.runs]")
    assert not any(AZURITE_KEY in file.read_text() for file in job.folder.iterdir() if file.is_file())


def test_the_loss_falls(alone: Ran, job: Job) -> None:
    losses = [float(one) for one in alone.losses[0].values()]
    assert alone.steps == list(range(48))
    assert sum(losses[-5:]) < 0.1 * sum(losses[:5])
    assert alone.error
    assert alone.error[0] < 0.8 * alone.error[1]
    assert job.stored("alone") == [19, 29, 39]


def goes_on(job: Job, name: str, whole: Ran, *kills: tuple[int, Callable[[psutil.Process], None]]) -> None:
    """Kill a run, some times, and let it go on: each step's loss is that of the run that nobody killed."""
    ranks = len(whole.losses)
    options = ("--epochs", str(2 * ranks))
    parts = list[Ran]()
    begins = [0]
    for step, one in kills:
        parts.append(job.run(name, *options, ranks=ranks, until=step, kill=one))
        begins.append(([-1, *job.stored(name)])[-1] + 1)
    parts.append(job.run(name, *options, ranks=ranks))
    assert [part.steps[0] for part in parts] == begins
    # What was saved before the last save is whole, whatever became of that.
    assert begins[-1] >= 10
    for part in parts:
        assert part.losses.keys() == whole.losses.keys()
        for rank, losses in part.losses.items():
            assert losses.items() <= whole.losses[rank].items()
    assert {step for part in parts for step in part.steps} == set(whole.steps)
    assert parts[-1].error == whole.error


def test_a_job_that_sigterm_ends_goes_on_with_the_next_step(job: Job, alone: Ran) -> None:
    first = job.run("term", "--epochs", "2", until=29, kill=terminate)
    assert first.code == 143
    assert job.stored("term")[-1] == first.steps[-1]
    with connected(job):
        second = job.here("term", "--epochs", "2")
    assert second.steps[0] == first.steps[-1] + 1
    assert first.losses[0] | second.losses[0] == alone.losses[0]
    assert second.error == alone.error


@pytest.mark.prove
def test_a_job_that_is_killed_goes_on_with_the_last_whole_step(job: Job, alone: Ran) -> None:
    goes_on(job, "killed", alone, (13, kill), (25, terminate), (44, kill))


@pytest.mark.prove
def test_two_ranks_learn_as_well(together: Ran, job: Job) -> None:
    assert [len(one) for one in together.losses.values()] == [48, 48]
    assert together.losses[0] != together.losses[1]
    assert together.error
    assert together.error[0] < 0.8 * together.error[1]
    assert job.stored("together") == [19, 29, 39]


@pytest.mark.prove
def test_two_ranks_that_sigterm_ends_go_on(job: Job, together: Ran) -> None:
    goes_on(job, "two term", together, (11, terminate), (30, terminate))


@pytest.mark.prove
@pytest.mark.parametrize("ranks", [(0, 1), (1, 0)])
def test_ranks_that_sigterm_reaches_one_after_the_other_end_after_the_same_step(
    job: Job, together: Ran, ranks: tuple[int, int]
) -> None:
    def one_by_one(process: psutil.Process) -> None:
        found = {one.environ().get("RANK"): one for one in process.children()}
        for rank in ranks:
            found[str(rank)].terminate()
            # Longer than a step takes.
            time.sleep(0.1)

    name = f"first {ranks[0]}"
    first = job.run(name, "--epochs", "40", "--every", "1000", ranks=2, until=13, kill=one_by_one)
    assert first.losses[0].keys() == first.losses[1].keys()
    assert job.stored(name)[-1] == first.steps[-1]
    second = job.run(name, "--epochs", "4", "--every", "1000", ranks=2)
    assert second.steps[0] == first.steps[-1] + 1
    assert first.losses[0] | second.losses[0] == together.losses[0]
    assert second.error == together.error


@pytest.mark.prove
@pytest.mark.parametrize("rank", [0, 1])
def test_two_ranks_of_which_one_is_killed_go_on(job: Job, together: Ran, rank: int) -> None:
    goes_on(job, f"two killed {rank}", together, (33, kill_rank(rank)))


@pytest.mark.prove
def test_the_script_is_proven(job: Job) -> None:
    with connected(job):
        exported = export(
            str(job.notebook), folder=str(job.folder.with_name("proven")), prove=True, with_=("epochs=1",)
        )
        assert verify(str(exported.folder)).exit_code == 0
    assert exported.proof
    assert exported.proof.holds, str(exported.proof)
    assert exported.proof.sample == ""
    names = {one.name for one in exported.proof.results if one.same}
    assert {"loss", "error", "net", "step", "runs://unet/step-00000019.pt", "runs://unet/net.safetensors"} <= names
