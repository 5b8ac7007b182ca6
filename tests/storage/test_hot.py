"""Reads through the cache of hot data, on real storage behind a wire that counts the requests."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import (
    BadRequestError,
    BadStorageReplyError,
    DeniedError,
    GpuExtError,
    NotFoundError,
    ObjectChangedError,
)
from jupyter_gpu_ext.storage import hot
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import HEAD_BYTES, open_reader
from tests.conftest import AZURITE_KEY, azure_fields, write_connections
from tests.faults.proxy import Fault, FaultProxy, Rule, fault_proxy
from tests.storage.clouds import S3_KEYS, s3_fields

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Azurite, Store
    from tests.faults.proxy import Message

SIZE = 3 << 20
DATA = random.Random(11).randbytes(SIZE)
NEW = random.Random(12).randbytes(SIZE)


@dataclass
class Wired:
    """A connection through a wire that counts."""

    store: Store
    wire: FaultProxy
    url: str

    def asked(self) -> list[str]:
        """Return the requests since the last call."""
        found = [line for line, _ in self.wire.log]
        self.wire.log.clear()
        return found


each_cloud = pytest.mark.parametrize("wired", ["azure", "s3"], indirect=True)


@pytest.fixture
def wired(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wired]:
    """Return a connection to Azurite, or to the cloud that the test names."""
    cloud = getattr(request, "param", "azure")
    store = request.getfixturevalue(f"{cloud}_store")
    azurite: Azurite | None = request.getfixturevalue("azurite") if cloud == "azure" else None
    with fault_proxy(azurite.port if azurite else store.port) as wire:
        if azurite:
            fields = azure_fields(azurite, store.container.container_name)
            fields |= {"endpoint": azurite.endpoint.replace(str(azurite.port), str(wire.port))}
        else:
            fields = s3_fields(store, wire.port)
        write_connections(tmp_path / "connections.toml", **{store.name: fields})
        store.put("big", DATA)
        yield Wired(store, wire, f"{store.name}://big")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ask for the cache, in a folder of its own."""
    folder = tmp_path / "hot"
    monkeypatch.setenv("JUPYTER_GPU_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def nothing_is_paused() -> Iterator[None]:
    yield
    hot._PAUSED.clear()


def read(url: str, start: int, stop: int, *, cache: bool | None = None) -> tuple[bytes, int, int]:
    """Return the bytes, how many requests that took besides the first, and how many bytes the cache gave."""

    async def go() -> tuple[bytes, int, int]:
        reader = await open_reader(url, cache=cache)
        data = await reader.read(start, stop)
        return data, reader.requests - 1, reader.bytes_cached

    return LOOP.run(go())


def segments(place: Path) -> list[Path]:
    return sorted(place.glob("objects/*/*.seg"))


@each_cloud
def test_a_second_read_asks_for_the_version_alone(wired: Wired, place: Path) -> None:
    assert read(wired.url, 100_000, 2_000_000) == (DATA[100_000:2_000_000], 1, 0)
    assert len(wired.asked()) == 2
    for _ in range(2):
        assert read(wired.url, 100_000, 2_000_000) == (DATA[100_000:2_000_000], 0, 1_900_000)
        assert len(wired.asked()) == 1


@pytest.mark.parametrize(
    ("start", "stop", "requests", "cached"),
    [
        (600_000, 700_000, 0, 100_000),
        (400_000, 1_100_000, 2, 500_000),
        (0, 600_000, 1, 100_000),
        (1_000_000, SIZE, 1, 0),
        (0, HEAD_BYTES, 0, 0),
        (HEAD_BYTES - 1, HEAD_BYTES + 1, 1, 0),
    ],
)
def test_the_gaps_alone_are_fetched(
    wired: Wired, place: Path, start: int, stop: int, requests: int, cached: int
) -> None:
    read(wired.url, 500_000, 1_000_000)
    wired.asked()
    assert read(wired.url, start, stop) == (DATA[start:stop], requests, cached)
    assert len(wired.asked()) == requests + 1
    assert read(wired.url, start, stop)[1:] == (0, max(stop - max(start, HEAD_BYTES), 0))


@each_cloud
def test_a_replaced_object_is_never_taken_for_the_old_one(wired: Wired, place: Path) -> None:
    assert read(wired.url, 0, SIZE)[0] == DATA
    wired.store.put("big", NEW)
    assert read(wired.url, 0, SIZE) == (NEW, 1, 0)
    assert read(wired.url, 0, SIZE) == (NEW, 0, SIZE - HEAD_BYTES)


def test_an_open_reader_keeps_to_its_version(wired: Wired, place: Path) -> None:
    async def go() -> bytes:
        reader = await open_reader(wired.url)
        before = await reader.read(500_000, 1_000_000)
        await asyncio.to_thread(wired.store.put, "big", NEW)
        with pytest.raises(ObjectChangedError):
            await reader.read(400_000, 1_000_000)
        assert await reader.read(500_000, 1_000_000) == before
        return before

    assert LOOP.run(go()) == DATA[500_000:1_000_000]


@each_cloud
@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "empty"])
def test_what_is_damaged_is_fetched_again(wired: Wired, place: Path, damage: str) -> None:
    read(wired.url, 100_000, 2_000_000)
    (path,) = segments(place)
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"flip": bytes([whole[0] ^ 1]) + whole[1:], "cut": whole[:-5], "empty": b""}[damage])
    assert read(wired.url, 100_000, 2_000_000) == (DATA[100_000:2_000_000], 1, 0)
    assert read(wired.url, 100_000, 2_000_000) == (DATA[100_000:2_000_000], 0, 1_900_000)


