"""What is loaded equals what torch and safetensors load, to the bit, from each kind of storage."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.api import read_info
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from tests.tensors.files import members, small, torch_bytes, zipped
from tests.tensors.same import assert_same

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store


def oracle(data: bytes, protocol: int = 2) -> Any:
    # torch's own safe reader knows protocol 2 alone; these files are ours.
    return torch.load(io.BytesIO(data), weights_only=protocol == 2, map_location="cpu")


def of_dtype(name: str, count: int = 23) -> torch.Tensor:
    """Return every kind of bit pattern that the type has room for."""
    bits = torch.arange(count * ITEM_BYTES[name], dtype=torch.int64).mul(37).to(torch.uint8)
    return bits.remainder(2).bool() if name == "bool" else bits.view(getattr(torch, name))


def tied() -> dict[str, Any]:
    weight = torch.randn(50, 8)
    parameter = torch.nn.Parameter(torch.randn(4))
    return {"embed": weight, "head": weight, "again": [parameter, parameter], "alias": weight.view(8, 50)}


def views() -> dict[str, Any]:
    base = torch.arange(1000, dtype=torch.float64)
    return {
        "transposed": base[:100].reshape(10, 10).t(),
        "stepped": base[5:500:7],
        "window": base[900:],
        "expanded": base[3:4].expand(4, 5),
        "overlapping": base.as_strided((10, 4), (1, 2), 17),
        "last": base[999],
        "empty window": base[1000:],
    }


def optimizer() -> dict[str, Any]:
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
    adam = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(adam, 2)
    for _ in range(2):
        model(torch.randn(3, 4)).sum().backward()
        adam.step()
        schedule.step()
    return {"model": model.state_dict(), "optimizer": adam.state_dict(), "schedule": schedule.state_dict(), "epoch": 3}


def leaves() -> dict[str, Any]:
    return {
        "sizes": [torch.Size([]), torch.Size([2, 3])],
        "dtypes": {torch.float32: "as a key", "as a value": torch.bfloat16},
        "devices": [torch.device("cpu"), torch.device("cuda", 1)],
        "numbers": [0, -1, 2**70, 1.5, float("inf"), -0.0, 3 + 4j, True, None],
        "texts": ["", "ünï 模型", b"\x00\xff", "a" * 300],
        "sets": [{1, 2}, set()],
        "tuples": [(), (1,), (1, (2, 3)), {(1, "x"): 4}],
        ("tuple", 1): "key",
        5: "int key",
        None: "none key",
    }


def shared_containers() -> dict[str, Any]:
    inner = {"w": torch.ones(3)}
    return {"one": inner, "two": inner, "list": [inner, [inner]]}


def two_types_over_one_storage() -> dict[str, Any]:
    base = torch.arange(64, dtype=torch.uint8).view(torch.uint32)
    return {"wide": base[1:5], "narrow": base.view(torch.uint16)[5:9]}


CASES = {
    **{f"dtype {name}": (lambda name=name: {"t": of_dtype(name)}) for name in ITEM_BYTES},
    "tied": tied,
    "views": views,
    "optimizer": optimizer,
    "leaves": leaves,
    "shared containers": shared_containers,
    "small": small,
    "one tensor": lambda: torch.randn(3, 3),
    "list": lambda: [torch.randn(3), torch.randn(2)],
    "scalars": lambda: {"a": torch.tensor(1.5), "b": torch.tensor(True), "c": torch.tensor(7, dtype=torch.uint8)},
    "empty tensors": lambda: {"a": torch.empty(0), "b": torch.empty(3, 0, 2), "c": torch.empty(0, dtype=torch.int8)},
    "no tensors": lambda: {"a": 1, "b": []},
    "parameters": lambda: [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2), requires_grad=False)],
    "gradients": lambda: {"a": torch.ones(2, requires_grad=True), "c": torch.ones(2, dtype=torch.cfloat)},
    "nothing": dict,
    "special values": lambda: {"x": torch.tensor([float("nan"), -0.0, float("inf"), 5e-324], dtype=torch.float64)},
    "uint16 and uint32 over one storage": two_types_over_one_storage,
    "odd names": lambda: {"a.b": torch.ones(1), "a": {"b": torch.zeros(1)}, "ü\n": torch.ones(2), "": torch.ones(3)},
    "many": lambda: OrderedDict((f"layer.{index}", torch.full((index % 50,), index)) for index in range(1500)),
}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "a file#1.pt"


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_torch_file_equals_torch_load(disk: Path, case: str, protocol: int) -> None:
    torch.manual_seed(0)
    data = torch_bytes(CASES[case](), pickle_protocol=protocol)
    disk.write_bytes(data)
    assert_same(jg.load(str(disk), device="cpu"), oracle(data, protocol))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bytes_of_every_protocol(disk: Path, protocol: int) -> None:
    value = {"empty": b"", "set": frozenset({"a"}), "some": b"\x00\xff\n", "t": torch.ones(1)}
    disk.write_bytes(torch_bytes(value, pickle_protocol=protocol))
    assert_same(jg.load(str(disk), device="cpu"), value)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("case", sorted(set(CASES) - {"many"}))
def test_every_key_alone_equals_torch_load(disk: Path, case: str) -> None:
    torch.manual_seed(0)
    data = torch_bytes(CASES[case]())
    disk.write_bytes(data)
    whole = jg.load(str(disk), device="cpu")
    names = list(jg.info(str(disk)).file.tensors)
    by_place = _tensors(whole)
    assert len(names) == len(by_place)
    for name, expected in list(zip(names, by_place, strict=True))[:20]:
        glob = "".join(f"[{char}]" if char in "*?[" else char for char in name)
        alone = jg.load(str(disk), device="cpu", keys=[glob])
        assert_same(alone, {name: expected})


def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return [found for item in items for found in _tensors(item)]


SAFE_DTYPES = [
    name for name in ITEM_BYTES if name not in ("complex32", "complex128", "float8_e4m3fnuz", "float8_e5m2fnuz")
]


def test_safetensors_file_equals_load_file(tmp_path: Path) -> None:
    state = {f"{name}.t": of_dtype(name) for name in SAFE_DTYPES}
    state |= {"scalar": torch.tensor(2.5), "empty": torch.empty(0, 3), "ünï #%? 模型": torch.randn(3, 4, 5)}
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(state, path, metadata={"format": "pt", "note": "ü"})
    theirs = safetensors.torch.load_file(path)
    mine = jg.load(str(path), device="cpu")
    assert_same({name: mine[name] for name in sorted(mine)}, {name: theirs[name] for name in sorted(theirs)})
    assert jg.info(str(path)).file.metadata == {"format": "pt", "note": "ü"}


ODD_KEYS = ["my model #1.pt", "100%/a%20b?c=d&e.pt", "ünï/模型 🎛.pt", "back;slash:@.pt"]
AZURE_KEYS = ["a//b.pt", "/lead.pt", "dir/"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys(store: Store, key: str) -> None:
    data = torch_bytes(CASES["small"]() | {"big": torch.randn(60_000)})
    store.put(key, data)
    assert_same(jg.load(f"{store.name}://{key}", device="cpu"), oracle(data))
    assert jg.info(f"{store.name}://{key}").file.url == f"{store.name}://{key}"


@pytest.mark.parametrize("key", AZURE_KEYS)
def test_keys_that_only_azure_has(azure_store: Store, key: str) -> None:
    data = torch_bytes({"big": torch.randn(60_000)})
    azure_store.put(key, data)
    assert_same(jg.load(f"weights://{key}", device="cpu"), oracle(data))


def test_large_file_in_several_ranges(store: Store) -> None:
    state = {"a": torch.randn(5_000_000), "b": torch.randn(1000), "c": torch.randn(3_000_000)}
    data = safetensors.torch.save(state)
    store.put("big.safetensors", data)
    value, receipt = load_named(f"{store.name}://big.safetensors", device="cpu")
    assert_same(dict(sorted(value.items())), state)
    assert receipt.size_bytes == sum(one.nbytes for one in state.values())
    # "a" in two, "b" with "c".
    assert receipt.requests == 1 + 3
    assert receipt.bytes_read <= receipt.size_bytes * 1.04 + 64 * 1024
    assert (receipt.tensor_count, receipt.device) == (3, "cpu")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("root", ["archive", "a", "a-longer-name-of-the-root-folder", "ünï"])
def test_archive_that_another_program_wrote(disk: Path, streamed: bool, root: str) -> None:
    torch.manual_seed(0)
    data = torch_bytes(CASES["small"]() | CASES["many"]())
    contents = {f"{root}/{name.partition('/')[2]}": body for name, body in members(data).items()}
    disk.write_bytes(zipped(contents, streamed=streamed))
    assert_same(jg.load(str(disk), device="cpu"), oracle(data))


def test_padding_rule_that_holds_by_chance(disk: Path) -> None:
    # A streamed archive's descriptor of 16 bytes can make up for the padding that is not there: some
    # length of the root folder's name hits it, and its bytes would be 16 off.
    data = torch_bytes({"w": torch.arange(64, dtype=torch.float32)})
    for length in range(1, 80):
        contents = {f"{'r' * length}/{name.partition('/')[2]}": body for name, body in members(data).items()}
        disk.write_bytes(zipped(contents, streamed=True))
        assert_same(jg.load(str(disk), device="cpu"), oracle(data))


@pytest.mark.parametrize("alignment", [64, 512, 4096])
def test_other_alignments(disk: Path, alignment: int) -> None:
    with torch.utils.serialization.config.patch("save.storage_alignment", alignment):
        data = torch_bytes(CASES["many"]())
    disk.write_bytes(data)
    assert_same(jg.load(str(disk), device="cpu"), oracle(data))
    assert jg.info(str(disk)).file.requests <= 5, "no request a member"


def test_header_costs_few_requests(store: Store) -> None:
    store.put("x.pt", torch_bytes({f"l{index}": torch.randn(20, 20) for index in range(300)}))
    file = jg.info(f"{store.name}://x.pt").file
    assert len(file.tensors) == 300
    assert file.requests <= 2
    assert file.bytes_read < 200_000


async def test_header_without_blocking(store: Store) -> None:
    store.put("x.pt", torch_bytes(small()))
    assert (await LOOP.call(read_info(f"{store.name}://x.pt"))).to_json()["tensor_count"] == 6


def test_nothing_remains_of_a_loaded_value(disk: Path) -> None:
    import gc
    import weakref

    disk.write_bytes(torch_bytes({"w": torch.randn(100)}))
    value = jg.load(str(disk), device="cpu")
    alive = weakref.ref(value["w"].untyped_storage())
    tensor = weakref.ref(value["w"])
    del value
    gc.collect()
    assert tensor() is None
    assert alive() is None


@pytest.mark.gpu
def test_on_the_device(store: Store) -> None:
    data = torch_bytes(CASES["tied"]())
    store.put("x.pt", data)
    mine = jg.load(f"{store.name}://x.pt")
    assert mine["embed"].device.type == torch.accelerator.current_accelerator().type
    assert mine["embed"].data_ptr() == mine["head"].data_ptr()
    assert torch.equal(mine["embed"].cpu(), oracle(data)["embed"])
