"""What a run saves it finds again; what is damaged is never taken, and never taken for nothing."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.datasets import pointer, random_state
from jupyter_gpu_ext.datasets.pointer import Step
from jupyter_gpu_ext.errors import BadRequestError, DeniedError, ExistsError, TensorFormatError
from tests.conftest import write_connections
from tests.datasets import run
from tests.tensors.same import assert_same

if TYPE_CHECKING:
    from pathlib import Path

URL = "out://run 7/"


def trained(steps: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(steps)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()
    return model, optimizer


def write(steps: range, **options: Any) -> None:
    model, optimizer, data = run.parts()
    with jg.Checkpointer(URL, **options) as checkpoints:
        checkpoints.restore(model=model, optimizer=optimizer, data=data)
        for step in steps:
            model.advance(step)
            for one in optimizer.state.values():
                one["momentum_buffer"].fill_(step)
            data.at = step
            checkpoints.save(step)


def read() -> int:
    model, optimizer, data = run.parts()
    with jg.Checkpointer(URL) as checkpoints:
        found = checkpoints.restore(model=model, optimizer=optimizer, data=data)
    assert run.step_of(model, optimizer, data) == found - 1
    return found


def objects(folder: Path) -> list[str]:
    """Return the steps that are there, oldest first."""
    return sorted(one.name for one in (folder / "run 7").iterdir() if one.name.startswith("step-"))


def test_what_was_saved_is_restored_in_place(out: str) -> None:
    model, optimizer = trained(3)
    with jg.Checkpointer(URL) as checkpoints:
        assert checkpoints.restore(model=model, optimizer=optimizer) == 0
        checkpoints.save(3, loss=0.5, best={"at": 2, "w": torch.ones(2)})
    other, its_optimizer = trained(1)
    weight = other[0].weight
    with jg.Checkpointer(URL) as checkpoints:
        assert checkpoints.restore(model=other, optimizer=its_optimizer) == 4
        assert_same(checkpoints.extra, {"loss": 0.5, "best": {"at": 2, "w": torch.ones(2)}})
    assert other[0].weight is weight
    assert_same(other.state_dict(), model.state_dict())
    assert_same(its_optimizer.state_dict(), optimizer.state_dict())


def test_a_step_is_what_it_was_when_it_was_saved(local_out: Path) -> None:
    model, optimizer, data = run.parts()
    with jg.Checkpointer(URL) as checkpoints:
        checkpoints.restore(model=model, optimizer=optimizer, data=data)
        model.advance(0)
        for one in optimizer.state.values():
            one["momentum_buffer"].fill_(0)
        data.at = 0
        checkpoints.save(0)
        # The upload has hardly begun.
        model.advance(7)
        data.at = 7
    assert read() == 1


def test_older_steps_go(local_out: Path) -> None:
    write(range(6))
    assert [name[:13] for name in objects(local_out)] == ["step-00000003", "step-00000004", "step-00000005"]
    found = pointer.from_bytes((local_out / "run 7/latest.json").read_bytes(), "x")
    assert [one.step for one in found] == [5, 4, 3]
    write(range(6, 8), keep=1)
    assert [name[:13] for name in objects(local_out)] == ["step-00000007"]


def test_each_nth_step(local_out: Path) -> None:
    write(range(7), every=3)
    assert [name[:13] for name in objects(local_out)] == ["step-00000002", "step-00000005"]


def damaged(data: bytes, how: str) -> bytes:
    match how:
        case "half":
            return data[: len(data) // 2]
        case "empty":
            return b""
        case "zeros":
            return bytes(len(data))
        case _:
            at = {"first": 4, "pickle": 200, "middle": len(data) // 2, "last": len(data) - 5}[how]
            return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("how", ["half", "empty", "zeros", "first", "pickle", "middle", "last", "gone"])
def test_a_damaged_step_is_never_taken(local_out: Path, how: str) -> None:
    write(range(3))
    newest = local_out / "run 7" / objects(local_out)[-1]
    if how == "gone":
        newest.unlink()
    else:
        newest.write_bytes(damaged(newest.read_bytes(), how))
    with pytest.warns(UserWarning, match=r"Step 2 .* it is left out") as warned:
        assert read() == 2
    assert len(warned) == 1
    with pytest.warns(UserWarning, match="left out"):
        write(range(2, 4))
    # The run went on, and the damaged one is away.
    assert read() == 4
    assert newest.name not in objects(local_out)


def test_no_whole_step_is_not_no_step(local_out: Path) -> None:
    write(range(2))
    for name in objects(local_out):
        (local_out / "run 7" / name).unlink()
    with pytest.warns(UserWarning, match="left out"), pytest.raises(TensorFormatError, match="none of them whole"):
        read()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 2, "steps": []}', '{"format": 1, "steps": [{"step": 1}]}',
     json.dumps({"format": 1, "steps": [{"step": 1, "name": "../x.pt", "size_bytes": 1, "sha256": "0" * 64}]}),
     json.dumps({"format": 1, "steps": [{"step": "1", "name": "step-00000001-00000000.pt", "size_bytes": 1,
                                         "sha256": "0" * 64}]})],
)  # fmt: skip
def test_a_pointer_that_is_none_stops_the_run(local_out: Path, text: str) -> None:
    write(range(2))
    (local_out / "run 7/latest.json").write_text(text)
    before = objects(local_out)
    with pytest.raises(TensorFormatError, match="no list of checkpoints"):
        read()
    assert objects(local_out) == before


def test_a_run_that_was_not_restored_is_not_overwritten(local_out: Path) -> None:
    write(range(2))
    with jg.Checkpointer(URL) as checkpoints, pytest.raises(ExistsError, match="holds the checkpoints"):
        checkpoints.save(0)
    assert read() == 2


def test_what_was_left_by_a_killed_writer_goes(local_out: Path) -> None:
    write(range(1))
    orphan, foreign = pointer.new_name(9), "step-mine.pt"
    for name in (orphan, foreign):
        (local_out / "run 7" / name).write_bytes(b"x")
    assert read() == 1
    write(range(1, 2))
    assert orphan not in objects(local_out)
    assert foreign in objects(local_out)


def test_only_rank_0_writes(local_out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    write(range(2))
    assert list(local_out.iterdir()) == []
    write(range(2), rank=0)
    assert read() == 2


def test_random_generators_go_on(local_out: Path) -> None:
    def draw() -> list[float]:
        return [
            random.random(),
            float(np.random.rand()),
            random.gauss(),
            float(np.random.randn()),
            float(torch.rand(1)),
        ]

    draw()
    with jg.Checkpointer(URL) as checkpoints:
        checkpoints.save(0)
        expected = draw()
    random_state.restore(random_state.capture())
    draw()
    with jg.Checkpointer(URL) as checkpoints:
        checkpoints.restore()
    assert draw() == expected
    with jg.Checkpointer(URL, random=False) as checkpoints:
        before = random.getstate()
        checkpoints.restore()
        assert random.getstate() == before


def test_mistakes(local_out: Path) -> None:
    for wrong in ({"keep": 0}, {"every": 0}):
        with pytest.raises(BadRequestError):
            jg.Checkpointer(URL, **wrong)
    write(range(1))
    with jg.Checkpointer(URL) as checkpoints:
        with pytest.raises(BadRequestError, match="data is a list"):
            checkpoints.restore(data=[])
        with pytest.raises(BadRequestError, match="without schedule") as refused:
            checkpoints.restore(schedule=run.Data())
        assert refused.value.hint == "It has: model, optimizer, data."
    for late in (lambda: checkpoints.save(1), checkpoints.restore):
        with pytest.raises(BadRequestError, match="closed"):
            late()
    with jg.Checkpointer(URL) as checkpoints:
        checkpoints.restore()
        with pytest.raises(BadRequestError, match="numpy"):
            checkpoints.save(1, loss=np.float64(1))


def test_a_fault_of_the_upload_comes_with_the_next_call(tmp_path: Path, local_out: Path) -> None:
    with jg.Checkpointer(URL) as checkpoints:
        checkpoints.restore()
        write_connections(tmp_path / "connections.toml", out={"root": str(local_out)})
        checkpoints.save(0)
        with pytest.raises(DeniedError, match="read-only"):
            checkpoints.save(1)
        write_connections(tmp_path / "connections.toml", out={"root": str(local_out), "read_only": False})
        checkpoints.save(2)
    with jg.Checkpointer(URL) as checkpoints:
        assert checkpoints.restore() == 3


def test_signals_are_given_back(local_out: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with jg.Checkpointer(URL):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
    made = list[Any]()
    thread = threading.Thread(target=lambda: made.append(jg.Checkpointer(URL)))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before
    made[0].close()


FORKED = """
import multiprocessing, os, signal, sys, time, warnings

