"""The plan is pure: over all layouts each chosen byte is fetched, once, into its place, and little else is."""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, ObjectChangedError
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors.assembly import Assembly
from jupyter_gpu_ext.tensors.copies import HostCopies
from jupyter_gpu_ext.tensors.models import Stored, Tensor, TensorFile
from jupyter_gpu_ext.tensors.plan import choose, make_plan
from jupyter_gpu_ext.tensors.read import read_plan

if TYPE_CHECKING:
    from jupyter_gpu_ext.tensors.plan import FetchPlan

NAMES = st.text(alphabet="abw.[]*?!-0é", min_size=1, max_size=6)
GLOBS = st.lists(st.text(alphabet="abw.[]*?!-0é", min_size=1, max_size=6), min_size=1, max_size=3)


class Bytes:
    """An object in memory, in the reader's place; its bytes tell where they are from."""

    def __init__(self, size: int) -> None:
        self.data = bytes(at * 31 % 251 for at in range(size))
        self.asked: list[tuple[int, int]] = []

    async def read_into(self, start: int, out: memoryview) -> None:
        self.asked.append((start, start + len(out)))
        await asyncio.sleep(0)
        assert start + len(out) <= len(self.data)
        out[:] = self.data[start : start + len(out)]


@st.composite
def layouts(draw: st.DrawFn, scale: int = 1) -> TensorFile:
    """Draw storages in any order of names, holes between them, and views of them."""
    at, storages, tensors = 0, {}, {}
    for index in range(draw(st.integers(1, 12))):
        at += draw(st.sampled_from([0, 0, 1, 63, 100, 600, 5000])) * scale
        size = draw(st.one_of(st.integers(0, 40), st.integers(0, 4000))) * scale
        key = f"{draw(st.integers(0, 9))}-{index}"
        storages[key] = Stored(at, at + size)
        at += size
        for _ in range(draw(st.integers(0, 3))):
            start = draw(st.integers(0, size))
            length = draw(st.integers(0, size - start))
            name = draw(NAMES)
            tensors.setdefault(name, Tensor(dtype="uint8", shape=(length,), stride=(1,), storage=key, offset=start))
    return TensorFile(
        url="weights://x", kind="torch", size_bytes=at, etag='"1"', tensors=tensors, storages=storages, tree=None
    )


def executed(file: TensorFile, plan: FetchPlan) -> tuple[Bytes, dict[str, bytearray]]:
    source = Bytes(file.size_bytes)
    assembly, progress = on_host(plan), Progress(plan.bytes_read)
    asyncio.run(read_plan([source], assembly, progress, ring_bytes=64 << 20))
    assert progress.done_bytes == plan.bytes_read
    return source, {key: bytearray(one.numpy()) for key, one in assembly.storages.items()}


def on_host(plan: FetchPlan) -> Assembly:
    return Assembly(plan, {"cpu": HostCopies()}, dict.fromkeys(plan.spans, "cpu"), "x")


@given(layouts(), st.one_of(st.just([]), GLOBS))
def test_every_chosen_byte_comes_to_its_place(file: TensorFile, keys: list[str]) -> None:
    try:
        plan = make_plan(file, keys)
    except BadRequestError:
        return
    source, buffers = executed(file, plan)
    assert set(buffers) == {one.storage for one in plan.tensors.values()}
    for key, span in plan.spans.items():
        start = file.storages[key].start
        assert bytes(buffers[key]) == source.data[start + span.start : start + span.stop]
    for one in plan.tensors.values():
        start, stop = one.extent
        span = plan.spans[one.storage]
        assert start == stop or (span.start <= start and stop <= span.stop)
        assert span.start % 16 == 0, "a view of any type keeps its offset whole"


@given(layouts(), st.one_of(st.just([]), GLOBS))
def test_little_is_read_that_is_not_used(file: TensorFile, keys: list[str]) -> None:
    try:
        plan = make_plan(file, keys)
    except BadRequestError:
        return
    assert plan.bytes_read <= max(plan.bytes_used * 1.04, 64 << 10)
    assert plan.bytes_used == sum(span.size_bytes for span in plan.spans.values())
    asked = [one.range for one in plan.fetches]
    assert asked == sorted(asked)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(asked)), "no byte comes twice"
    assert all(one.parts for one in plan.fetches), "no request brings nothing"


