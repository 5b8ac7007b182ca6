"""A stream gives what zarr-python reads: each sample once, in its seed's order, from any store, resumed anywhere."""

from __future__ import annotations

import contextlib
import json
import pickle
import signal
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import DataLoader, IterableDataset
from torchdata.stateful_dataloader import StatefulDataLoader

from jupyter_gpu_ext.datasets.checkpointer import Checkpointer
from jupyter_gpu_ext.datasets.files import files
from jupyter_gpu_ext.datasets.zarr_stream import ZarrStream
from jupyter_gpu_ext.errors import BadRequestError, NotFoundError, ObjectChangedError, TensorFormatError
from jupyter_gpu_ext.export.gather import gather
from jupyter_gpu_ext.job.lock import Locked
from tests.conftest import azure_fields, write_connections
from tests.datasets.stores import ENTRIES, got, write
from tests.faults.proxy import Fault, Rule, fault_proxy
from tests.tensors.zarr_stores import upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Azurite, Store
    from tests.faults.proxy import Message

KINDS = [(2, False), (3, False), (3, True)]


@pytest.fixture
def path(tmp_path: Path) -> str:
    write(tmp_path / "train.zarr")
    return str(tmp_path / "train.zarr")


@pytest.mark.parametrize(("version", "sharded"), KINDS)
def test_each_sample_once(store: Store, tmp_path: Path, version: int, sharded: bool) -> None:
    values = write(tmp_path / "written", version, sharded=sharded)
    upload(tmp_path / "written", store, "deep/train.zarr")
    stream = ZarrStream(f"{store.name}://deep/train.zarr", ["x", "y"]).shuffle(seed=3, buffer=20)
    assert isinstance(stream, IterableDataset)
    seen = []
    for sample in stream:
        at = int(sample["y"])
        seen.append(at)
        np.testing.assert_array_equal(sample["x"].numpy(), values["x"][at])
    assert sorted(seen) == list(range(ENTRIES))
    assert seen != sorted(seen)
    assert len(stream) == ENTRIES


@pytest.mark.parametrize(("version", "sharded"), KINDS)
def test_each_chunk_is_asked_for_once(local_store: Store, tmp_path: Path, version: int, sharded: bool) -> None:
    write(tmp_path / "written", version, sharded=sharded)
    upload(tmp_path / "written", local_store, "train.zarr")
    stream = ZarrStream("disk://train.zarr").shuffle(buffer=20).batch(7)
    count = sum(1 for _ in stream)
    assert count == len(stream) == 9
    report = stream.report()
    assert report.decoded_bytes == report.used_bytes == ENTRIES * (8 * 4 + 8)
    # A chunk is asked for once, written or not; a shard's chunks take one more. Then the metadata is looked at.
    objects = 10 + (5 if sharded else 30)
    assert objects <= report.requests <= objects + (5 if sharded else 0) + 5
    assert str(report).startswith("9 items of 60 samples in ")


def test_windows(path: str, tmp_path: Path) -> None:
    values = write(tmp_path / "w.zarr")
    stream = ZarrStream(path, window=(10, 3)).shuffle(buffer=8).batch(4)
    starts = []
    for batch in stream:
        for x, y in zip(batch["x"].numpy(), batch["y"].numpy(), strict=True):
            starts.append(int(y[0]))
            np.testing.assert_array_equal(y, np.arange(y[0], y[0] + 10))
            np.testing.assert_array_equal(x, values["x"][y[0] : y[0] + 10])
    assert sorted(starts) == list(range(0, 51, 3))


