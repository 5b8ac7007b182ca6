"""What is said of HDF5 files is what h5py says; nothing leads out of them, and what is damaged is one error."""

from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import (
    BadRequestError,
    GpuExtError,
    NotInstalledError,
    ObjectChangedError,
    StorageTimeoutError,
    UnreachableError,
    UnsupportedFormatError,
)
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.tensors import hdf5
from jupyter_gpu_ext.tensors.api import read_info
from jupyter_gpu_ext.tensors.hdf5 import read_hdf5, read_hdf5_slice
from jupyter_gpu_ext.tensors.hdf5_walk import part_of
from tests.conftest import azure_fields, write_connections
from tests.faults.proxy import fault_proxy
from tests.tensors.hdf5_files import LIBVERS, climate, written

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Azurite, Store


def by_h5py(data: Path) -> dict[str, tuple[Any, ...]]:
    """Return what h5py says of each dataset."""
    found: dict[str, tuple[Any, ...]] = {}

    def look(name: str, one: Any) -> None:
        if isinstance(one, h5py.Dataset):
            found[name] = (list(one.shape or ()), None if one.chunks is None else list(one.chunks), one.nbytes)

    with h5py.File(data, "r") as file:
        file.visititems(look)
    return found


def part(path: str, name: str, *ranges: range, most_bytes: int = 1 << 20) -> np.ndarray:
    async def read() -> np.ndarray:
        return await read_hdf5_slice(await open_reader(path), name, ranges, most_bytes=most_bytes)

    return LOOP.run(read())


@pytest.mark.parametrize("kind", LIBVERS)
def test_equals_h5py(store: Store, tmp_path: Path, kind: str) -> None:
    data = written(climate, **LIBVERS[kind])
    (tmp_path / "x.h5").write_bytes(data)
    store.put("x.h5", data)
    found = jg.info(f"{store.name}://x.h5").to_json()
    rows = {one["name"]: one for one in found["tensors"]}
    expected = by_h5py(tmp_path / "x.h5")
    # 't2m' is met first as 'same': an object is shown once.
    assert {"t2m", "same"} & set(rows) == {"same"}
    assert {"t2m", "same"} & set(expected) <= {"t2m", "same"}
    names = {"same" if name == "t2m" else name: one for name, one in expected.items()}
    assert {name: (row["shape"], row["chunks"], row["size_bytes"]) for name, row in rows.items()
            if name not in ("text", "never")} == {
            name: one for name, one in names.items() if name not in ("text", "never")}  # fmt: skip
    with h5py.File(tmp_path / "x.h5", "r") as file:
        for name, row in rows.items():
            if not row["unreadable"]:
                assert row["dtype"] == file[name].dtype.name
    assert {name for name, row in rows.items() if row["unreadable"]} == {"never", "text", "records"}
    t2m = rows["same"]
    assert (t2m["units"], t2m["long_name"], t2m["standard_name"]) == ("K", "2 metre temperature", "air_temperature")
    assert (t2m["codecs"], t2m["dimensions"]) == (["shuffle", "gzip"], ["time", "x"])
    assert t2m["attributes"]["valid_range"] == [-1.5, "nan"]
    assert rows["deep/deeper/checked"]["codecs"] == ["lzf", "fletcher32"]
    assert rows["time"]["dimensions"] == ["time"]
    assert found["metadata"] == {"title": "a sample", "levels": "[1, 2]"}
    assert [(one["name"], one["attributes"]) for one in found["groups"]] == [("deep", {"k": 1}), ("deep/deeper", {})]
    assert found["links"] == [{"name": "soft", "target": "/deep/deeper/big"}, {"name": "t2m", "target": "/same"}]
    assert found["notes"] == []


def test_shown_as_a_table(local_store: Store) -> None:
    local_store.put("x.h5", written(climate))
    shown = str(jg.info("disk://x.h5"))
    for words in ("hdf5, ", "K, 2 metre temperature", "not read: it holds text", "one piece", "not followed: soft"):
        assert words in shown