def test_a_flip_on_the_wire_that_a_checksum_shows_does_not_stay(wired: Wired, place: Path) -> None:
    from azure.storage.blob import ContentSettings

    def ranged(request: Message) -> bool:
        asked = request.header("Range") or request.header("x-ms-range")
        return asked != "" and not asked.startswith("bytes=0-")

    async def whole() -> bytes:
        return await (await open_reader(wired.url)).read_all()

    settings = ContentSettings(content_md5=bytearray(hashlib.md5(DATA).digest()))
    wired.store.container.get_blob_client("big").set_http_headers(settings)
    wired.wire.rules.append(Rule(Fault("flip"), times=1, when=ranged))
    with pytest.raises(BadStorageReplyError, match="checksum"):
        LOOP.run(whole())
    assert segments(place) == []
    assert LOOP.run(whole()) == LOOP.run(whole()) == DATA


@pytest.mark.parametrize("harm", ["lost", "a file", "others may write", "not ours", "wrong size"])
def test_a_read_does_without_a_cache_that_is_no_use(
    wired: Wired, place: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    read(wired.url, 100_000, 200_000)
    match harm:
        case "lost":
            shutil.rmtree(place)
        case "a file":
            shutil.rmtree(place)
            place.write_text("mine")
        case "others may write":
            place.chmod(0o777)
        case "not ours":
            shutil.rmtree(place)
            (place / "thesis").mkdir(parents=True)
        case "wrong size":
            monkeypatch.setenv("JUPYTER_GPU_CACHE_BYTES", "much")
    for _ in range(2):
        assert read(wired.url, 100_000, 2_000_000)[0] == DATA[100_000:2_000_000]
    if harm in ("others may write", "not ours", "wrong size"):
        for call in (lambda: read(wired.url, 100_000, 200_000, cache=True), jg.cache.ls, jg.cache.clear):
            with pytest.raises(GpuExtError) as caught:
                call()
            assert caught.value.hint
        assert read(wired.url, 100_000, 200_000)[0] == DATA[100_000:200_000]


def test_a_folder_lost_while_it_is_read(wired: Wired, place: Path) -> None:
    async def go() -> list[bytes]:
        reader = await open_reader(wired.url)
        found = [await reader.read(100_000, 200_000)]
        await asyncio.to_thread(shutil.rmtree, place)
        found += [await reader.read(100_000, 200_000), await reader.read(300_000, 400_000)]
        return found

    assert LOOP.run(go()) == [DATA[100_000:200_000]] * 2 + [DATA[300_000:400_000]]


@pytest.mark.parametrize("options", ["size=300k,mode=700", "size=8m,mode=700"])
@pytest.mark.parametrize("read_only", [False, True], ids=["full", "read-only"])
def test_a_small_disk_is_read_right(wired: Wired, place: Path, options: str, read_only: bool) -> None:
    place.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        read(wired.url, 100_000, 150_000)
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        for _ in range(2):
            assert read(wired.url, 0, SIZE)[0] == DATA
        asked = read(wired.url, 100_000, 150_000)
        assert asked[0] == DATA[100_000:150_000]
        if read_only:
            assert asked[1:] == (0, 50_000)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_what_is_asked_decides(wired: Wired, place: Path) -> None:
    read(wired.url, 100_000, 200_000, cache=False)
    assert not place.exists()
    read(wired.url, 100_000, 200_000)
    assert len(segments(place)) == 1
    assert read(wired.url, 100_000, 200_000, cache=False)[1:] == (1, 0)


def test_it_is_off_unless_asked_for(wired: Wired, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert read(wired.url, 100_000, 200_000)[1:] == (1, 0)
    assert read(wired.url, 100_000, 200_000)[1:] == (1, 0)
    assert not (tmp_path / "xdg").exists()
    assert read(wired.url, 100_000, 200_000, cache=True)[1:] == (1, 0)
    assert read(wired.url, 100_000, 200_000, cache=True)[1:] == (0, 100_000)
    assert jg.cache.ls().folder == str(tmp_path / "xdg" / "jupyter_gpu_ext" / "blobs")


def test_what_lies_here_is_not_cached(local_store: Store, place: Path) -> None:
    local_store.put("big", DATA)
    assert read("disk://big", 100_000, 200_000, cache=True) == (DATA[100_000:200_000], 1, 0)
    assert not place.exists()
    with pytest.raises(BadRequestError, match="gains nothing"):
        jg.cache.warm("disk://big")


@each_cloud
def test_a_file_of_fsspec_and_a_load_share_it(wired: Wired, place: Path) -> None:
    import safetensors.torch
    import torch

    wired.store.put("x.safetensors", safetensors.torch.save({"w": torch.arange(300_000.0)}))
    url = f"{wired.store.name}://x.safetensors"
    assert torch.equal(jg.load(url, device="cpu")["w"], torch.arange(300_000.0))
    wired.asked()
    assert torch.equal(jg.load(url, device="cpu")["w"], torch.arange(300_000.0))
    with jg.open(url) as file:
        file.seek(200_000)
        assert len(file.read(100_000)) == 100_000
    # One for each opening.
    assert len(wired.asked()) == 2
    assert len(segments(place)) == 1


def test_many_reads_at_once_are_right(wired: Wired, place: Path) -> None:
    draw = random.Random(3)
    spans = [sorted((draw.randrange(SIZE), draw.randrange(SIZE))) for _ in range(40)]

    async def go() -> list[bytes]:
        readers = [await open_reader(wired.url) for _ in range(4)]
        return await asyncio.gather(*(readers[i % 4].read(a, b) for i, (a, b) in enumerate(spans)))

    for _ in range(2):
        assert LOOP.run(go()) == [DATA[a:b] for a, b in spans]
    assert read(wired.url, 0, SIZE)[0] == DATA


def test_a_cancelled_read_keeps_nothing_wrong(wired: Wired, place: Path) -> None:
    async def go(after: float) -> None:
        reader = await open_reader(wired.url)
        buffer = bytearray(SIZE)
        task = asyncio.ensure_future(reader.read_into(0, memoryview(buffer)))
        await asyncio.sleep(after)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # The owner goes on with its buffer.
        buffer[:] = bytes(SIZE)

    for step in range(8):
        LOOP.run(go(step / 300))
        assert read(wired.url, 0, SIZE)[0] == DATA
        jg.cache.clear()


@each_cloud
def test_no_secret_is_in_the_folder(wired: Wired, place: Path) -> None:
    read(wired.url, 100_000, 200_000)
    text = b"".join(one.read_bytes() + str(one).encode() for one in place.rglob("*") if one.is_file())
    assert b'"big"' in text
    assert AZURITE_KEY.encode() not in text
    assert S3_KEYS[1].encode() not in text


def test_names_of_versions_differ_where_the_bytes_may() -> None:
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.storage.models import Version

    base: dict[str, Any] = {"name": "a", "root": "s3://b/c"}
    others = [{"root": "s3://b"}, {"root": "gs://b/c"}, {"endpoint": "http://x"}, {"profile": "p"}, {"region": "r"}]
    names = [hot.name_of(Connection(**{**base, **one}), "k", Version(5, '"e"')) for one in [{}, *others]]
    names += [hot.name_of(Connection(**base), *one)
              for one in (("c/k", Version(5, '"e"')), ("k", Version(6, '"e"')), ("k", Version(5, '"f"')))]  # fmt: skip
    strings = [{"name": name, "root": "az://b", "credential": "connection-string"} for name in ("x", "y")]
    names += [hot.name_of(Connection(**one), "k", Version(5, '"e"')) for one in strings]
    assert len(set(names)) == len(names) == 11
    same = Connection(**{**base, "name": "other", "read_only": False, "secret": "env:X"})
    assert hot.name_of(same, "k", Version(5, '"e"')) == names[0]


@each_cloud
def test_a_prefix_is_warmed_and_listed_and_cleared(wired: Wired, place: Path) -> None:
    name = wired.store.name
    wired.store.put("run/a b#.bin", DATA[:500_000])
    wired.store.put("run/sub/c.bin", DATA[:700_000])
    wired.store.put("run/small", b"1")
    wired.store.put("run2/d.bin", DATA[:600_000])
    seen: list[Any] = []
    done = jg.cache.warm(f"{name}://run/", report=seen.append)
    assert (done.object_count, done.small_count, done.skipped) == (2, 1, [])
    assert (done.fetched_bytes, done.present_bytes) == (1_200_000, 0)
    assert "2 objects held: 1.2 MB fetched" in str(done)
    wired.asked()
    assert read(f"{name}://run/sub/c.bin", 0, 700_000)[1:] == (0, 700_000 - HEAD_BYTES)
    again = jg.cache.warm(f"{name}://run")
    assert again.present_bytes == 1_200_000 - 2 * HEAD_BYTES
    assert jg.cache.warm(wired.url).object_count == 1
    listed = jg.cache.ls().to_json()
    assert {(one["connection"], one["key"], one["size_bytes"]) for one in listed["objects"]} == {
        (name, "run/a b#.bin", 500_000),
        (name, "run/sub/c.bin", 700_000),
        (name, "big", SIZE),
    }
    assert listed["held_bytes"] == sum(one["held_bytes"] for one in listed["objects"])
    assert f"{name}://run/a b#.bin" in str(jg.cache.ls())
    assert jg.cache.clear(f"{name}://run").object_count == 0
    assert jg.cache.clear(f"{name}://run/sub/c.bin").object_count == 1
    assert jg.cache.clear(f"{name}://run/").object_count == 1
    assert jg.cache.clear("other://").object_count == 0
    assert jg.cache.clear(f"{name}://").object_count == 1
    assert segments(place) == []
    assert str(jg.cache.clear()) == f"removed 0 objects, 0 B, from {place}"


def test_what_has_no_room_is_left_out(wired: Wired, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_GPU_CACHE_BYTES", "2MiB")
    wired.store.put("a", DATA[:1_000_000])
    wired.store.put("c", DATA[:900_000])
    done = jg.cache.warm(f"{wired.store.name}://")
    assert [url for url, _ in done.skipped] == [wired.url]
    assert "no room for 3.1 MB in 2.1 MB" in str(done)
    assert done.object_count == 2
    for key in ("a", "c"):
        assert read(f"{wired.store.name}://{key}", 0, 900_000)[1] == 0


def test_a_folder_that_keeps_nothing_is_said(wired: Wired, place: Path) -> None:
    place.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        os.environ["JUPYTER_GPU_CACHE_BYTES"] = "1GiB"
        done = jg.cache.warm(wired.url)
    finally:
        del os.environ["JUPYTER_GPU_CACHE_BYTES"]
        subprocess.run(["umount", str(place)], check=True)
    assert done.object_count == 0
    assert "could not be kept" in str(done)


def test_what_is_not_there_cannot_be_warmed(wired: Wired, place: Path) -> None:
    for url in ("none", "none/"):
        with pytest.raises(NotFoundError):
            jg.cache.warm(f"{wired.store.name}://{url}")
    with pytest.raises(NotFoundError, match="no connection"):
        jg.cache.warm("nowhere://x")
    place.chmod(0o777)
    with pytest.raises(DeniedError):
        jg.cache.warm(wired.url)


def test_a_folder_of_others_is_not_cleared(place: Path) -> None:
    thesis = place / "objects" / ("0" * 40) / "0-5.seg"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("mine")
    for call in (jg.cache.clear, jg.cache.ls):
        with pytest.raises(BadRequestError, match="no cache of jupyter_gpu_ext"):
            call()
    assert thesis.read_text() == "mine"