def test_what_is_kept_is_read_once(path: str) -> None:
    stream = ZarrStream(path).shuffle(seed=1, buffer=20).batch(7)
    plain = [got(stream), stream.set_epoch(1) or got(stream)]
    for most, least_kept in ((1 << 20, ENTRIES * 40), (ENTRIES * 20, 1), (0, 0)):
        kept = stream.cache(most)
        kept.set_epoch(0)
        assert [got(kept), kept.set_epoch(1) or got(kept)] == plain
        report = kept.report()
        assert report.kept_bytes + report.decoded_bytes == ENTRIES * 40
        assert report.kept_bytes >= least_kept
        assert report.kept_bytes <= most
    with pytest.raises(BadRequestError):
        stream.cache(-1)


def test_what_is_kept_goes_when_the_store_changes(path: str) -> None:
    stream = ZarrStream(path).batch(7).cache(1 << 20)
    got(stream)
    zarr.open_group(path)["x"].attrs["k"] = 1
    with pytest.raises(ObjectChangedError):
        got(stream)
    assert got(stream) == list(range(ENTRIES))
    assert stream.report().kept_bytes == 0


def test_select_and_another_axis(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(5, 30), chunks=(2, 4), dtype="i4", dimension_names=["c", "t"])
    array[...] = values = np.arange(150, dtype="i4").reshape(5, 30)
    stream = ZarrStream(str(tmp_path / "a.zarr"), sample_axis="t", select="1:4, 3:27:2").batch(5)
    found = torch.cat(list(stream)).numpy()
    np.testing.assert_array_equal(found, values[1:4, 3:27:2].T)
    one = ZarrStream(str(tmp_path / "a.zarr"), sample_axis=-1, select="2, :").batch(30)
    np.testing.assert_array_equal(next(iter(one)).numpy(), values[2])


def test_coordinates_are_no_samples(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "c.zarr")
    for name, axes in (("time", "t"), ("lat", "y"), ("t2m", "ty"), ("u10", "ty"), ("land", "y")):
        names = [{"t": "time", "y": "lat"}[axis] for axis in axes]
        shape = [{"t": 6, "y": 4}[axis] for axis in axes]
        group.create_array(name, shape=shape, chunks=shape, dtype="f4", dimension_names=names)
    group.create_array("crs", shape=(), dtype="i4")
    url = str(tmp_path / "c.zarr")
    assert set(next(iter(ZarrStream(url, sample_axis="time")))) == {"t2m", "u10"}
    assert set(next(iter(ZarrStream(url, sample_axis="lat")))) == {"t2m", "u10", "land"}
    assert set(next(iter(ZarrStream(url, ["t2m", "time"])))) == {"t2m", "time"}
    assert next(iter(ZarrStream(f"{url}/lat").batch(4))).shape == (4,)
    with pytest.raises(BadRequestError, match="t2m 6"):
        next(iter(ZarrStream(url)))


def test_arrays_of_any_width_share_memory(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "w.zarr", mode="w")
    values = {
        "bytes": np.arange(60 * 7, dtype="i4").astype("i1").reshape(60, 7),
        "doubles": np.arange(60, dtype="f8"),
        "nothing": np.empty((60, 0), "f4"),
        "rows": np.arange(60 * 2000, dtype="f4").reshape(60, 2000),
    }
    for name, one in values.items():
        chunks = (3, *(max(1, size) for size in one.shape[1:]))
        group.create_array(name, shape=one.shape, chunks=chunks, dtype=one.dtype)[...] = one
    for memory_bytes in (1, 100_000, 10_000_000):
        batches = list(ZarrStream(str(tmp_path / "w.zarr"), memory_bytes=memory_bytes).shuffle(buffer=9).batch(8))
        found = {name: np.concatenate([one[name].numpy() for one in batches]) for name in values}
        order = found["doubles"].astype(int)
        assert sorted(order) == list(range(60))
        for name, one in values.items():
            np.testing.assert_array_equal(found[name], one[order])


