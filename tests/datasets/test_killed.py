"""A run that is killed at any moment goes on from a whole step, and from one step only."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import warnings

import pytest

import jupyter_gpu_ext as jg
from tests.datasets import run

URL = "out://run 7"
FOREVER = 1_000_000


def start(*, steps: int = FOREVER, every: int = 1, grace: float = 20) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.datasets.run", URL, str(steps), str(every), str(grace)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def restored() -> int:
    """Return the step that a new process would go on from; fail when it is a mixture."""
    model, optimizer, data = run.parts()
    with warnings.catch_warnings(), jg.Checkpointer(URL) as checkpoints:
        # What was half written is not even looked at.
        warnings.simplefilter("error")
        found = checkpoints.restore(model=model, optimizer=optimizer, data=data)
    assert run.step_of(model, optimizer, data) == found - 1
    return found


def kill(number: int, draw: random.Random) -> None:
    before = restored()
    child = start()
    assert child.stdout
    # From the first step of the new run on; there is always one upload on its way then.
    first = child.stdout.readline()
    assert first.split()[:1] == [str(before)], child.communicate()
    time.sleep(draw.uniform(0, 0.4))
    child.send_signal(number)
    lines, said = child.communicate(timeout=100)
    last = int((lines.splitlines() or [first])[-1].split()[0])
    found = restored()
    if number == signal.SIGKILL:
        assert child.returncode == -signal.SIGKILL
        # The step before the last one was stored before the last one was taken.
        assert last <= found <= last + 2, (last, found)
    else:
        assert (child.returncode, said) == (143, "")
        # It saved once more, and did not come back from there.
        assert found == last + 2


@pytest.mark.parametrize("out", ["local", pytest.param("azure", marks=pytest.mark.prove)], indirect=True)
def test_killed_runs(out: str) -> None:
    draw = random.Random(3)
    for number in (signal.SIGKILL, signal.SIGTERM):
        kill(number, draw)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_30_killed_runs(out: str) -> None:
    draw = random.Random(4)
    for _ in range(15 if out == "azure" else 5):
        for number in (signal.SIGKILL, signal.SIGTERM):
            kill(number, draw)


def test_a_run_whose_steps_are_not_saved_is_saved_before_it_ends(local_out: object) -> None:
    child = start(every=FOREVER)
    assert child.stdout
    while not child.stdout.readline().startswith("5 "):
        assert child.poll() is None, child.communicate()
    assert restored() == 0
    child.terminate()
    lines, _ = child.communicate(timeout=100)
    assert child.returncode == 143
    assert restored() == int(lines.splitlines()[-1].split()[0]) + 2 if lines else restored() >= 7


def test_a_run_that_just_ends_is_stored(local_out: object) -> None:
    child = start(steps=3)
    lines, said = child.communicate(timeout=100)
    assert (child.returncode, said, len(lines.splitlines())) == (0, "", 3)
    assert restored() == 3


STUCK = """
import sys, time
import jupyter_gpu_ext as jg
checkpoints = jg.Checkpointer(sys.argv[1], grace_seconds=0.2)
checkpoints.save(0)
print("ready", flush=True)
while True:
    time.sleep(0.01)
"""


def test_a_run_that_ends_no_step_ends_all_the_same(local_out: object) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", STUCK, URL], stdout=subprocess.PIPE, env=environment, text=True)
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    child.terminate()
    assert child.wait(60) == 143
    with jg.Checkpointer(URL) as checkpoints:
        assert checkpoints.restore() == 1
