"""A report says who waited and what kept the stream busy; its advice names the one change that helps most."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.datasets.iteration import ITERATIONS
from jupyter_gpu_ext.datasets.report import Layout, Report, advise
from jupyter_gpu_ext.tensors.busy import Busy
from tests.datasets.stores import ENTRIES, write

if TYPE_CHECKING:
    from pathlib import Path

LAYOUT = Layout(chunk_samples=32, block_samples=32, buffer=1024, prefetch=2, memory_bytes=512 << 20)
# Of ten seconds: the caller waited for most of them, and nothing else stands out.
SLOW = Report(
    items=100, samples=3200, seconds=10, wait_seconds=6, bytes_read=1 << 30, requests=100, chunk_bytes=1 << 30,
    used_bytes=1 << 30, most_held_bytes=100 << 20, layout=LAYOUT,
)  # fmt: skip
BUSY = dataclasses.replace(SLOW, network_seconds=9.5)


def laid(report: Report, **changes: object) -> Report:
    return dataclasses.replace(report, layout=dataclasses.replace(report.layout, **changes))


@pytest.mark.parametrize(
    ("report", "says"),
    [
        (dataclasses.replace(SLOW, seconds=0.5), ""),
        (dataclasses.replace(SLOW, items=9), ""),
        (dataclasses.replace(SLOW, wait_seconds=0.5), ""),
        (laid(dataclasses.replace(SLOW, wait_seconds=0.5), buffer=64), "draws across 2.0 blocks: buffer=256 mixes"),
        (laid(dataclasses.replace(SLOW, wait_seconds=0.5), buffer=0), ""),
        (laid(dataclasses.replace(SLOW, copy_seconds=1, function_seconds=1), prefetch=0), ".prefetch(2) makes items"),
        (dataclasses.replace(SLOW, function_seconds=9), "DataLoader(stream, batch_size=None"),
        (dataclasses.replace(BUSY, chunk_bytes=3 << 30), "Chunks hold 3.0x what samples use"),
        (dataclasses.replace(BUSY, requests=1 << 15), "Requests bring 32.8 kB, a chunk 32 samples: larger chunks"),
        (dataclasses.replace(BUSY, most_held_bytes=400 << 20), "memory_bytes=1073741824 reads further ahead"),
        (BUSY, "The network is the limit"),
        (dataclasses.replace(SLOW, network_seconds=2, decode_seconds=9), "Decoding is the limit"),
        (dataclasses.replace(SLOW, network_seconds=2, decode_seconds=3), ""),
    ],
)
def test_advice(report: Report, says: str) -> None:
    assert says in advise(report)
    assert bool(says) == bool(advise(report))
    assert json.loads(json.dumps(report.to_json()))["advice"] == report.advice


def test_a_clock_of_several() -> None:
    busy = Busy()
    assert busy.seconds == 0
    with busy.working():
        with busy.working():
            time.sleep(0.02)
        time.sleep(0.02)
        assert busy.seconds >= 0.04
    ended = busy.seconds
    time.sleep(0.01)
    assert busy.seconds == ended


@pytest.mark.parametrize("prefetch", [0, 2])
def test_what_an_iteration_took(tmp_path: Path, prefetch: int) -> None:
    write(tmp_path / "s.zarr")

    def slow(sample: dict) -> dict:
        time.sleep(0.002)
        return sample

    stream = jg.ZarrStream(str(tmp_path / "s.zarr")).map(slow).batch(6).prefetch(prefetch)
    assert stream.report() == Report()
    seen, since = [], ITERATIONS.count
    for _ in stream:
        seen.append(stream.report())
        assert [one.url for one in ITERATIONS.running()][-1] == seen[-1].url
    last = stream.report()
    assert [one.items for one in seen] == list(range(1, 11))
    assert all(one.running for one in seen)
    assert ITERATIONS.since(since) == [last]
    assert not ITERATIONS.running()
    assert (last.items, last.samples, last.running) == (10, ENTRIES, False)
    assert last.function_seconds >= ENTRIES * 0.002
    assert last.function_seconds <= last.seconds
    assert 0 < last.network_seconds <= last.seconds
    assert 0 < last.decode_seconds <= last.seconds
    assert 0 < last.copy_seconds <= last.seconds
    # x: chunks of 4 by 2 by 2 side by side; y: the last one is whole.
    assert last.chunk_bytes == last.used_bytes == ENTRIES * 40
    assert last.layout == Layout(chunk_samples=4, block_samples=12, prefetch=prefetch, memory_bytes=512 << 20)
    assert "functions " in str(last)
    assert "network busy " in str(last)


def test_what_a_selection_leaves_unused(tmp_path: Path) -> None:
    write(tmp_path / "s.zarr")
    stream = jg.ZarrStream(str(tmp_path / "s.zarr"), ["x"], select=":, 0:1").batch(6)
    assert sum(1 for _ in stream) == 10
    # One of two rows of each chunk.
    assert stream.report().read_ratio == 2
    assert "chunks hold 2.0x what samples use" in str(stream.report())
