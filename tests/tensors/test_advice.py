"""Advice on layouts: each rule at its border, the effect as the proposed layout has it, snippets that run."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.tensors.advice import advise
from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
from jupyter_gpu_ext.tensors.chunks import grid, plan_chunks, read_ratio
from jupyter_gpu_ext.tensors.formats.zarr import ShardIndex, ZarrArray
from jupyter_gpu_ext.tensors.layout import propose
from jupyter_gpu_ext.tensors.selection import by_index, parse_selection, shape_of
from tests.tensors.zarr_stores import ramp, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store


def array(shape: tuple[int, ...], chunks: tuple[int, ...], shards: tuple[int, ...] | None = None) -> ZarrArray:
    float32 = np.dtype("<f4")
    index = ShardIndex(math.prod(shards) // math.prod(chunks)) if shards else None
    return ZarrArray(
        path="t2m", version=3, dtype="float32", stored=float32, shape=shape, chunks=chunks, shards=shards, index=index,
        fill=np.float32(0), prefix="c", separator="/",
    )  # fmt: skip


def plan(found: ZarrArray, select: str = "") -> ArrayPlan:
    axes = by_index(parse_selection(select).items, found.shape, "t2m")
    objects = tuple(plan_chunks(found, axes, "t2m"))
    return ArrayPlan(
        name="t2m", array=found, axes=axes, shape=shape_of(axes), dtype="float32", numpy_dtype=found.stored,
        objects=objects,
    )  # fmt: skip


def kinds(found: ZarrArray, select: str = "") -> list[str]:
    return [one.kind for one in advise("era5://t2m.zarr", {"t2m": plan(found, select)})]


MIB = 1 << 18  # in values of four bytes

CASES: list[tuple[ZarrArray, str, list[str]]] = [
    # At the border and beside it: 1 MiB, 512 MiB, 4x, 10,000 objects, 64 requests.
    (array((64 * MIB,), (MIB,)), "", []),
    (array((64 * MIB,), (MIB - 1,)), "", ["small_chunks"]),
    (array((50 * MIB,), (MIB - 1,)), "", []),
    (array((600 * MIB,), (512 * MIB,)), "", []),
    (array((1024 * MIB,), (512 * MIB + 1,)), "", ["large_chunks"]),
    (array((64, 4 * MIB), (4, MIB)), "0:4, 0", ["reads_too_much", "batch_across_chunks"]),
    (array((64, MIB), (4, MIB)), "1:4", []),
    (array((64, MIB), (4, MIB)), "1", ["reads_too_much"]),
    (array((10_000, 1 << 18), (1, 1 << 18)), "0", []),
    (array((10_001, 1 << 18), (1, 1 << 18)), "0", ["many_objects"]),
    # One entry of the first axis lies in several objects.
    (array((64, 4 * MIB), (4, MIB)), "", ["batch_across_chunks"]),
    (array((64, 512 * MIB), (4, MIB)), "0, 0:1048576", ["reads_too_much"]),
    (
        array((36_500, 721, 1440), (24, 72, 72)),
        "7",
        ["reads_too_much", "batch_across_chunks", "small_chunks", "many_objects"],
    ),
    # What is good, small or not read is not spoken of.
    (array((200, 721, 1440), (1, 721, 1440), (40, 721, 1440)), "", []),
    (array((9, 9), (1, 1)), "", []),
    (array((64, 4 * MIB), (4, MIB)), "0:0", []),
]


@pytest.mark.parametrize(("found", "select", "expected"), CASES)
def test_each_rule(found: ZarrArray, select: str, expected: list[str]) -> None:
    assert kinds(found, select) == expected


def test_what_is_said() -> None:
    found = advise("era5://t2m.zarr", {"t2m": plan(array((36_500, 721, 1440), (24, 72, 72)), "7")})
    assert [str(one) for one in found] == [
        "t2m: This selection reads 24.0x what it uses: chunks of 24×72×72 hold more than is chosen. With chunks of "
        "1×721×1440 in shards of 64×721×1440 it reads 1.0x.",
        "t2m: One entry of the first axis lies in 220 objects: batches along it, shuffled above all, ask for each of "
        "them. With chunks of 1×721×1440 in shards of 64×721×1440 it lies in 1.",
        "t2m: Chunks of 498 kB: 220 requests for 109 MB, each as slow as a large one. With chunks of 1×721×1440 in "
        "shards of 64×721×1440 it is 1 object.",
        "t2m: The array is 334,620 objects: listing, copying and deleting it take a request for each or for a "
        "thousand. With chunks of 1×721×1440 in shards of 64×721×1440 it is 571 objects.",
    ]


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=4), narrow=st.booleans()
)
def test_any_proposal_is_a_layout_of_good_size(sizes: list[tuple[int, int]], narrow: bool) -> None:
    found = array(tuple(size for size, _ in sizes), tuple(1 for _ in sizes))
    axes = by_index([slice(0, n) for _, n in sizes], found.shape, "a")
    proposal = propose(found, axes, narrow=narrow)
    new = proposal.of(found)
    assert new.chunk_bytes <= 4 << 20
    assert new.chunk_bytes >= min(64 << 10, found.size_bytes) // 2
    assert all(1 <= chunk <= size for chunk, size in zip(new.chunks, found.shape, strict=True))
    if new.shards:
        assert all(outer % inner == 0 for outer, inner in zip(new.shards, new.chunks, strict=True))
        assert math.prod(new.shards) // math.prod(new.chunks) <= 4096
        assert math.prod(new.shards) * 4 <= 256 << 20
    assert math.prod(grid(new)) <= max(10_000, 4 * found.size_bytes // (64 << 20))


@settings(deadline=None, max_examples=40)
@given(data=st.data(), sizes=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 15)), min_size=1, max_size=3))
def test_read_ratio_is_counted(data: st.DataObject, sizes: list[tuple[int, int]]) -> None:
    found = array(tuple(size for size, _ in sizes), tuple(chunk for _, chunk in sizes))
    ends = st.one_of(st.none(), st.integers(-14, 14))
    items = [
        data.draw(
            st.one_of(st.integers(-n, n - 1), st.builds(slice, ends, ends, st.sampled_from([None, 1, 2, 5, -1, -3])))
        )
        for n in found.shape
    ]
    axes = by_index(items, found.shape, "a")
    wanted = np.zeros(found.shape, bool)
    wanted[tuple(items)] = True
    read = sum(
        math.prod(min(n, (at + 1) * c) - at * c for at, n, c in zip(part.place, found.shape, found.chunks, strict=True))
        for one in plan_chunks(found, axes, "a")
        for part in one.parts
    )
    assert math.isclose(read_ratio(found, axes), read / wanted.sum() if wanted.any() else 0)


WRITTEN: dict[str, dict[str, Any]] = {
    "v2": {"shape": (40, 200, 200), "chunks": (20, 50, 50), "dtype": "<f4", "zarr_format": 2, "fill_value": -1},
    "v3": {"shape": (40, 200, 200), "chunks": (20, 50, 50), "dtype": "f8", "dimension_names": ("time", None, "x")},
    "sharded": {"shape": (40, 200, 200), "chunks": (4, 25, 100), "shards": (20, 50, 100), "dtype": "i4"},
}


@pytest.mark.parametrize(
    ("kind", "name", "in_group"),
    [("local", "v2", True), ("local", "v3", False), ("azure", "sharded", True)],
)
def test_the_snippet_runs(request: pytest.FixtureRequest, tmp_path: Path, kind: str, name: str, in_group: bool) -> None:
    store: Store = request.getfixturevalue(f"{kind}_store")
    options = WRITTEN[name]
    where = tmp_path / "written"
    if in_group:
        zarr.open_group(where, mode="w", zarr_format=options.get("zarr_format", 3))
    old = zarr.create_array(where / "deep a" if in_group else where, attributes={"units": "K"}, **options)
    old[:] = values = ramp(options["shape"], options["dtype"])
    upload(where, store, "s.zarr")
    (advice, *_) = jg.plan(f"{store.name}://s.zarr").to_json()["advice"]
    assert advice["array"] == ("deep a" if in_group else "s.zarr")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", advice["snippet"]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("*-new.zarr")
    new = zarr.open_array(made)
    np.testing.assert_array_equal(new[...], values)
    assert (new.dtype, new.attrs["units"], new.fill_value) == (old.dtype, "K", old.fill_value)
    assert new.metadata.dimension_names == options.get("dimension_names")
    # What was advised is done: there is nothing left to say.
    assert not jg.plan(str(made)).to_json()["advice"]
    assert advice["snippet"] in str(jg.plan(f"{store.name}://s.zarr"))