def test_decoded_as_xarray_does(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "t.zarr", shape=(6,), chunks=(4,), dtype="i2", attributes={"scale_factor": 0.5, "_FillValue": -1}
    )
    array[...] = np.array([1, 2, -1, 4, 5, 6], "i2")
    found = torch.stack(list(ZarrStream(str(tmp_path / "t.zarr")))).numpy()
    np.testing.assert_array_equal(found, [0.5, 1.0, np.nan, 2.0, 2.5, 3.0])
    raw = torch.stack(list(ZarrStream(str(tmp_path / "t.zarr"), raw=True))).numpy()
    np.testing.assert_array_equal(raw, [1, 2, -1, 4, 5, 6])


def test_chain(path: str) -> None:
    stream = ZarrStream(path)
    even = stream.filter(lambda sample: int(sample["y"]) % 2 == 0).map(lambda sample: {"y": sample["y"] * 10})
    batches = list(even.batch(8, drop_last=True))
    assert [batch["y"].tolist() for batch in batches] == [list(range(at, at + 160, 20)) for at in (0, 160, 320)]
    assert [len(one["y"]) for one in even.batch(8)] == [8, 8, 8, 6]
    listed = stream.batch(25, collate=lambda samples: [int(one["y"]) for one in samples])
    assert list(listed) == [list(range(25)), list(range(25, 50)), list(range(50, 60))]
    assert list(listed.map(len).filter(lambda count: count == 25)) == [25, 25]
    assert got(stream) == list(range(ENTRIES))
    with pytest.raises(TypeError, match="no length"):
        len(even)


def test_to_cpu_with_a_type(path: str) -> None:
    batch = next(iter(ZarrStream(path).batch(7).to("cpu", "bf16")))
    assert (batch["x"].dtype, batch["y"].dtype) == (torch.bfloat16, torch.int64)
    with pytest.raises(BadRequestError, match="no floating point type"):
        ZarrStream(path).to("cpu", "int8")


def test_what_it_says_of_itself() -> None:
    stream = (
        ZarrStream("https://a.blob.core.windows.net/c/t.zarr?sig=c2VjcmV0c2VjcmV0c2VjcmV0").shuffle(seed=3).batch(8)
    )
    assert repr(stream) == (
        "ZarrStream('https://a.blob.core.windows.net/c/t.zarr?sig=***').shuffle(seed=3, buffer=1024).batch(8)"
    )


def test_samples_are_copies(path: str) -> None:
    for batch in ZarrStream(path).batch(7):
        batch["y"].zero_()
    kept = list(ZarrStream(path, memory_bytes=1).batch(7))
    assert torch.cat([one["y"] for one in kept]).tolist() == list(range(ENTRIES))


@pytest.mark.parametrize("prefetch", [0, 3])
def test_epochs(path: str, prefetch: int) -> None:
    stream = ZarrStream(path).shuffle(seed=5, buffer=30).batch(7).prefetch(prefetch)
    first = got(stream)
    assert got(stream) == first
    stream.set_epoch(1)
    second = got(stream)
    assert sorted(second) == sorted(first) == list(range(ENTRIES))
    assert second != first
    again = ZarrStream(path, memory_bytes=100).shuffle(seed=5, buffer=30).batch(7)
    assert sorted(got(again)) == list(range(ENTRIES))


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("after", [0, 1, 4, 9])
def test_resume(path: str, after: int, prefetch: int) -> None:
    def stream() -> ZarrStream:
        made = ZarrStream(path, ["x", "y"]).shuffle(seed=2, buffer=25).filter(lambda one: int(one["y"]) != 30)
        return made.batch(7).prefetch(prefetch)

    whole = stream()
    whole.set_epoch(4)
    expected = got(whole)
    broken = stream()
    broken.set_epoch(4)
    reading = iter(broken)
    came = [int(y) for _ in range(after) for y in next(reading)["y"]]
    state = json.loads(json.dumps(broken.state_dict()))
    reading.close()
    rest = stream()
    rest.load_state_dict(state)
    rest.set_epoch(4)
    assert rest.state_dict() == state
    assert came + got(rest) == expected
    assert got(rest) == expected


