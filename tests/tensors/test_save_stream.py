"""A save is bounded in memory, whole or not there at all, and right beyond four gigabytes."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError, NotFoundError
from jupyter_gpu_ext.storage import backends
from jupyter_gpu_ext.storage.backends import close_all
from jupyter_gpu_ext.storage.models import Version
from jupyter_gpu_ext.storage.retry import Schedule
from jupyter_gpu_ext.tensors import sources
from jupyter_gpu_ext.tensors.formats.torch_archive import archive
from jupyter_gpu_ext.tensors.formats.zip_directory import locate, read_directory
from jupyter_gpu_ext.tensors.sources import NumpySource, Room, TorchSource
from tests.conftest import Azurite, write_connections
from tests.faults.proxy import Fault, FaultProxy, Rule, fault_proxy
from tests.storage.test_writer import of_block, of_commit
from tests.tensors.same import raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_gpu_ext.tensors.sources import Source


def joined(source: Source) -> tuple[bytes, int]:
    """Return the bytes of all slices, and the longest slice."""
    room, slices = Room(), list[bytes]()
    for read in source.slices():
        slices.append(bytes(read(room)))
    return b"".join(slices), max(map(len, slices), default=0)


@given(
    shape=st.lists(st.integers(0, 7), max_size=4),
    order=st.randoms(use_true_random=False),
    dtype=st.sampled_from(["float32", "uint8", "complex128", "bool", "int16"]),
    step=st.integers(1, 3),
    most=st.sampled_from([16, 48, 100, 1 << 20]),
)
def test_slices_are_the_elements_in_order(shape: list[int], order: Any, dtype: str, step: int, most: int) -> None:
    axes = list(range(len(shape)))
    order.shuffle(axes)
    numbers = np.arange(math.prod(shape)) % 251
    array = numbers.astype(dtype).reshape(shape).transpose(axes)
    array = array[::step] if shape else array
    tensor = torch.from_numpy(numbers.astype(dtype).reshape(shape)).permute(axes)
    tensor = tensor[::step] if shape else tensor
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "SLICE_BYTES", most)
        for source in (TorchSource(tensor), NumpySource(array, array.dtype)):
            data, longest = joined(source)
            assert data == array.tobytes()
            assert len(source) == len(data)
            assert longest <= max(most, array.itemsize)


def test_slices_of_what_is_contiguous_are_its_own_memory() -> None:
    tensor = torch.zeros(3_000_000)
    first = next(TorchSource(tensor).slices())(Room())
    tensor[0] = 1
    assert bytes(first[:4]) == raw(torch.ones(1))


class Zeros:
    """So many bytes that nobody has."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def __len__(self) -> int:
        return self.size_bytes


class Sparse:
    """A reader of an archive of which only the headers are kept."""

    url = shown = "memory"

    def __init__(self, parts: list[tuple[int, bytes]], size_bytes: int) -> None:
        self.version = Version(size_bytes, "1")
        self.head = parts[0][1]
        self._parts = parts

    async def read(self, start: int, stop: int) -> bytes:
        data = bytearray(stop - start)
        for at, part in self._parts:
            low, high = max(at, start), min(at + len(part), stop)
            if low < high:
                data[low - start : high - start] = part[low - at : high - at]
        return bytes(data)


SIZES = [
    [1, 5 << 30, 0, 70_000, 1],
    [(1 << 32) - 1, 1],
    [(1 << 32) - 2, 1],
    [3 << 30, 3 << 30, 0, 3 << 30],
    pytest.param([0] * 70_000, marks=pytest.mark.prove),
]


@pytest.mark.parametrize("sizes", SIZES, ids=range(len(SIZES)))
def test_archives_of_any_size(sizes: list[int]) -> None:
    members = [(f"data/{key}", Zeros(size)) for key, size in enumerate(sizes)]
    parts, at, kept = archive(members), 0, list[tuple[int, bytes]]()
    part: Any = next(parts)
    try:
        while True:
            if isinstance(part, bytes):
                kept.append((at, part))
            at += len(part)
            part = parts.send(7)
    except StopIteration:
        pass
    reader: Any = Sparse(kept, at)
    directory = asyncio.run(read_directory(reader, most_bytes=1 << 30))
    assert [one.size_bytes for one in directory.members] == sizes
    spans = directory.by_rule(reader.head)
    assert spans is not None
    # What the directory's rule says, the local headers say, too.
    few = [one.name for one in directory.members[:20]]
    assert asyncio.run(locate(directory, few, reader)) == {name: spans[name] for name in few}
    assert all(span.start % 64 == 0 for span in spans.values())


