"""Folders of torch.distributed.checkpoint: loaded as torch itself loads them, refused when they do not fit."""

from __future__ import annotations

import io
import os
import pickle
import re
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from tests.tensors import ranks
from tests.tensors.files import Call, torch_bytes
from tests.tensors.same import assert_same
from tests.tensors.test_bad_torch import assert_told, mutated, refusal
from tests.tensors.test_load import of_dtype, optimizer, tied

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Store

pytestmark = pytest.mark.filterwarnings("ignore")


def saved(folder: Path, value: dict[str, Any]) -> Path:
    dcp.save(value, checkpoint_id=folder)
    return folder


def oracle(folder: Path) -> Any:
    dcp_to_torch_save(folder, folder / "oracle.pt")
    return torch.load(folder / "oracle.pt", weights_only=False)


def nested() -> dict[str, Any]:
    return {
        "model": OrderedDict(w=torch.randn(4, 5), b=torch.arange(3)),
        "list": [torch.ones(2), {"deep": torch.zeros(1)}, 5],
        "numbers": {"step": 5, "lr": 0.1, "name": "ünï", "none": None, "flags": (True, 2)},
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "transposed": torch.arange(12.0).reshape(3, 4).t(),
        "window": torch.arange(100)[10:20],
        "odd #1 name/with:signs": torch.ones(1),
    }


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "nested": nested,
    "dtypes": lambda: {name: of_dtype(name) for name in ITEM_BYTES if name != "complex32"},
    "optimizer": optimizer,
    "tied": tied,
    "many": lambda: {f"layer.{index}": torch.full((index % 50, 3), index) for index in range(300)},
    "nothing": dict,
    "no tensors": lambda: {"a": 1},
}


@pytest.mark.parametrize("case", CASES)
def test_equals_torch(tmp_path: Path, case: str) -> None:
    torch.manual_seed(0)
    folder = saved(tmp_path / "x", CASES[case]())
    theirs = oracle(folder)
    (folder / "oracle.pt").unlink()
    for url in (str(folder), str(folder / ".metadata")):
        unshared(jg.load(url, device="cpu"), theirs)


def unshared(mine: Any, theirs: Any) -> None:
    """Compare without asking what shares memory: torch restores tied tensors apart."""
    assert type(mine) is type(theirs)
    if isinstance(theirs, dict):
        assert list(mine) == list(theirs)
        for key in theirs:
            unshared(mine[key], theirs[key])
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            unshared(one, other)
    else:
        assert_same(mine, theirs)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "GLOO_SOCKET_IFNAME": "lo"}
    subprocess.run([sys.executable, "-m", "tests.tensors.ranks", str(folder)], check=True, timeout=300, env=environment)
    return folder / "checkpoint"


def put(store: Store, folder: Path, to: str) -> str:
    for path in folder.iterdir():
        store.put(to + path.name, path.read_bytes())
    return f"{store.name}://{to}"


def test_two_ranks(store: Store, two_ranks: Path) -> None:
    url = put(store, two_ranks, "run/")
    value, receipt = load_named(url, device="cpu")
    assert_same(dict(sorted(value["tensors"].items())), dict(sorted(ranks.whole().items())))
    assert_same(dict(sorted(value["model"].items())), dict(sorted(ranks.module().state_dict().items())))
    assert value["step"] == 7
    assert "distributed checkpoint in 2 files" in str(receipt)


@pytest.mark.parametrize("name", sorted(ranks.PLACES))
def test_each_sharded_tensor_alone(two_ranks: Path, name: str) -> None:
    value, receipt = load_named(str(two_ranks), device="cpu", keys=[f"tensors.{name}"])
    assert_same(value, {f"tensors.{name}": ranks.whole()[name]})
    assert receipt.size_bytes == value[f"tensors.{name}"].nbytes


def test_converted_on_the_way(two_ranks: Path) -> None:
    value = jg.load(str(two_ranks), device="cpu", keys=["tensors.*"], dtype="bfloat16")
    for name, one in ranks.whole().items():
        assert_same(value[f"tensors.{name}"], one.to(torch.bfloat16))


