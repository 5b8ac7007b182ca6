"""A pinned reader: its counters are what the wire carries, and an interrupt closes its socket."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import HEAD_BYTES, open_reader
from tests.conftest import Azurite, azure_fields, write_connections
from tests.storage.servers import proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store

# What the answers' headers may weigh, at most.
REPLY_HEADER_BYTES = 2000


@pytest.fixture
def big(store: Store) -> Store:
    store.put("big", bytes(range(256)) * 4096)
    return store


def test_opening_is_one_request(big: Store) -> None:
    reader = LOOP.run(open_reader(f"{big.name}://big"))
    assert (reader.requests, reader.bytes_read, len(reader.head)) == (1, HEAD_BYTES, HEAD_BYTES)


def test_head_is_read_from_memory(big: Store) -> None:
    reader = LOOP.run(open_reader(f"{big.name}://big"))
    assert LOOP.run(reader.read(256, 512)) == bytes(range(256))
    assert LOOP.run(reader.read(HEAD_BYTES - 1, HEAD_BYTES)) == b"\xff"
    assert reader.requests == 1
    assert LOOP.run(reader.read(HEAD_BYTES - 1, HEAD_BYTES + 1)) == b"\xff\x00"
    assert (reader.requests, reader.bytes_read) == (2, HEAD_BYTES + 1), "only what the head does not have"


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 2**20 + 1), (2**63, 2**63 + 1)])
def test_range_outside(big: Store, start: int, stop: int) -> None:
    reader = LOOP.run(open_reader(f"{big.name}://big"))
    with pytest.raises(TensorFormatError, match="does not have") as caught:
        LOOP.run(reader.read(start, stop))
    assert caught.value.hint


@pytest.mark.parametrize("key", ["big", "a//big"], ids=["by ranges client", "by the SDK"])
def test_counters_are_what_the_wire_carries(azurite: Azurite, azure_store: Store, tmp_path: Path, key: str) -> None:
    azure_store.put(key, bytes(1 << 20))
    fields = azure_fields(azurite, azure_store.container.container_name)
    with proxy(azurite.port) as wire:
        address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights={**fields, "endpoint": address})
        reader = LOOP.run(open_reader(f"weights://{key}"))
        LOOP.run(reader.read(100_000, 400_000))
        counted = wire.bytes_down
    assert reader.bytes_read == HEAD_BYTES + 300_000
    assert reader.bytes_read <= counted <= reader.bytes_read + reader.requests * REPLY_HEADER_BYTES


@pytest.mark.parametrize("key", ["big", "a//big"], ids=["by ranges client", "by the SDK"])
@pytest.mark.parametrize("stall_after", [None, 200_000], ids=["never answers", "stalls in the body"])
def test_interrupt_closes_the_socket(
    azurite: Azurite, azure_store: Store, tmp_path: Path, stall_after: int | None, key: str
) -> None:
    azure_store.put(key, bytes(4 << 20))
    fields = azure_fields(azurite, azure_store.container.container_name)
    with proxy(azurite.port if stall_after else None, stall_after) as wire:
        address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights={**fields, "endpoint": address})
        sent: list[float] = []

        def interrupt() -> None:
            assert wire.stalled.wait(10)
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()

        async def read_all() -> None:
            reader = await open_reader(f"weights://{key}")
            await reader.read(0, 4 << 20)

        with pytest.raises(KeyboardInterrupt):
            LOOP.run(read_all())
        assert time.monotonic() - sent[0] < 1
        assert wire.client_closed.wait(2)