early = sys.argv[2] == "early"
# Registered before ours, it comes before ours: the child has the parent's handler still.
os.register_at_fork(after_in_child=lambda: early and os.kill(os.getpid(), signal.SIGTERM))

import jupyter_gpu_ext as jg

# What ran the tests may have held SIGTERM back or ignored it, which a program inherits.
signal.pthread_sigmask(signal.SIG_SETMASK, [])
signal.signal(signal.SIGTERM, signal.SIG_DFL)

def sleep():
    # `signal.pause` would wait for ever for a signal that came just before it.
    while True:
        time.sleep(0.05)

with jg.Checkpointer(sys.argv[1]) as outer, jg.Checkpointer(sys.argv[1] + "inner/") as inner:
    inner.restore()
    inner.save(0)
    # Python warns of forking with threads; loaders do it all the same.
    warnings.simplefilter("ignore", DeprecationWarning)
    child = multiprocessing.get_context("fork").Process(target=sleep, daemon=True)
    child.start()
    if not early:
        child.terminate()
    child.join(30)
    print(child.exitcode == -signal.SIGTERM, outer.extra, inner.extra)
"""


@pytest.mark.parametrize("when", ["early", "late"])
def test_a_forked_worker_is_ended_by_sigterm(local_out: Path, when: str) -> None:
    words = [sys.executable, "-c", FORKED, URL, when]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "True {} {}\n", done.stderr


def test_a_handler_that_was_there_has_its_turn(local_out: Path) -> None:
    called = list[int]()
    before = signal.signal(signal.SIGTERM, lambda number, _: called.append(number))
    try:
        checkpoints = jg.Checkpointer(URL)
        checkpoints.restore()
        signal.raise_signal(signal.SIGTERM)
        assert called == []
        with pytest.raises(SystemExit) as left:
            checkpoints.save(4)
        assert (left.value.code, called) == (143, [signal.SIGTERM])
    finally:
        signal.signal(signal.SIGTERM, before)
    with jg.Checkpointer(URL) as checkpoints:
        assert checkpoints.restore() == 5


def test_pointer_text_and_back() -> None:
    steps = tuple(Step(step=n, name=pointer.new_name(n), size_bytes=n, sha256=f"{n:064x}") for n in (9, 5, 1))
    assert pointer.from_bytes(pointer.to_bytes(steps), "x") == steps
    new = Step(step=5, name=pointer.new_name(5), size_bytes=1, sha256="0" * 64)
    assert pointer.moved(steps, new, keep=3) == (new, steps[2])