def test_header_costs_little(store: Store, tmp_path: Path) -> None:
    folder = saved(tmp_path / "x", {f"layer.{index}": torch.randn(50, 50) for index in range(200)})
    url = put(store, folder, "run/")
    info = jg.info(url)
    assert (info.file.kind, len(info.file.tensors), info.file.requests) == ("torch-distributed", 200, 2)
    assert info.file.bytes_read < 128_000
    said = jg.plan(url).fetch
    assert said.bytes_used == 200 * 10_000
    value, receipt = load_named(url, device="cpu")
    assert receipt.size_bytes == 200 * 10_000
    assert len(value) == 200


def test_object_that_needs_code_is_left_out(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    folder = saved(tmp_path / "x", {"w": torch.ones(2), "args": Path("x"), "step": 3})
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    place = metadata.storage_data[MetadataIndex("step")]
    evil = torch_bytes(Call(os.mkdir, str(canary)))
    data = (folder / "__0_0.distcp").read_bytes()
    metadata.storage_data[MetadataIndex("step")] = _StorageInfo(place.relative_path, len(data), len(evil))
    (folder / "__0_0.distcp").write_bytes(data + evil)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    value, receipt = load_named(str(folder), device="cpu")
    assert list(value) == ["w"]
    assert "left out, since they need code or are no small objects: args, step" in str(receipt)
    assert not canary.exists()


def item(value: torch.Tensor) -> bytes:
    return torch_bytes(value)


def entry(shape: tuple[int, ...], *chunks: tuple[tuple[int, ...], tuple[int, ...]], dtype: Any = torch.float32) -> Any:
    parts = [ChunkStorageMetadata(torch.Size(start), torch.Size(size)) for start, size in chunks]
    return TensorStorageMetadata(TensorProperties(dtype=dtype), torch.Size(shape), parts)


def metadata(entries: dict[str, Any], places: dict[tuple[str, Any], tuple[str, int, int]], paths: Any = None) -> bytes:
    storage = {MetadataIndex(name, start): _StorageInfo(*place) for (name, start), place in places.items()}
    return pickle.dumps(Metadata(entries, paths, storage))


ONES = item(torch.ones(4))
WHOLE = entry((4,), ((0,), (4,)))
PLACE = ("__0_0.distcp", 0, len(ONES))


def one(described: Any = WHOLE, place: tuple[str, int, int] = PLACE, paths: Any = None, start: Any = (0,)) -> bytes:
    return metadata({"w": described}, {("w", start): place}, paths)


def packed() -> bytes:
    place = _StorageInfo(*PLACE, transform_descriptors=["zstd"])
    return pickle.dumps(Metadata({"w": WHOLE}, None, {MetadataIndex("w", (0,)): place}))


def two(first: Any, second: Any, shape: tuple[int, ...] = (4,)) -> bytes:
    places = {("w", first[0]): PLACE, ("w", second[0]): (PLACE[0], len(ONES), len(ONES))}
    return metadata({"w": entry(shape, first, second)}, places)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is empty|pickle"),
    "no pickle": (lambda: b"hello", "pickle"),
    "cut": (lambda: one()[:-5], "pickle"),
    "another value": (lambda: pickle.dumps({"a": 1}), "does not describe"),
    "code": (lambda: pickle.dumps(Call(os.mkdir, "/tmp/never")), "asks for more than a checkpoint's metadata .*mkdir"),
    "code inside": (lambda: pickle.dumps(Metadata({}, Call(os.mkdir, "/tmp/never"), {})), "mkdir"),
    "no storage": (lambda: metadata({"w": WHOLE}, {}), "lies nowhere"),
    "object without storage": (lambda: metadata({"w": BytesStorageMetadata()}, {}), "does not describe"),
    "missing file": (lambda: one(place=("__9_9.distcp", 0, 1200)), "__9_9.distcp, which is not there"),
    "parent folder": (lambda: one(place=("../__0_0.distcp", 0, 1200)), r"points to '\.\./"),
    "absolute": (lambda: one(place=("/etc/passwd", 0, 1200)), "points to"),
    "other scheme": (lambda: one(place=("https://host/x", 0, 1200)), "points to"),
    "beyond the file": (lambda: one(place=(PLACE[0], 100, 2**40)), "cut off"),
    "negative offset": (lambda: one(place=(PLACE[0], -1, 1200)), "does not describe"),
    "no archive there": (lambda: one(place=(PLACE[0], 7, 1200)), "archive|damaged|broken|cut off"),
    "item too short": (lambda: one(place=(PLACE[0], 0, 10)), "longer than its item"),
    "another dtype": (lambda: one(entry((4,), ((0,), (4,)), dtype=torch.int32)), "another tensor"),
    "another shape": (lambda: one(entry((2, 2), ((0, 0), (2, 2))), start=(0, 0)), "another tensor"),
    "terabytes": (lambda: one(entry((2**40,), ((0,), (2**40,)))), "longer than its item"),
    "beyond 64 bits": (lambda: one(entry((2**62, 2**62, 0), ((0, 0, 0), (2**62, 2**62, 0))), start=(0, 0, 0)), "hole"),
    "hole": (lambda: one(entry((5,), ((0,), (4,)))), "hole"),
    "outside": (lambda: one(entry((4,), ((1,), (4,))), start=(1,)), "hole"),
    "overlap": (lambda: two(((0,), (2,)), ((1,), (2,))), "overlap"),
    "twice the same place": (lambda: metadata({"w": entry((4,), ((0,), (2,)), ((2,), (2,)))},
                                              {("w", (0,)): PLACE, ("w", (2,)): PLACE}), "items overlap"),
    "another rank": (lambda: one(entry((4,), ((0, 0), (4, 1))), start=(0, 0)), "hole"),
    "packed": (packed, "packed by an extension"),
    "path that contradicts": (lambda: metadata(
        {"w": WHOLE, "v": BytesStorageMetadata()}, {("w", (0,)): PLACE, ("v", None): (PLACE[0], len(ONES), len(ONES))},
        {"w": ("a",), "v": ("a", "b")}), "nests its names"),
    "path of 10**9": (lambda: one(paths={"w": ("a", 10**9)}), "does not describe"),
    "path of nothing": (lambda: one(paths={"w": ()}), "does not describe"),
    "path of a tuple": (lambda: one(paths={"w": (("a",),)}), "does not describe"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_metadata(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    (tmp_path / ".metadata").write_bytes(make())
    (tmp_path / "__0_0.distcp").write_bytes(ONES + ONES)
    with pytest.raises(UnsupportedFormatError) as caught:
        jg.load(str(tmp_path), device="cpu")
    assert_told(caught.value)
    assert re.search(message, caught.value.message), caught.value.message


def test_lists_that_paths_blow_up(tmp_path: Path) -> None:
    entries, places, data = {}, {}, io.BytesIO()
    for index in range(60):
        body = torch_bytes(index)
        entries[f"x{index}"] = BytesStorageMetadata()
        places[f"x{index}", None] = (PLACE[0], data.tell(), len(body))
        data.write(body)
    paths = {name: (name, 199_999) for name in entries}
    (tmp_path / ".metadata").write_bytes(metadata(entries, places, paths))
    (tmp_path / PLACE[0]).write_bytes(data.getvalue())
    with pytest.raises(GpuExtError, match="nests its names"):
        jg.load(str(tmp_path), device="cpu")


@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=[pytest.mark.prove, pytest.mark.timeout(1200)])])
@pytest.mark.parametrize("which", [".metadata", "__0_0.distcp"])
def test_mutations(tmp_path: Path, which: str, rounds: int) -> None:
    folder = saved(tmp_path / "x", {"w": torch.randn(3, 4), "n": {"a": 5, "t": torch.arange(3)}})
    loaded = 0
    for changed in mutated((folder / which).read_bytes(), rounds):
        (folder / which).write_bytes(changed)
        error = refusal(folder)
        loaded += error is None
        assert error is None or (error.message and "\n" not in str(error))
    assert 0 < loaded < rounds


def test_a_tensor_of_2000_parts_is_read_quickly(tmp_path: Path) -> None:
    count = 2000
    body = item(torch.ones(1, 2))
    chunks = [((row, 2 * column), (1, 2)) for row in range(count // 2) for column in range(2)]
    places = {("w", start): (PLACE[0], len(body) * index, len(body)) for index, (start, _) in enumerate(chunks)}
    (tmp_path / ".metadata").write_bytes(metadata({"w": entry((count // 2, 4), *chunks)}, places))
    (tmp_path / PLACE[0]).write_bytes(body * count)
    value, receipt = load_named(str(tmp_path), device="cpu")
    assert_same(value, {"w": torch.ones(count // 2, 4)})
    assert receipt.tensor_count == 1