@pytest.mark.parametrize(
    ("size", "count"),
    [(8 << 20, 1), ((8 << 20) + 1, 1), (13 << 20, 2), (100 << 20, 12), (1 << 30, 64), (10 << 30, 640)],
)
def test_length_of_requests(size: int, count: int) -> None:
    tensor = Tensor(dtype="uint8", shape=(size,), stride=(1,), storage="0")
    file = TensorFile(
        url="weights://x", kind="torch", size_bytes=size, etag='"1"', tensors={"w": tensor},
        storages={"0": Stored(0, size)}, tree=None,
    )  # fmt: skip
    plan = make_plan(file)
    assert len(plan.fetches) == count
    assert max(one.range.size_bytes for one in plan.fetches) <= 24 << 20
    assert all(one.is_whole for one in plan.fetches)


def test_storages_are_asked_for_together_as_long_as_each_stays_whole() -> None:
    sizes = [9 << 20, 4000, 4000, 9 << 20, 4000, 3 << 20, 20 << 20, 4000]
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    storages = {
        str(at): Stored(start, start + size) for at, (start, size) in enumerate(zip(starts, sizes, strict=True))
    }
    tensors = {
        key: Tensor(dtype="uint8", shape=(one.size_bytes,), stride=(1,), storage=key) for key, one in storages.items()
    }
    file = TensorFile(
        url="weights://x",
        kind="torch",
        size_bytes=sum(sizes),
        etag='"1"',
        tensors=tensors,
        storages=storages,
        tree=None,
    )
    found = [[part.storage for part in one.parts] for one in make_plan(file).fetches]
    assert found == [["0", "1", "2"], ["3", "4"], ["5"], ["6"], ["6"], ["7"]]


@given(st.lists(NAMES, unique=True, min_size=1, max_size=12), GLOBS)
def test_names_are_chosen_by_the_rule_of_fnmatch(names: list[str], keys: list[str]) -> None:
    tensor = Tensor(dtype="uint8", shape=(0,), stride=(1,), storage="0")
    file = TensorFile(
        url="weights://x", kind="torch", size_bytes=0, etag='"1"', tensors=dict.fromkeys(names, tensor),
        storages={"0": Stored(0, 0)}, tree=None,
    )  # fmt: skip
    wanted = [key for key in keys if key[0] != "!"]
    unwanted = [key[1:] for key in keys if key[0] == "!"]
    expected = [
        name
        for name in names
        if (not wanted or any(fnmatch.fnmatchcase(name, glob) for glob in wanted))
        and not any(fnmatch.fnmatchcase(name, glob) for glob in unwanted)
    ]
    if expected:
        assert list(choose(file, keys)) == expected
    else:
        with pytest.raises(BadRequestError, match="matches"):
            choose(file, keys)


def test_the_first_fault_ends_the_others() -> None:
    begun: list[int] = []
    ended: list[int] = []

    class Faulty:
        async def read_into(self, start: int, out: memoryview) -> None:
            begun.append(start)
            try:
                if len(begun) == 8:
                    raise ObjectChangedError("changed")
                await asyncio.Event().wait()
            finally:
                ended.append(start)

    size = 80 << 20
    tensor = Tensor(dtype="uint8", shape=(size,), stride=(1,), storage="0")
    file = TensorFile(
        url="weights://x", kind="torch", size_bytes=size, etag='"1"', tensors={"w": tensor},
        storages={"0": Stored(0, size)}, tree=None,
    )  # fmt: skip
    with pytest.raises(GpuExtError, match="changed"):
        asyncio.run(read_plan([Faulty()], on_host(make_plan(file)), Progress(size), ring_bytes=64 << 20))
    assert sorted(begun) == sorted(ended)
    assert len(begun) == 8


def test_many_small_tensors_are_planned_quickly() -> None:
    count = 50_000
    tensors = {str(at): Tensor(dtype="uint8", shape=(8,), stride=(1,), storage=str(at)) for at in range(count)}
    storages = {str(at): Stored(at * 5000, at * 5000 + 8) for at in range(count)}
    file = TensorFile(
        url="weights://x", kind="torch", size_bytes=count * 5000, etag='"1"', tensors=tensors, storages=storages,
        tree=None,
    )  # fmt: skip
    started = time.process_time()
    assert len(make_plan(file).fetches) == count
    assert time.process_time() - started < 5, "it takes more than linear time"
