"""What `info` says is what the library that wrote the file says, for the bytes and requests that it promises."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import xarray as xr
import zarr

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors import zarr_open
from jupyter_gpu_ext.tensors.api import read_info
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, azure_fields, write_connections
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.storage.servers import proxy
from tests.tensors.files import torch_bytes
from tests.tensors.test_numpy_files import arrays, npz
from tests.tensors.zarr_stores import ramp, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Azurite, Store

# dtype, shape and bytes by name.
Said = dict[str, tuple[str, list[int], int]]


def said(url: str) -> Said:
    rows = jg.info(url).to_json()["tensors"]
    return {one["name"]: (one["dtype"], one["shape"], one["size_bytes"]) for one in rows}


def state() -> dict[str, Any]:
    torch.manual_seed(0)
    kinds = ("float32", "float16", "bfloat16", "int64", "bool", "complex64", "float8_e4m3fn", "uint8")
    found = {f"layer.{kind}": torch.zeros(3, 5).to(getattr(torch, kind)) for kind in kinds}
    return {**found, "scalar": torch.tensor(1.5), "empty": torch.empty(0, 4), "t": torch.ones(4, 6).t()}


def of_torch(value: Any, start: str = "") -> Said:
    found: Said = {}
    for name, one in value.items():
        if isinstance(one, dict):
            found |= of_torch(one, f"{start}{name}.")
        elif isinstance(one, torch.Tensor):
            found[start + name] = (str(one.dtype).removeprefix("torch."), list(one.shape), one.nbytes)
    return found


def by_torch(path: Path, *, new: bool) -> Said:
    value = {"model": state(), "step": 7} if new else {"model": {k: v for k, v in state().items() if "8" not in k}}
    path.write_bytes(torch_bytes(value, _use_new_zipfile_serialization=new))
    return of_torch(torch.load(path, weights_only=True))


def by_safetensors(path: Path) -> Said:
    safetensors.torch.save_file({name: one.contiguous() for name, one in state().items()}, path)
    with safetensors.safe_open(path, "pt") as file:
        return of_torch({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 -- not a dict


def of_numpy(values: Any) -> Said:
    return {name: (one.dtype.name, list(one.shape), one.nbytes) for name, one in values.items()}


def by_numpy(path: Path) -> Said:
    path.write_bytes(npz(packed=True, **arrays()))
    return of_numpy(np.load(path))


def by_numpy_alone(path: Path) -> Said:
    np.save(path.with_suffix(".npy"), np.arange(6, dtype=">i2").reshape(2, 3))
    path.with_suffix(".npy").rename(path)
    return of_numpy({"value": np.load(path)})


FILES: dict[str, Callable[[Path], Said]] = {
    "torch": lambda path: by_torch(path, new=True),
    "torch before 1.6": lambda path: by_torch(path, new=False),
    "safetensors": by_safetensors,
    "npz": by_numpy,
    "npy": by_numpy_alone,
}


@pytest.mark.parametrize("kind", FILES)
def test_files_equal_their_library(store: Store, tmp_path: Path, kind: str) -> None:
    expected = FILES[kind](tmp_path / "x")
    store.put("x", (tmp_path / "x").read_bytes())
    assert said(f"{store.name}://x") == expected


def dataset() -> xr.Dataset:
    time = xr.date_range("2020-01-01", periods=10, freq="h")
    values = np.arange(10 * 6 * 4, dtype="f4").reshape(10, 6, 4)
    attributes = {"units": "K", "standard_name": "air_temperature", "valid": [1.5, 2.5], "deep": {"a": [None, True]}}
    return xr.Dataset(
        {
            "t2m": (("time", "y", "x"), values, attributes),
            "mask": (("y", "x"), np.ones((6, 4), bool), {"long_name": "land"}),
        },
        coords={"time": time, "y": np.arange(6.0), "x": np.arange(4.0)},
        attrs={"title": "a sample"},
    )


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("version", [2, 3])
def test_stores_of_xarray(store: Store, tmp_path: Path, version: int, consolidated: bool) -> None:
    packing = {"t2m": {"chunks": (4, 3, 2), **({"shards": (8, 6, 4)} if version == 3 else {})}}
    dataset().to_zarr(tmp_path / "x.zarr", zarr_format=version, consolidated=consolidated, encoding=packing)
    upload(tmp_path / "x.zarr", store, "x.zarr")
    info = jg.info(f"{store.name}://x.zarr").to_json()
    group = zarr.open_group(tmp_path / "x.zarr", mode="r")
    assert info["metadata"] == group.attrs == {"title": "a sample"}
    assert (info["consolidated"], info["groups"]) == (consolidated, [])
    rows = {one["name"]: one for one in info["tensors"]}
    assert sorted(rows) == sorted(name for name, _ in group.arrays())
    read = xr.open_zarr(tmp_path / "x.zarr", decode_cf=False, consolidated=consolidated)
    for name, array in group.arrays():
        row = rows[name]
        assert (row["shape"], row["dtype"], row["size_bytes"]) == (list(array.shape), array.dtype.name, array.nbytes)
        assert row["chunks"] == list(array.chunks)
        assert row["shards"] == (None if array.shards is None else list(array.shards))
        assert row["attributes"] == dict(array.attrs)
        assert row["codecs"] == [_codec(one) for one in array.compressors]
        # Version 2 keeps the names in an attribute of xarray's own.
        named = row["dimensions"] or row["attributes"]["_ARRAY_DIMENSIONS"]
        assert list(named) == list(read[name].dims)
        assert row["units"] == read[name].attrs.get("units", "")
    assert (rows["t2m"]["long_name"], rows["t2m"]["standard_name"]) == ("air_temperature", "air_temperature")
    assert rows["mask"]["long_name"] == "land"


def _codec(one: Any) -> str:
    config = one.to_dict() if hasattr(one, "to_dict") else one.get_config()
    return str(config.get("name") or config.get("id"))


# In a process of its own: the loop of adlfs is not closed in order.
USUAL = """
import sys, zarr
array = zarr.open_array(sys.argv[1], mode="r", storage_options={"connection_string": sys.argv[2]})
print(array.shape)
try:
    print(array[3:7])
