"""A writer's object is whole or not there: on every provider, under faults, kills and rivals."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.errors import DeniedError, ExistsError, GpuExtError, NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage import backends
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.retry import Schedule
from jupyter_gpu_ext.storage.writer import Writer, open_writer
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, Azurite, azure_fields, write_connections
from tests.faults.proxy import Fault, FaultProxy, Message, Rule, fault_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import Entry

BLOCK = 8 << 20
DATA = random.Random(5).randbytes(3 * BLOCK + 5)


@pytest.fixture(params=["azure", "local", "memory"])
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A connection of each kind that can be written to."""
    if request.param == "azure":
        request.getfixturevalue("azure_writable")
        return "weights"
    root = f"memory://{tmp_path.name}" if request.param == "memory" else str(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    write_connections(tmp_path / "connections.toml", here={"root": root, "read_only": False})
    return "here"


@pytest.fixture
def azure_writable(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The connection `weights://`, not read-only; returns its fields."""
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    fields = {**azure_fields(azurite, azurite.new_container().container_name), "read_only": False}
    write_connections(tmp_path / "connections.toml", weights=fields)
    return fields


@contextmanager
def broken(azurite: Azurite, fields: dict[str, object], folder: Path, *rules: Rule) -> Iterator[FaultProxy]:
    with fault_proxy(azurite.port, *rules) as wire:
        address = azurite.endpoint.replace(str(azurite.port), str(wire.port))
        write_connections(folder / "connections.toml", weights={**fields, "endpoint": address})
        yield wire
        backends.close_all()
    write_connections(folder / "connections.toml", weights=fields)


async def write(url: str, data: bytes, piece: int = 1 << 20, **options: object) -> Entry:
    writer = await open_writer(url, **options)
    for start in range(0, len(data), piece):
        await writer.write(data[start : start + piece])
    return await writer.commit()


async def content(url: str) -> bytes:
    return await (await open_reader(url)).read_all()


def of_block(request: Message) -> bool:
    return request.line.startswith("PUT") and "comp=block&" in request.line.replace(" ", "&")


def of_commit(request: Message) -> bool:
    return request.line.startswith("PUT") and "comp=blocklist" in request.line


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, len(DATA)])
def test_round_trip(name: str, size: int) -> None:
    entry = LOOP.run(write(f"{name}://new/x", DATA[:size], piece=5_000_000))
    assert (entry.key, entry.size_bytes) == ("new/x", size)
    assert hashlib.sha256(LOOP.run(content(f"{name}://new/x"))).digest() == hashlib.sha256(DATA[:size]).digest()


def test_what_is_there_stays_unless_it_is_to_be_replaced(name: str) -> None:
    url = f"{name}://x"
    LOOP.run(write(url, b"one"))
    with pytest.raises(ExistsError):
        LOOP.run(write(url, b"two"))
    assert LOOP.run(content(url)) == b"one"
    LOOP.run(write(url, b"two", overwrite=True))
    assert LOOP.run(content(url)) == b"two"


@pytest.mark.parametrize("overwrite", [False, True])
def test_of_two_writers_one_wins(name: str, overwrite: bool) -> None:
    url = f"{name}://x"
    if overwrite:
        LOOP.run(write(url, b"before"))

    async def rivals() -> list[object]:
        both = [await open_writer(url, overwrite=overwrite) for _ in range(2)]
        for one, data in zip(both, (b"first", b"second"), strict=True):
            await one.write(data)
        return await asyncio.gather(*(one.commit() for one in both), return_exceptions=True)

    ends = LOOP.run(rivals())
    lost = [end for end in ends if isinstance(end, GpuExtError)]
    assert len(lost) == 1, ends
    assert isinstance(lost[0], ExistsError | ObjectChangedError)
    assert LOOP.run(content(url)) == (b"first" if ends.index(lost[0]) == 1 else b"second")


def test_given_up_and_ended_writers(name: str) -> None:
    url = f"{name}://x"
    LOOP.run(write(url, b"old"))

    async def gives_up() -> Writer:
        writer = await open_writer(url, overwrite=True)
        await writer.write(b"new")
        await writer.abort()
        await writer.abort()
        return writer

    writer = LOOP.run(gives_up())
    for late in (writer.write(b"more"), writer.commit()):
        with pytest.raises(GpuExtError, match="given up") as caught:
            LOOP.run(late)
        assert caught.value.hint
    assert LOOP.run(content(url)) == b"old"


def test_read_only_connection(azurite: Azurite, azure_writable: dict[str, object], tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", weights={**azure_writable, "read_only": True})
    with pytest.raises(DeniedError, match="read-only"):
        LOOP.run(open_writer("weights://x"))


# What breaks, how often, at which request, and whether the object is written all the same.
FAULTS = [
    (Fault("status", 503), 2, of_block, True),
    (Fault("status", 429), 2, of_block, True),
    (Fault("status", 500), 3, of_block, True),
    (Fault("lost"), 2, of_block, True),
    (Fault("rst"), 2, of_block, True),
    (Fault("status", 500), 99, of_block, False),
    (Fault("status", 403), 99, of_block, False),
    (Fault("lost"), 1, of_commit, True),
    (Fault("lost"), 3, of_commit, True),
    (Fault("fin"), 1, of_commit, True),
    (Fault("status", 503), 2, of_commit, True),
    (Fault("status", 500), 99, of_commit, False),
]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("fault", "times", "when", "written"),
    FAULTS,
    ids=[f"{row[0].kind} {row[0].value or ''} x{row[1]} {row[2].__name__}" for row in FAULTS],
)
def test_faults(
    azurite: Azurite, azure_writable: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    fault: Fault, times: int, when: object, written: bool, overwrite: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(backends, "REMOTE", Schedule(first_seconds=0.02))
    url, data = "weights://x", DATA[: BLOCK + 5]
    if overwrite:
        LOOP.run(write(url, b"old"))
    with broken(azurite, azure_writable, tmp_path, Rule(fault, times, when)) as wire:  # type: ignore[arg-type]
        if written:
            assert LOOP.run(write(url, data, overwrite=overwrite)).size_bytes == len(data)
        else:
            with pytest.raises(GpuExtError) as caught:
                LOOP.run(write(url, data, overwrite=overwrite))
            assert caught.value.hint
        assert wire.broken()
    if written:
        assert LOOP.run(content(url)) == data
    elif overwrite:
        assert LOOP.run(content(url)) == b"old"
    else:
        with pytest.raises(NotFoundError):
            LOOP.run(content(url))


def test_resume_sends_what_is_missing(azurite: Azurite, azure_writable: dict[str, object], tmp_path: Path) -> None:
    async def cut_off() -> str:
        writer = await open_writer("weights://x", size_bytes=len(DATA))
        await writer.write(DATA[: 2 * BLOCK])
        while len(await writer._upload.received()) < 2:  # noqa: ASYNC110 -- the provider tells nobody
            await asyncio.sleep(0.01)
        return writer.id

    upload = LOOP.run(cut_off())
    with broken(azurite, azure_writable, tmp_path) as wire:
        LOOP.run(write("weights://x", DATA, size_bytes=len(DATA), resume_id=upload))
        sent = [line for line, _ in wire.log if of_block(Message(line, [], b""))]
    assert len(sent) == 2
    assert LOOP.run(content("weights://x")) == DATA


class SlowUpload:
    """Blocks that wait for a sign; no real store waits on demand."""

    id, block_bytes = "0" * 16, 1000

    def __init__(self) -> None:
        self.sign = asyncio.Event()

    async def put(self, index: int, data: bytes | memoryview) -> None:
        await self.sign.wait()

    async def abort(self) -> None:
        pass


def test_memory_is_bounded() -> None:
    async def fills() -> int:
        upload = SlowUpload()
        writer = Writer("x", upload)  # type: ignore[arg-type]
        task = asyncio.create_task(writer.write(bytes(100_000)))
        deadline = time.monotonic() + 10
        while len(writer._sending) < 4 and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0.001)
        taken = writer.size_bytes
        upload.sign.set()
        await task
        await writer.abort()
        return taken

    assert LOOP.run(fills()) == 5000


CHILD = """
import sys
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.writer import open_writer

async def write(url, version):
    writer = await open_writer(url, overwrite=True)
    for _ in range(5):
        await writer.write(bytes([version]) * 2_000_000)
    await writer.commit()

for version in range(1, 200):
    LOOP.run(write(sys.argv[1], version))
    print(version, flush=True)
"""


def kills(url: str, count: int, seed: int) -> None:
    draw = random.Random(seed)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(count):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        assert child.stdout
        first = child.stdout.readline()
        assert first.strip() == b"1", child.stderr.read() if child.stderr else ""
        time.sleep(draw.uniform(0, 0.3))
        child.kill()
        child.communicate()
        found = LOOP.run(content(url))
        assert len(found) == 10_000_000
        assert found == bytes([found[0]]) * 10_000_000


@pytest.mark.parametrize("name", ["azure", "local"], indirect=True)
def test_killed_writers_leave_whole_objects(name: str) -> None:
    kills(f"{name}://x", 10, seed=1)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["azure", "local"], indirect=True)
def test_200_killed_writers_leave_whole_objects(name: str) -> None:
    kills(f"{name}://x", 100, seed=2)
