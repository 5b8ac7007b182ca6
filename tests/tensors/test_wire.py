"""Loads over a wire that counts, stalls, or has the object replaced under it."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.open import open_tensors
from jupyter_gpu_ext.tensors.plan import make_plan
from jupyter_gpu_ext.tensors.read import read_plan
from tests.conftest import Azurite, azure_fields, write_connections
from tests.storage.servers import Proxy, proxy
from tests.tensors.files import torch_bytes
from tests.tensors.same import assert_same
from tests.tensors.test_plan import on_host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store

REPLY_HEADER_BYTES = 2000


def through(wire: Proxy, azurite: Azurite, store: Store, folder: Path) -> None:
    """Lead the connection over the wire."""
    fields = azure_fields(azurite, store.container.container_name)
    address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
    write_connections(folder / "connections.toml", weights={**fields, "endpoint": address})


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
@pytest.mark.parametrize(
    "keys", [["layer.3.*"], ["*.bias"], ["layer.[0-4].weight", "!*.2.*"], ["layer.19.weight", "layer.0.weight"]]
)
def test_keys_read_little_beyond_their_tensors(
    azurite: Azurite, azure_store: Store, tmp_path: Path, keys: list[str], kind: str
) -> None:
    torch.manual_seed(0)
    state = {f"layer.{index}.{name}": torch.randn(*shape) for index in range(20)
             for name, shape in (("weight", (100, 500)), ("bias", (3000,)))}  # fmt: skip
    data = torch_bytes(state) if kind == "pt" else safetensors.torch.save(state)
    azure_store.put(f"x.{kind}", data)
    with proxy(azurite.port) as wire:
        through(wire, azurite, azure_store, tmp_path)
        url = f"weights://x.{kind}"
        header = jg.info(url).file
        before = wire.bytes_down
        value, receipt = load_named(url, device="cpu", keys=keys)
        counted = wire.bytes_down - before
    chosen = {name: state[name] for name in value}
    assert_same(dict(sorted(value.items())), dict(sorted(chosen.items())))
    used = sum(one.nbytes for one in chosen.values())
    assert receipt.bytes_read <= header.bytes_read + used * 1.05
    # The reader's own count is the wire's.
    assert receipt.bytes_read <= counted <= receipt.bytes_read + receipt.requests * REPLY_HEADER_BYTES


@pytest.mark.parametrize("stall_after", [0, 300_000], ids=["before the header", "in the data"])
def test_interrupted_load(azurite: Azurite, azure_store: Store, tmp_path: Path, stall_after: int) -> None:
    azure_store.put("x.pt", torch_bytes({"w": torch.randn(6_000_000)}))
    held = HOLDINGS.report()["loads"]
    with proxy(azurite.port, stall_after) as wire:
        through(wire, azurite, azure_store, tmp_path)
        sent: list[float] = []

        def interrupt() -> None:
            assert wire.stalled.wait(20)
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        value = None
        with pytest.raises(KeyboardInterrupt):
            value = jg.load("weights://x.pt", device="cpu")
        assert time.monotonic() - sent[0] < 1
        assert value is None
        assert wire.client_closed.wait(2)
    assert HOLDINGS.report()["loads"] == held


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_replaced_between_header_and_data(store: Store, kind: str) -> None:
    def put(value: float) -> None:
        state = {"w": torch.full((100_000,), value)}
        store.put(f"x.{kind}", torch_bytes(state) if kind == "pt" else safetensors.torch.save(state))

    put(1.0)
    url = f"{store.name}://x.{kind}"
    opened = LOOP.run(open_tensors(url))
    plan = make_plan(opened.file)
    put(2.0)
    with pytest.raises(ObjectChangedError) as caught:
        LOOP.run(read_plan(opened.readers, on_host(plan), Progress(plan.bytes_read), ring_bytes=64 << 20))
    after = LOOP.run(open_reader(url)).version.etag
    before = opened.readers[0].version.etag
    assert before != after
    assert before in caught.value.message
    assert after in caught.value.message
    assert caught.value.hint


def test_replaced_while_it_is_loaded(store: Store) -> None:
    # Writers and loads race: a load gives one version or an error, never a mixture.
    versions = [torch_bytes({"a": torch.full((300_000,), value), "b": torch.full((300_000,), value)})
                for value in (1.0, 2.0)]  # fmt: skip
    store.put("x.pt", versions[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            target = store.folder / "x.pt" if store.folder else None
            if target is None:
                store.put("x.pt", versions[turn % 2])
            else:
                # As any careful writer does: whole, then in its place.
                (store.folder / "new").write_bytes(versions[turn % 2])
                (store.folder / "new").rename(target)

    writer = threading.Thread(target=write)
    writer.start()
    outcomes = set()
    try:
        for _ in range(25):
            try:
                value = jg.load(f"{store.name}://x.pt", device="cpu")
            except ObjectChangedError:
                outcomes.add("changed")
                continue
            seen = {float(one) for tensor in value.values() for one in (tensor.min(), tensor.max())}
            assert seen in ({1.0}, {2.0})
            outcomes.add("whole")
    finally:
        stop.set()
        writer.join()
    assert outcomes


def test_deleted_between_header_and_data(store: Store) -> None:
    store.put("x.pt", torch_bytes({"w": torch.randn(100_000)}))
    opened = LOOP.run(open_tensors(f"{store.name}://x.pt"))
    plan = make_plan(opened.file)
    if store.container is not None:
        store.container.delete_blob("x.pt")
    else:
        (store.folder / "x.pt").unlink()
    with pytest.raises((NotFoundError, ObjectChangedError)):
        LOOP.run(read_plan(opened.readers, on_host(plan), Progress(plan.bytes_read), ring_bytes=64 << 20))