def test_a_resume_reads_only_what_is_left(path: str) -> None:
    stream = ZarrStream(path).batch(6)
    reading = iter(stream)
    for _ in range(9):
        next(reading)
    state = stream.state_dict()
    reading.close()
    rest = ZarrStream(path).batch(6)
    rest.load_state_dict(state)
    assert len(list(rest)) == 1
    assert rest.report().decoded_bytes == 12 * 40


def test_state_of_another_stream(path: str) -> None:
    stream = ZarrStream(path).shuffle(seed=1)
    state = stream.state_dict()
    for other in (ZarrStream(path).shuffle(seed=2), ZarrStream(path, select="0:30").shuffle(seed=1)):
        other.load_state_dict(state)
        with pytest.raises(BadRequestError, match="another order"):
            next(iter(other))
    stream.load_state_dict({**state, "reader": {**state["reader"], "world": 2}})
    with pytest.raises(BadRequestError, match="rank 0 of 2"):
        next(iter(stream))
    with pytest.raises(BadRequestError, match="no state"):
        stream.load_state_dict({})


@pytest.mark.parametrize("kind", ["plain", "filter", "skip"])
@pytest.mark.parametrize("after", [1, 3, None])
def test_one_state_serves_all_ranks(path: str, monkeypatch: pytest.MonkeyPatch, kind: str, after: int | None) -> None:
    def stream(rank: int) -> ZarrStream:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        made = ZarrStream(path, on_error="skip" if kind == "skip" else "raise", memory_bytes=16 * 480)
        made = made.shuffle(seed=2, buffer=20)
        # Ranks are not at the same sample then.
        return (made.filter(lambda one: int(one["y"]) % 5) if kind == "filter" else made).batch(4).prefetch(1)

    if kind == "skip":
        damage(path, "x/c/5/0/0")
    expected = [[one["y"].tolist() for one in stream(rank)] for rank in range(2)]
    first = stream(0)
    for number, _ in enumerate(first, start=1):
        if number == after:
            break
    state = json.loads(json.dumps(first.state_dict()))
    for rank in range(2):
        rest = stream(rank)
        rest.load_state_dict(state)
        came = expected[rank][after:] if after else []
        assert [one["y"].tolist() for one in rest] == came
        assert rest.state_dict()["reader"]["rank"] == rank
        if kind == "plain":
            # Nothing that came is made again.
            assert rest.report().samples == sum(map(len, came))


def test_ranks_have_equal_shares(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for uneven, count in (("drop", 8), ("pad", 9)):
        came = []
        for rank in range(7):
            monkeypatch.setenv("RANK", str(rank))
            monkeypatch.setenv("WORLD_SIZE", "7")
            stream = ZarrStream(path, uneven=uneven).shuffle(seed=1, buffer=10)
            assert len(stream) == count
            came.append(got(stream))
        assert {len(one) for one in came} == {count}
        found = [sample for one in came for sample in one]
        assert len(set(found)) == (56 if uneven == "drop" else 60)


@pytest.mark.parametrize("context", ["spawn", pytest.param("forkserver", marks=pytest.mark.prove)])
def test_workers(path: str, context: str) -> None:
    stream = ZarrStream(path).shuffle(seed=1, buffer=10).batch(7)
    loader = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context=context)
    batches = [one["y"] for one in loader]
    assert len(batches) == len(loader) == len(stream)
    assert sorted(torch.cat(batches).tolist()) == list(range(ENTRIES))
    assert sorted(map(len, batches)) == [4, *[7] * 8]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_workers_go_on_where_they_were(path: str) -> None:
    def loader() -> StatefulDataLoader:
        stream = ZarrStream(path).shuffle(seed=1, buffer=10).batch(7)
        return StatefulDataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="spawn")

    whole = [batch["y"].tolist() for batch in loader()]
    broken = loader()
    reading = iter(broken)
    came = [next(reading)["y"].tolist() for _ in range(3)]
    state = broken.state_dict()
    del reading
    rest = loader()
    rest.load_state_dict(state)
    assert came + [batch["y"].tolist() for batch in rest] == whole