@pytest.mark.parametrize("kind", ["old", "new"])
def test_parts_equal_h5py(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(written(climate, **LIBVERS[kind]))
    with h5py.File(path, "r") as file:
        for name, ranges in (
            ("t2m", (range(3, 37, 5), range(30))), ("deep/deeper/big", (range(2), range(0, 3, 2))),
            ("deep/deeper/checked", (range(1, 2), range(4, 30))), ("flag", (range(2),)), ("deep/deeper/scalar", ()),
            ("growing", (range(0), range(5))),
        ):  # fmt: skip
            expected = file[name][tuple(slice(one.start, one.stop, one.step) for one in ranges)]
            found = part(str(path), name, *ranges)
            np.testing.assert_array_equal(found, expected)
            assert (found.dtype, found.shape) == (expected.dtype.newbyteorder("="), np.shape(expected))


CLIMATE = h5py.File(io.BytesIO(written(climate)), "r")


@st.composite
def parts(draw: st.DrawFn) -> tuple[str, list[range]]:
    name = draw(st.sampled_from(["t2m", "deep/deeper/big", "deep/deeper/checked", "x"]))
    chosen = []
    for size in CLIMATE[name].shape:
        start = draw(st.integers(0, size))
        chosen.append(range(start, draw(st.integers(start, size)), draw(st.integers(1, size + 1))))
    return name, chosen


@given(parts())
def test_any_part_equals_h5py(chosen: tuple[str, list[range]]) -> None:
    name, ranges = chosen
    asked = [{"start": one.start, "stop": one.stop, "step": one.step} for one in ranges]
    about, data = part_of(CLIMATE, name, asked, 1 << 20)
    expected = CLIMATE[name][()][tuple(slice(one.start, one.stop, one.step) for one in ranges)]
    np.testing.assert_array_equal(np.frombuffer(data, about["dtype"]).reshape(about["shape"]), expected)


def test_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(written(climate))

    async def run() -> list[Any]:
        return await asyncio.gather(*(read_info(str(path)) for _ in range(6)))

    assert [len(one.file.arrays) for one in LOOP.run(run())] == [12] * 6


@pytest.mark.parametrize("error", [StorageTimeoutError, UnreachableError, ObjectChangedError])
def test_what_storage_says_is_said(tmp_path: Path, error: type[GpuExtError]) -> None:
    """Also where it is a kind of timeout, as the process's own limit is."""
    path = tmp_path / "x.h5"
    path.write_bytes(written(climate) + bytes(100_000))

    async def run() -> None:
        reader = await open_reader(str(path))
        reader.head = reader.head[:100]

        async def read(start: int, stop: int) -> bytes:
            raise error("Storage said so.")

        reader.read = read
        await read_hdf5(reader)

    with pytest.raises(error, match="said so"):
        LOOP.run(run())


def test_an_interrupted_reader_ends_its_process(local_store: Store) -> None:
    local_store.put("x.h5", written(climate))

    def is_reader(one: psutil.Process) -> bool:
        # Another test may have left a process that ended and was not waited for.
        with suppress(psutil.NoSuchProcess):
            return "hdf5_child" in " ".join(one.cmdline())
        return False

    def children() -> list[psutil.Process]:
        return [one for one in psutil.Process().children() if is_reader(one)]

    async def run() -> None:
        asked = asyncio.ensure_future(read_info("disk://x.h5"))
        while not children():  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert not children()

    LOOP.run(run())


@pytest.mark.parametrize(
    ("name", "ranges", "words"),
    [
        ("none", (range(1),), "no dataset of that name"), ("deep", (), "no dataset"),
        ("t2m/x", (), "no dataset of that name"), ("soft", (range(1), range(1)), "not followed"),
        ("text", (range(1),), "holds text"), ("t2m", (range(1),), "2 dimensions"),
        ("t2m", (range(40), range(30)), "up to 1,000 are read"), ("t2m", (range(3, 0, -1), range(3)), "backwards"),
    ],
)  # fmt: skip
def test_parts_that_are_refused(tmp_path: Path, name: str, ranges: tuple[range, ...], words: str) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(written(climate))
    with pytest.raises(BadRequestError, match=words):
        part(str(path), name, *ranges, most_bytes=1000)


def test_nothing_leads_out_of_the_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret.create_dataset("s", data=np.arange(1000), maxshape=(None,))
    (tmp_path / "raw").write_bytes(np.arange(10, dtype="i4").tobytes())

    def fill(file: h5py.File) -> None:
        file["outside"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/s")
        file.create_dataset("raw", shape=(10,), dtype="i4", external=[(str(tmp_path / "raw"), 0, 40)])
        layout = h5py.VirtualLayout(shape=(1000,), dtype="i8", maxshape=(None,))
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "s", shape=(1000,))
        file.create_virtual_dataset("virtual", layout)

    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    found = jg.info(str(path)).to_json()
    rows = {one["name"]: one for one in found["tensors"]}
    assert found["links"] == [{"name": "outside", "target": f"{tmp_path / 'secret.h5'}:/s"}]
    assert (rows["raw"]["shape"], rows["raw"]["unreadable"]) == ([10], "its values lie in another file")
    assert (rows["virtual"]["shape"], "other datasets" in rows["virtual"]["unreadable"]) == ([1000], True)
    for name in ("outside", "raw", "virtual"):
        with pytest.raises(BadRequestError, match="not"):
            part(str(path), name, range(1))


def test_requests_of_info(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    """Metadata that lies scattered is a block of 64 KiB a place, whatever the values take."""
    assert azure_store.container is not None

    def fill(file: h5py.File) -> None:
        for at in range(20):
            file.create_dataset(f"a{at}", data=np.zeros(1 << 17))

    data = written(fill, libver="latest")
    azure_store.put("x.h5", data)
    azure_store.put("small.h5", written(climate))
    with fault_proxy(azurite.port) as wire:
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        found = jg.info("weights://x.h5").to_json()
        assert len(found["tensors"]) == 20
        assert found["requests"] == len(wire.log)
        assert found["bytes_read"] <= len(wire.log) * (64 << 10) < len(data) / 10
        wire.log.clear()
        assert jg.info("weights://small.h5").to_json()["requests"] == len(wire.log) == 1


def test_it_is_shown_and_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(written(climate))
    for work in (jg.load, jg.plan):
        with pytest.raises(UnsupportedFormatError, match=r"h5py\.File\(jg\.open\(url\)\)"):
            work(str(path))
    with jg.open(str(path)) as file, h5py.File(file, "r") as opened:
        assert opened["flag"][0]


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(written(climate))
    monkeypatch.setattr(hdf5, "find_spec", lambda _: None)
    with pytest.raises(NotInstalledError, match=r"jupyter_gpu_ext\[hdf5\]"):
        jg.info(str(path))
