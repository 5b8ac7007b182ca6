"""What a block took, measured on real loads."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import safetensors.numpy

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.datasets.report import Report
from jupyter_gpu_ext.job.measure import Measured
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.traffic import WAITING
from jupyter_gpu_ext.tensors.receipt import Receipt
from jupyter_gpu_ext.tensors.receipts import RECEIPTS
from tests.datasets.stores import write

MB = 10**6


async def rest(seconds):
    import asyncio

    await asyncio.sleep(seconds)


OTHER = Receipt(
    url="other://x", etag="", device="cpu", tensor_count=0, size_bytes=0, bytes_read=0, requests=0, retries=0,
    checked_bytes=0, seconds=0.0,
)  # fmt: skip
NET = safetensors.numpy.save({"w": np.ones(250_000, np.float32)})


def test_bytes_time_and_waiting_of_a_load(azure_store, capsys, monkeypatch):
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "1xL4")
    azure_store.put("net.safetensors", NET)
    with jg.measure() as took:
        loaded = jg.load("weights://net.safetensors")
        time.sleep(0.05)
    assert took.received_bytes >= MB
    assert took.seconds >= 0.05
    assert 0 < took.waited_seconds <= took.seconds - 0.05
    assert took.held_bytes == {"simulated:0": MB}
    assert loaded["w"].nbytes == MB
    assert capsys.readouterr().out == f"{took}\n"
    assert f"{took}".startswith("no device used · loads hold 1.0 MB on simulated:0 · ")


def test_a_stream_has_a_line_of_its_own(tmp_path, capsys):
    write(tmp_path / "s.zarr")
    for _ in jg.ZarrStream(str(tmp_path / "s.zarr")):
        pass
    stream = jg.ZarrStream(str(tmp_path / "s.zarr")).batch(7)
    with jg.measure() as took:
        for _ in stream:
            pass
    (report,) = took.streams
    assert report == stream.report()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("no device used · ")
    assert " samples/s · waited " in second
    assert took.to_json()["streams"][0]["samples"] == 60
    slow = Report(items=99, seconds=9, wait_seconds=8, copy_seconds=8)
    assert str(Measured(streams=(slow,), advice=slow.advice)).startswith("no device used · 0 ms → .prefetch(2) makes")


def test_a_block_that_fails_is_measured_too(capsys):
    def block():
        LOOP.run(rest(0.02))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), jg.measure() as took:
        block()
    assert took.waited_seconds >= 0.02
    assert capsys.readouterr().out.count("\n") == 1


def test_only_the_main_thread_waits():
    before = WAITING.seconds
    beside = threading.Thread(target=lambda: LOOP.run(rest(0.02)))
    beside.start()
    beside.join()
    assert WAITING.seconds == before
    LOOP.run(rest(0.02))
    assert WAITING.seconds >= before + 0.02


def test_a_call_that_fails_was_waited_for():
    async def fail():
        await rest(0.02)
        raise KeyError

    before = WAITING.seconds
    with pytest.raises(KeyError):
        LOOP.run(fail())
    assert WAITING.seconds >= before + 0.02


@pytest.mark.parametrize(
    ("took", "said"),
    [
        (Measured(), "no device used · 0 ms"),
        (Measured(seconds=2.0, waited_seconds=0.001), "no device used · 2.0 s"),
        (
            Measured(
                seconds=10.0, waited_seconds=4.8, received_bytes=1_200 * MB,
                peak_bytes={"cuda:0": 3_200 * MB, "cuda:1": 100 * MB}, advice="try --cache: w://x was loaded before",
            ),
            "peak 3.2 GB on cuda:0, 100 MB on cuda:1 · 10 s · 1.2 GB from storage · waited 48 % for storage"
            " → try --cache: w://x was loaded before",
        ),
        (Measured(seconds=1.0, waited_seconds=1.2), "no device used · 1.0 s · waited 100 % for storage"),
    ],
)  # fmt: skip
def test_one_line_says_it(took, said):
    assert repr(took) == said
    assert took.to_json()["seconds"] == took.seconds


@pytest.mark.parametrize(
    ("before", "options", "waits", "advised"),
    [
        # The same object again, not kept here, and the block waited for it.
        (True, {}, 1.2, True),
        (False, {}, 1.2, False),
        (True, {"cache": True}, 1.2, False),
        (True, {}, 0.0, False),
    ],
)
def test_advice_is_given_where_it_is_certain_to_help(
    azure_store, monkeypatch, tmp_path, before, options, waits, advised
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for _ in range(300):
        # More than are kept: the oldest ones are gone by now.
        RECEIPTS.add("x", OTHER)
    assert bool(advice_of(azure_store, before, options, waits)) is advised


def test_what_lies_on_a_disk_here_is_not_to_be_kept_again(local_store):
    assert advice_of(local_store, True, {}, 1.2) == ""


def advice_of(store, before, options, waits):
    store.put("net.safetensors", NET)
    url = f"{store.name}://net.safetensors"
    if before:
        jg.load(url, device="cpu", **options)
    with jg.measure() as took:
        jg.load(url, device="cpu", **options)
        if waits:
            LOOP.run(rest(waits))
    assert not took.advice or url in took.advice
    return took.advice