@pytest.mark.prove
@pytest.mark.usefixtures("local_out")
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_checkpointer_keeps_where_workers_are(path: str) -> None:
    def loader() -> StatefulDataLoader:
        stream = ZarrStream(path).shuffle(seed=1, buffer=10).batch(7)
        return StatefulDataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="spawn")

    first, came = loader(), []
    with Checkpointer("out://run/") as checkpoints:
        assert checkpoints.restore(data=first) == 0
        for step, batch in enumerate(first):
            came.append(batch["y"].tolist())
            if step == 2:
                checkpoints.save(step)
                break
    second = loader()
    with Checkpointer("out://run/") as checkpoints:
        assert checkpoints.restore(data=second) == 3
    assert came + [batch["y"].tolist() for batch in second] == [batch["y"].tolist() for batch in loader()]


def test_the_stream_of_workers_has_no_state_of_its_own(path: str) -> None:
    stream = ZarrStream(path).batch(7)
    loader = DataLoader(stream, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    next(iter(loader))
    with pytest.raises(BadRequestError, match="StatefulDataLoader"):
        stream.state_dict()
    next(iter(stream))
    assert stream.state_dict()["done"] == 7


@pytest.mark.filterwarnings("ignore:This process")
def test_fork_is_refused(path: str) -> None:
    loader = DataLoader(ZarrStream(path), batch_size=None, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(BadRequestError, match="multiprocessing_context='spawn'"):
        next(iter(loader))


def test_a_worker_gets_no_open_connection(path: str) -> None:
    stream = ZarrStream(path).batch(7)
    len(stream)
    assert b"Source" not in pickle.dumps(stream)
    assert got(pickle.loads(pickle.dumps(stream))) == list(range(ENTRIES))


def test_an_export_is_told_of_the_store(path: str) -> None:
    stream = ZarrStream(path)
    assert Locked(url=path) not in gather().reads
    next(iter(stream))
    assert Locked(url=path) in gather().reads


def damage(path: str, key: str) -> None:
    from pathlib import Path

    (Path(path) / key).write_bytes(b"none of a chunk")


def test_damaged_chunk(path: str) -> None:
    damage(path, "x/c/5/0/0")
    stream = ZarrStream(path, memory_bytes=16 * 480).batch(4)
    seen = []
    with pytest.raises(TensorFormatError, match=r"x: chunk 'x/c/5/0/0' is damaged"):
        seen += (int(y) for batch in stream for y in batch["y"])
    assert seen == list(range(len(seen)))
    assert len(seen) == 12
    left = ZarrStream(path, memory_bytes=16 * 480, on_error="skip").batch(4)
    assert got(left) == [one for one in range(ENTRIES) if not 12 <= one < 24]
    assert left.report().lost_samples == 12
    assert "x/c/5/0/0" in left.report().faults[0]


def test_store_that_changes(path: str) -> None:
    # So little is held that most is still to be read.
    stream = ZarrStream(path, memory_bytes=1).batch(4)
    reading = iter(stream)
    next(reading)
    write_again = zarr.open_group(path)
    write_again["x"].attrs["k"] = 1
    with pytest.raises(ObjectChangedError):
        list(reading)
    # The next one opens the store anew.
    assert got(stream) == list(range(ENTRIES))


@pytest.mark.usefixtures("local_out")
def test_checkpointer_goes_on_with_the_rest(path: str) -> None:
    def stream() -> ZarrStream:
        return ZarrStream(path).shuffle(seed=1, buffer=20).batch(7)

    first, came = stream(), []
    with Checkpointer("out://run/") as checkpoints:
        assert checkpoints.restore(data=first) == 0
        for step, batch in enumerate(first):
            came += batch["y"].tolist()
            if step == 3:
                checkpoints.save(step)
                break
    second = stream()
    with Checkpointer("out://run/") as checkpoints:
        assert checkpoints.restore(data=second) == 4
    assert came + got(second) == got(stream())


def assert_no_threads() -> None:
    mine = ("jupyter-gpu-ext-decode", "jupyter-gpu-ext-stream")
    left = [one for one in threading.enumerate() if one.name.startswith(mine)]
    for one in left:
        one.join(5)
    assert not any(one.is_alive() for one in left)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_nothing_is_left_behind(path: str, prefetch: int) -> None:
    def interrupted(sample: dict) -> dict:
        raise KeyboardInterrupt

    for stream in (ZarrStream(path), ZarrStream(path, memory_bytes=1), ZarrStream(path).map(interrupted)):
        reading = iter(stream.prefetch(prefetch))
        with contextlib.suppress(KeyboardInterrupt):
            next(reading)
        reading.close()
    assert_no_threads()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_interrupt(azurite: Azurite, azure_store: Store, tmp_path: Path, prefetch: int) -> None:
    write(tmp_path / "written")
    upload(tmp_path / "written", azure_store, "train.zarr")

    def chunk(request: Message) -> bool:
        return "/x/c/7/" in request.line

    sent = []

    with fault_proxy(azurite.port, Rule(Fault("stall headers"), when=chunk)) as wire:
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        stream = ZarrStream("weights://train.zarr").batch(4).prefetch(prefetch)

        def interrupt() -> None:
            assert wire.stalled.wait(20)
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            got(stream)
        assert time.monotonic() - sent[0] < 1
    assert_no_threads()


def test_refused(path: str, tmp_path: Path) -> None:
    stream = ZarrStream(path)
    for wrong in (
        lambda: ZarrStream(path, "x"),
        lambda: ZarrStream(path, on_error="ignore"),
        lambda: ZarrStream(path, window=0),
        lambda: ZarrStream(path, window=(4, 0)),
        lambda: ZarrStream(path, window="24"),
        lambda: ZarrStream(path, memory_bytes="1GB"),
        lambda: files(path, memory_bytes=0),
        lambda: stream.shuffle(seed=-1),
        lambda: stream.shuffle(buffer=0.5),
        lambda: stream.batch(0),
        lambda: stream.batch("8"),
        lambda: stream.batch(True),
        lambda: stream.cache("1GB"),
        lambda: stream.prefetch(-1),
        lambda: stream.set_epoch(-1),
        lambda: stream.batch(2).batch(2),
        lambda: stream.batch(2).shuffle(),
        lambda: next(iter(ZarrStream(path, ["nobody"]))),
        lambda: next(iter(ZarrStream(path, sample_axis="time"))),
        lambda: next(iter(ZarrStream(path, sample_axis=1))),
        lambda: next(iter(ZarrStream(path, window=61))),
        lambda: next(iter(ZarrStream(path, select="3"))),
        lambda: next(iter(ZarrStream(path, select="::-1"))),
        lambda: next(iter(ZarrStream(path, ["x"], sample_axis=0, select="time=3"))),
    ):
        with pytest.raises(BadRequestError) as refused:
            wrong()
        assert refused.value.hint
    zarr.open_group(path)["y"].resize((50,))
    with pytest.raises(BadRequestError, match="x 60, y 50"):
        next(iter(ZarrStream(path)))
    with pytest.raises(NotFoundError):
        next(iter(ZarrStream(str(tmp_path / "nobody"))))


def test_no_samples(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "e.zarr", shape=(0, 3), chunks=(1, 3), dtype="i4")
    stream = ZarrStream(str(tmp_path / "e.zarr")).shuffle().batch(3)
    assert len(stream) == 0
    assert list(stream) == []
    assert list(ZarrStream(str(tmp_path / "e.zarr"), window=5)) == []