except ValueError as error:
    print("ValueError:", "Content-Range" if "Content-Range" in str(error) else error)
"""


def test_shards_on_azure_are_read_where_the_usual_stack_raises(
    azurite: Azurite, azure_store: Store, tmp_path: Path
) -> None:
    array = zarr.create_array(tmp_path / "s", shape=(40, 20), chunks=(5, 5), shards=(20, 20), dtype="f4")
    array[...] = values = ramp((40, 20), "f4")
    upload(tmp_path / "s", azure_store, "s")
    value = jg.load("weights://s", select="3:7, :", device="cpu")
    np.testing.assert_array_equal(value.numpy(), values[3:7])
    # Azure has no requests for an object's last bytes, which zarr-python sends for a shard's index.
    text = f"BlobEndpoint={azurite.endpoint};AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY}"
    assert azure_store.container is not None
    done = subprocess.run(
        [sys.executable, "-c", USUAL, f"abfs://{azure_store.container.container_name}/s", text],
        check=False, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["(40, 20)", "ValueError: Content-Range"]


def many(count: int) -> dict[str, torch.Tensor]:
    return {f"model.layers.{at}.a_rather_long_name_of_a.weight": torch.zeros(64, 64) for at in range(count)}


@pytest.mark.parametrize("count", [10, 2000])
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_a_checkpoint_costs_its_header_and_128_kb(
    azurite: Azurite, azure_store: Store, tmp_path: Path, kind: str, count: int
) -> None:
    assert azure_store.container is not None
    data = torch_bytes(many(count)) if kind == "pt" else safetensors.torch.save(many(count))
    tensor_bytes = count * 64 * 64 * 4
    # What is no tensor: the header, or the pickle and the archive's two lists of members, padded to 64 bytes each.
    header = len(data) - tensor_bytes
    azure_store.put("x", data)
    with proxy(azurite.port) as wire:
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        info = jg.info("weights://x").to_json()
        assert info["tensor_count"] == count
        assert wire.bytes_down <= header + (128 << 10)
        assert info["requests"] <= 4


@pytest.fixture
def wired(azurite: Azurite, azure_store: Store, tmp_path: Path) -> Iterator[FaultProxy]:
    """The connection `weights://` through a proxy that counts."""
    assert azure_store.container is not None
    with fault_proxy(azurite.port) as wire:
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)
        yield wire


def tree(path: Path, version: int, *, consolidated: bool) -> int:
    """Write three groups of four arrays, one in another; return how many nodes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.open_group(path, mode="w", zarr_format=version)
        for group in ("a", "b", "b/c"):
            made = root.create_group(group, attributes={"of": group})
            for at in range(4):
                made.create_array(str(at), shape=(4,), dtype="f4")
        if consolidated:
            zarr.consolidate_metadata(path)
    return 1 + 3 + 12