@contextmanager
def broken(azurite: Azurite, fields: dict[str, object], folder: Path, *rules: Rule) -> Iterator[FaultProxy]:
    with fault_proxy(azurite.port, *rules) as wire:
        address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
        write_connections(folder / "connections.toml", out={**fields, "endpoint": address})
        yield wire
        close_all()
    write_connections(folder / "connections.toml", out=fields)


BIG = {"w": torch.arange(3_000_000, dtype=torch.float32), "turned": torch.randn(300, 5000).t()}


@pytest.mark.parametrize(
    ("fault", "times", "when", "written"),
    [
        (Fault("status", 503), 2, of_block, True),
        (Fault("rst"), 2, of_block, True),
        (Fault("lost"), 1, of_commit, True),
        (Fault("status", 403), 99, of_block, False),
        (Fault("status", 403), 99, of_commit, False),
        pytest.param(Fault("status", 500), 99, of_block, False, marks=pytest.mark.prove),
        pytest.param(Fault("status", 500), 99, of_commit, False, marks=pytest.mark.prove),
    ],
    ids=lambda one: getattr(one, "kind", getattr(one, "__name__", str(one))),
)
@pytest.mark.parametrize("name", ["x.pt", pytest.param("x.safetensors", marks=pytest.mark.prove)])
def test_faults_in_the_middle(
    azurite: Azurite, azure_out: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fault: Fault, times: int, when: Any, written: bool, name: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(backends, "REMOTE", Schedule(first_seconds=0.02))
    url = f"out://{name}"
    jg.save({"old": torch.ones(1)}, url)
    with broken(azurite, azure_out, tmp_path, Rule(fault, times, when)) as wire:
        if written:
            jg.save(BIG, url, overwrite=True)
        else:
            with pytest.raises(GpuExtError) as caught:
                jg.save(BIG, url, overwrite=True)
            assert caught.value.hint
        assert wire.broken()
    expected = BIG if written else {"old": torch.ones(1)}
    found = jg.load(url, device="cpu")
    assert {key: raw(one) for key, one in found.items()} == {key: raw(one) for key, one in expected.items()}


@pytest.mark.parametrize("before", [False, True])
def test_an_interrupt_leaves_the_old_object_or_none(
    azurite: Azurite, azure_out: dict[str, object], tmp_path: Path, before: bool
) -> None:
    if before:
        jg.save({"old": torch.ones(1)}, "out://x.pt")
    with broken(azurite, azure_out, tmp_path, Rule(Fault("stall headers"), 99, of_block)) as wire:

        def interrupt() -> None:
            assert wire.stalled.wait(20)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            jg.save(BIG, "out://x.pt", overwrite=before)
        thread.join()
        assert wire.client_gone.wait(10)
    if before:
        assert list(jg.load("out://x.pt", device="cpu")) == ["old"]
    else:
        with pytest.raises(NotFoundError):
            jg.load("out://x.pt", device="cpu")


MEMORY = """
import json, resource, sys
import torch
import jupyter_gpu_ext as jg

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

name, turned = sys.argv[1], sys.argv[2] == "turned"
# The libraries and their threads are there before it counts.
jg.save({"w": torch.ones(5_000_000)}, f"out://first-{name}")
tensor = torch.ones(5000, 10_000)
value = {"w": tensor.t() if turned else tensor}
before = peak()
jg.save(value, f"out://{name}")
print(json.dumps(peak() - before))
"""


@pytest.mark.parametrize(
    ("name", "order"), [pytest.param("x.pt", "straight", marks=pytest.mark.prove), ("x.safetensors", "turned")]
)
def test_memory_is_bounded(azure_out: dict[str, object], name: str, order: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY, name, order], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Of 200 MB: the blocks on their way, what the provider's client copies of them, and what malloc keeps.
    assert json.loads(done.stdout) < 120 << 20
