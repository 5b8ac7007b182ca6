"""Storage that fails, data that is damaged, workers that die: no sample is wrong, and nothing hangs."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import DataLoader

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadStorageReplyError, TensorFormatError
from jupyter_gpu_ext.storage import backends
from jupyter_gpu_ext.storage.backends import close_all
from jupyter_gpu_ext.storage.retry import Schedule
from tests.datasets import soak
from tests.datasets.stores import ENTRIES, got, write
from tests.faults.proxy import Fault, Rule
from tests.faults.test_reading import broken, fresh_clients
from tests.tensors.zarr_stores import upload

if TYPE_CHECKING:
    from tests.conftest import Azurite, Store
    from tests.faults.proxy import Message

__all__ = ["fresh_clients"]

# What a network, a proxy and a busy provider do to an answer. A flipped bit is not among them: on TLS, none comes.
FAULTS = (Fault("fin"), Fault("rst"), Fault("lost"), Fault("short"), Fault("status", 503), Fault("status", 500))
# Of the allocator and of pools of connections that fill; a block that is lost in each epoch would be far more.
_MOST_GROWTH_BYTES = 24 << 20


@pytest.fixture
def path(tmp_path: Path) -> str:
    write(tmp_path / "train.zarr")
    return str(tmp_path / "train.zarr")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seconds", [30, pytest.param(600, marks=pytest.mark.prove)])
def test_soak(azurite: Azurite, azure_store: Store, tmp_path: Path, seconds: float) -> None:
    group = zarr.open_group(tmp_path / "soak.zarr", mode="w")
    x = np.repeat(np.arange(soak.SAMPLES, dtype="f4")[:, None], soak.ROWS, axis=1)
    group.create_array("x", data=x, chunks=(4, soak.ROWS))
    group.create_array("y", data=np.arange(soak.SAMPLES), chunks=(16,))
    upload(tmp_path / "soak.zarr", azure_store, "soak.zarr")
    with broken(azurite, azure_store, tmp_path, drawn=FAULTS, rate=0.02, seed=5) as wire:
        command = [sys.executable, "-m", "tests.datasets.soak", "weights://soak.zarr", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
        count, faults = len(wire.log), wire.broken()
    assert done.returncode == 0, done.stderr
    epochs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(epochs) >= seconds / 10
    assert all(one["right"] for one in epochs)
    assert 0.01 < faults / count < 0.03
    resident = [one["resident"] for one in epochs]
    third = len(epochs) // 3
    assert max(resident[-third:]) - max(resident[third : 2 * third]) < _MOST_GROWTH_BYTES
    assert epochs[-1]["fds"] <= epochs[third]["fds"] + 8


def of_chunk(key: str) -> Rule:
    def asked(request: Message) -> bool:
        return request.line.startswith("GET") and key in request.line

    return Rule(Fault("status", 500), when=asked)


def test_a_chunk_that_is_never_given(azurite: Azurite, azure_store: Store, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(backends, "REMOTE", Schedule(first_seconds=0.01, tries=2))
    write(tmp_path / "written")
    upload(tmp_path / "written", azure_store, "train.zarr")
    with broken(azurite, azure_store, tmp_path, of_chunk("/x/c/5/")):
        stream = jg.ZarrStream("weights://train.zarr", memory_bytes=16 * 480).batch(4)
        with pytest.raises(BadStorageReplyError, match=r"^x: chunk 'x/c/5/0/[01]': devstoreaccount1 answered 500"):
            got(stream)
        left = jg.ZarrStream("weights://train.zarr", memory_bytes=16 * 480, on_error="skip").batch(4)
        assert got(left) == [one for one in range(ENTRIES) if not 12 <= one < 24]
        assert left.report().lost_samples == 12


@pytest.mark.parametrize("compressors", ["auto", None], ids=["zstd", "raw"])
def test_an_answer_that_is_cut_off(azurite: Azurite, azure_store: Store, tmp_path: Path, compressors) -> None:
    """A proxy that shortens the body and says so: nothing but the chunk itself can tell."""
    values = np.random.default_rng(0).random((20, 64), "f4")
    zarr.create_array(tmp_path / "c.zarr", data=values, chunks=(4, 64), compressors=compressors)
    upload(tmp_path / "c.zarr", azure_store, "c.zarr")
    cut = Rule(Fault("short"), 1, lambda request: request.line.startswith("GET") and "/c/2/0" in request.line)
    with broken(azurite, azure_store, tmp_path, cut) as wire:
        found = torch.stack(list(jg.ZarrStream("weights://c.zarr")))
        assert wire.broken() == 1
    np.testing.assert_array_equal(found.numpy(), values)


def loader(stream: jg.ZarrStream, **options: object) -> DataLoader:
    return DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="spawn", **options)


def test_a_fault_in_a_worker_is_the_same_error(path: str) -> None:
    (Path(path) / "x/c/5/0/0").write_bytes(b"none of a chunk")
    with pytest.raises(TensorFormatError, match="x: chunk 'x/c/5/0/0' is damaged"):
        got(loader(jg.ZarrStream(path).batch(4)))


def test_a_worker_that_is_killed_ends_the_epoch(path: str) -> None:
    reading = iter(loader(jg.ZarrStream(path).batch(1), prefetch_factor=1))
    next(reading)
    os.kill(reading._workers[0].pid, signal.SIGKILL)
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(reading)
    assert time.monotonic() - begun < 30
    del reading
    # The next epoch has workers of its own.
    assert sorted(got(loader(jg.ZarrStream(path).batch(4)))) == list(range(ENTRIES))


def held() -> tuple[int, int, int]:
    """Return how many descriptors, threads and pieces of shared memory there are of this process."""
    shared = [one for one in Path("/dev/shm").iterdir() if one.name.startswith(("torch_", "psm_"))]
    return (
        len(list(Path("/proc/self/fd").iterdir())),
        len(list(Path("/proc/self/task").iterdir())),
        len(shared),
    )


def read_in_every_way(prefetch: int) -> None:
    """Read a stream to the end, break it off, let it fail; close the clients, which are not those of an open stream."""
    stream = jg.ZarrStream("weights://train.zarr").shuffle(seed=1, buffer=8).batch(4).prefetch(prefetch)
    got(stream)
    next(iter(stream))
    with pytest.raises(ZeroDivisionError):
        next(iter(stream.map(lambda _: 1 // 0)))
    close_all()
    gc.collect()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_no_thread_and_no_socket_is_left(azure_store: Store, tmp_path: Path, prefetch: int) -> None:
    write(tmp_path / "written")
    upload(tmp_path / "written", azure_store, "train.zarr")
    read_in_every_way(prefetch)
    descriptors, threads, _ = held()
    for _ in range(5):
        read_in_every_way(prefetch)
    deadline = time.monotonic() + 10
    while (left := held()) and (left[0] > descriptors or left[1] > threads) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left[0] <= descriptors
    assert left[1] <= threads


def test_no_worker_leaves_shared_memory(path: str) -> None:
    before = held()
    for batch in loader(jg.ZarrStream(path).batch(4)):
        assert isinstance(batch["x"], torch.Tensor)
    reading = iter(loader(jg.ZarrStream(path).batch(4)))
    next(reading)
    del reading, batch
    after = held()
    assert after[2] <= before[2]
    assert after[0] <= before[0] + 8