def documents(path: Path) -> int:
    return sum(one.name in ("zarr.json", ".zgroup", ".zarray", ".zattrs") for one in path.rglob("*"))


def asked(wired: FaultProxy, name: str) -> tuple[int, int, int]:
    """Return requests and listings on the wire, and how many arrays were found."""
    wired.log.clear()
    info = jg.info(f"weights://{name}.zarr").to_json()
    assert info["requests"] == len(wired.log)
    return len(wired.log), sum("comp=list" in line for line, _ in wired.log), info["tensor_count"]


@pytest.mark.parametrize("version", [2, 3])
def test_requests_of_a_tree(
    wired: FaultProxy, azure_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    tree(tmp_path / "whole", version, consolidated=True)
    upload(tmp_path / "whole", azure_store, "whole.zarr")
    assert asked(wired, "whole") == (4 - version, 0, 12)
    nodes = tree(tmp_path / "x", version, consolidated=False)
    upload(tmp_path / "x", azure_store, "x.zarr")
    # Version 2 has up to two documents a node, and looks for an array where there is one of two groups.
    most = 2 + nodes if version == 3 else 5 + documents(tmp_path / "x") + 2
    assert asked(wired, "x") == (most, 2, 12)
    # More objects than a page has names: a listing for each of the three groups below the first.
    monkeypatch.setattr(zarr_open, "_FLAT_PAGE", 10)
    assert asked(wired, "x") == (most + 3 + (version == 2), 5, 12)


@pytest.mark.parametrize("version", [2, 3])
def test_requests_of_a_group_whatever_its_chunks(
    wired: FaultProxy, azure_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(zarr_open, "_FLAT_PAGE", 10)
    group = zarr.open_group(tmp_path / "x", mode="w", zarr_format=version)
    for name in "ab":
        group.create_array(name, shape=(40,), chunks=(1,), dtype="f4")[:] = 1
    assert upload(tmp_path / "x", azure_store, "x.zarr") > 80
    most = 1 + 3 if version == 3 else 4 + documents(tmp_path / "x")
    assert asked(wired, "x") == (most, 1, 2)


@pytest.mark.parametrize("version", [2, 3])
def test_one_page_of_names_shows_what_listings_show(
    wired: FaultProxy, azure_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """Strays among them: a node without a name, one below no group, a folder without documents."""
    tree(tmp_path / "x", version, consolidated=False)
    array = next((tmp_path / "x").glob("a/0/*z*"))
    for place in ("a//", "b/none/deeper/"):
        azure_store.put(f"x.zarr/{place}{array.name}", array.read_bytes())
    azure_store.put("x.zarr/b/c/notes/readme.txt", b"x")
    upload(tmp_path / "x", azure_store, "x.zarr")
    at_once = jg.info("weights://x.zarr").to_json()
    monkeypatch.setattr(zarr_open, "_FLAT_PAGE", 10)
    by_folder = jg.info("weights://x.zarr").to_json()
    assert at_once["requests"] < by_folder["requests"]
    assert at_once | {"requests": 0} == by_folder | {"requests": 0}


@pytest.mark.parametrize("version", [2, 3])
def test_a_tree_as_it_arrives(wired: FaultProxy, azure_store: Store, tmp_path: Path, version: int) -> None:
    tree(tmp_path / "x", version, consolidated=False)
    upload(tmp_path / "x", azure_store, "x.zarr")
    tree(tmp_path / "whole", version, consolidated=True)
    upload(tmp_path / "whole", azure_store, "whole.zarr")

    def shallow(key: str) -> dict[str, Any]:
        return LOOP.run(read_info(f"weights://{key}", deep=False)).to_json()

    first = shallow("x.zarr")
    assert first["tensors"] == []
    assert first["groups"] == [{"name": name, "attributes": {"of": name}, "unread": True} for name in ("a", "b")]
    assert len(wired.log) <= 12
    names, todo = [], ["x.zarr"]
    while todo:
        found = shallow(key := todo.pop(0))
        names += [f"{key}/{one['name']}".removeprefix("x.zarr/") for one in found["tensors"]]
        todo += [f"{key}/{one['name']}" for one in found["groups"] if one["unread"]]
    assert sorted(names) == [one["name"] for one in jg.info("weights://x.zarr").to_json()["tensors"]]
    assert not any(one["unread"] for one in shallow("whole.zarr")["groups"])
    assert "2 groups not looked into" in str(LOOP.run(read_info("weights://x.zarr", deep=False)))
