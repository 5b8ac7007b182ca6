"""What is saved is what torch, safetensors, numpy and our own reader load, to the bit."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, DeniedError, ExistsError, NotFoundError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.tensors.formats.safetensors import DTYPES
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from tests.conftest import write_connections
from tests.tensors.files import small, torch_bytes
from tests.tensors.same import assert_same, raw
from tests.tensors.test_load import leaves, of_dtype, optimizer, tied, views

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def content(url: str) -> bytes:
    async def read() -> bytes:
        return await (await open_reader(url)).read_all()

    return LOOP.run(read())


def dtypes() -> dict[str, Any]:
    found = {name: of_dtype(name) for name in ITEM_BYTES if hasattr(torch, name)}
    return {**found, **{f"{name} scalar": one[3] for name, one in found.items()}}


def shapes() -> dict[str, Any]:
    base = torch.arange(120, dtype=torch.int32)
    return {
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(3, 0, 2),
        "empty first": torch.empty(0, dtype=torch.bool),
        "transposed": base.reshape(2, 3, 20).permute(2, 0, 1),
        "strided": base[1::3],
        "parameter": torch.nn.Parameter(torch.randn(4, 5).t()),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "wants gradient": torch.ones(2, requires_grad=True),
        "conjugate made real": torch.randn(3, dtype=torch.complex64).conj().resolve_conj(),
    }


def containers() -> dict[str, Any]:
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    schedule = torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD(model.parameters(), 0.1), [2, 4, 4])
    return {
        "state": model.state_dict(),
        "schedule": schedule.state_dict(),
        "counter": Counter("abca"),
        "deep": [[[[OrderedDict(x=(torch.ones(1), {"y": None}))]]]],
        "shared": [shared := [1, torch.zeros(2)], shared],
        "long": list(range(3000)),
        "text": "ü" * 70_000,
    }


@pytest.mark.parametrize(
    "make", [small, tied, views, optimizer, leaves, dtypes, shapes, containers], ids=lambda make: make.__name__
)
def test_pt_is_what_torch_saves(local_out: Path, make: Callable[[], Any]) -> None:
    value = make()
    saved = jg.save(value, "out://x.pt")
    data, theirs = (local_out / "x.pt").read_bytes(), torch_bytes(value)
    assert (saved.size_bytes, saved.format) == (len(data), "pt")
    # To the byte, up to torch's own mark of each file.
    end = theirs.index(b".data/serialization_id") - 8 - 30
    assert data[:end] == theirs[:end]
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    oracle = torch.load(io.BytesIO(theirs), weights_only=True)
    assert_same(torch.load(local_out / "x.pt", weights_only=True), oracle)
    assert_same(torch.load(local_out / "x.pt", weights_only=True, mmap=True), oracle)
    assert_same(jg.load("out://x.pt", device="cpu"), oracle)
    assert saved.tensor_count == jg.info("out://x.pt").to_json()["tensor_count"]


def test_offsets_follow_from_the_directory(local_out: Path) -> None:
    value = {str(size): torch.ones(size, dtype=torch.uint8) for size in (0, 1, 63, 64, 65, 0, 100_000, 7)}
    jg.save(value, "out://x.pt")
    (local_out / "theirs.pt").write_bytes(torch_bytes(value))
    ours, theirs = jg.info("out://x.pt"), jg.info("out://theirs.pt")
    assert ours.file.requests == theirs.file.requests
    assert {key: span.start % 64 for key, span in ours.file.storages.items()} == dict.fromkeys(ours.file.storages, 0)
    # torch computes them, too, and reads none of the data for it.
    meta = torch.load(local_out / "x.pt", map_location="meta", weights_only=True)
    for name, one in meta.items():
        offset = one.untyped_storage()._checkpoint_offset
        assert offset == ours.file.storages[ours.file.tensors[name].storage].start


def savable() -> dict[str, Any]:
    return {name: one for name, one in {**dtypes(), **shapes()}.items() if str(one.dtype)[6:] in DTYPES.values()}


def alone(value: dict[str, Any]) -> dict[str, Any]:
    """Return tensors that share nothing and keep their strides."""
    return {name: one.detach().clone(memory_format=torch.preserve_format) for name, one in value.items()}


def test_safetensors_is_what_the_library_saves(local_out: Path) -> None:
    value = alone({**savable(), "ünï.模型": torch.ones(1), 'quo"te\\': torch.ones(2)})
    assert not all(one.is_contiguous() for one in value.values())
    jg.save(value, "out://x.safetensors")
    data = (local_out / "x.safetensors").read_bytes()
    whole = {name: one.contiguous() for name, one in value.items()}
    assert data == safetensors.torch.save(whole, metadata={"format": "pt"})
    found = jg.load("out://x.safetensors", device="cpu")
    assert {name: raw(one) for name, one in found.items()} == {name: raw(one) for name, one in whole.items()}
    # The library writes this type and does not read it.
    known = {name: one for name, one in value.items() if one.dtype != torch.float8_e8m0fnu}
    jg.save(known, "out://known.safetensors")
    found = safetensors.torch.load((local_out / "known.safetensors").read_bytes())
    assert {name: raw(one) for name, one in found.items()} == {name: raw(one) for name, one in known.items()}


def test_safetensors_of_numpy(local_out: Path) -> None:
    value = {
        "c": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "f": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
        "big": np.arange(5, dtype=">f8"),
        "every other": np.arange(10, dtype=np.uint16)[::-2],
        "scalar": np.array(True),
        "empty": np.empty((0, 3), np.int8),
    }
    jg.save(value, "out://x.safetensors")
    found = safetensors.numpy.load((local_out / "x.safetensors").read_bytes())
    assert found.keys() == value.keys()
    for name, one in found.items():
        np.testing.assert_array_equal(one, value[name])
        assert one.dtype == value[name].dtype.newbyteorder("<")


def test_nothing_at_all(local_out: Path) -> None:
    jg.save({}, "out://x.safetensors")
    assert jg.load("out://x.safetensors", device="cpu") == {}
    jg.save(None, "out://x.pt")
    assert torch.load(local_out / "x.pt", weights_only=True) is None


ARRAYS = {
    "rows": np.arange(12, dtype=np.float16).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "neither": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "backwards": np.arange(9)[::-1],
    "big-endian": np.arange(4, dtype=">i4"),
    "dates": np.array(["2026-01-01", "NaT"], "datetime64[D]"),
    "fields": np.array([(1, 2.5)], dtype=[("a", "<i4"), ("b", "<f8")]),
    "texts": np.array(["a", "ü模"]),
    "scalar": np.array(1 + 2j),
    "empty": np.empty((2, 0)),
    "repeated": np.broadcast_to(np.arange(3), (2, 3)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_npy_is_what_numpy_saves(local_out: Path, name: str) -> None:
    jg.save(ARRAYS[name], "out://x.npy")
    theirs = io.BytesIO()
    np.save(theirs, ARRAYS[name])
    assert (local_out / "x.npy").read_bytes() == theirs.getvalue()


@pytest.mark.parametrize("make", [lambda: torch.randn(3, 4).t(), lambda: torch.tensor(True), lambda: torch.empty(0, 2)])
def test_npy_of_a_tensor(local_out: Path, make: Callable[[], torch.Tensor]) -> None:
    one = make()
    jg.save(one, "out://x.npy")
    found = np.load(local_out / "x.npy")
    np.testing.assert_array_equal(found, one.numpy())
    assert found.dtype == one.numpy().dtype


def test_large_values_on_each_storage(out: str) -> None:
    base = torch.randn(1100, 2001)
    value = {"whole": base, "turned": base.clone().t(), "one": torch.ones(1)}
    for name in ("x.pt", "x.safetensors"):
        saved = jg.save(value, f"out://run 7/{name}")
        found = jg.load(f"out://run 7/{name}", device="cpu")
        assert {key: raw(one) for key, one in found.items()} == {key: raw(one) for key, one in value.items()}
        assert saved.size_bytes == len(content(f"out://run 7/{name}"))


class Custom:
    """A class of the person's own."""


SHARED = torch.ones(10)
REFUSED = [
    (torch.ones(1), "x.safetensors", "not this Tensor", "state_dict"),
    ([torch.ones(1)], "x.safetensors", "not this list", "as .pt"),
    ({"a": {"b": torch.ones(1)}}, "x.safetensors", "'a' is a dict", "as .pt"),
    ({"a": 1.5}, "x.safetensors", "'a' is a float", "as .pt"),
    ({1: torch.ones(1)}, "x.safetensors", "flat dict", "as .pt"),
    ({"a": SHARED, "b": SHARED}, "x.safetensors", "'a' and 'b' share memory", "clone()"),
    ({"a": SHARED[:6], "b": SHARED[5:]}, "x.safetensors", "'a' and 'b' share memory", "clone()"),
    ({"a": torch.ones(1, dtype=torch.complex128)}, "x.safetensors", "complex128", "as .pt"),
    ({"a": np.ones(1, np.complex128)}, "x.safetensors", "complex128", ".npy"),
    ({"a": torch.eye(2).to_sparse()}, "x.safetensors", "sparse", "to_dense"),
    ({"a": torch.empty(1, device="meta")}, "x.safetensors", "has no data", ""),
    ({"__metadata__": torch.ones(1)}, "x.safetensors", "__metadata__", "Rename"),
    ({"\ud800": torch.ones(1)}, "x.safetensors", "Unicode", "Rename"),
    ({"a": torch.ones(1)}, "x.npy", "not this dict", ".safetensors"),
    (torch.ones(1, dtype=torch.bfloat16), "x.npy", "bfloat16", ".float()"),
    (np.array([object()]), "x.npy", "Python objects", "numbers"),
    (np.ones(3), "x.pt", "numpy array", "from_numpy"),
    ({"loss": np.float64(1)}, "x.pt", "numpy", "float(x)"),
    (torch.nn.Linear(1, 1), "x.pt", "torch.nn.modules.linear.Linear", "model.state_dict()"),
    (Custom(), "x.pt", "Custom", "Save state_dict()"),
    (lambda: 0, "x.pt", "cannot be saved", "plain data"),
    ({"a": torch.eye(2).to_sparse()}, "x.pt", "sparse", "Save state_dict()"),
    ({"a": torch.randn(2, dtype=torch.complex64).conj()}, "x.pt", "conjugated", "resolve_conj"),
    ({"a": SHARED, "b": SHARED.view(torch.int32)}, "x.pt", "another type", "clone()"),
    ({"a": frozenset([1])}, "x.pt", "frozenset", "lists"),
    (torch.ones(1), "x", "which format", ".safetensors"),
    (torch.ones(1), "x.h5", "which format", ".safetensors"),
    (torch.ones(1), "folder/", "needs a name", "weights://"),
    (torch.ones(1), "", "needs a name", "weights://"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "name", "message", "hint"), REFUSED)
def test_what_a_format_cannot_hold_is_refused_before_a_byte_is_sent(
    local_out: Path, value: Any, name: str, message: str, hint: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        jg.save(value, f"out://{name}")
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert list(local_out.iterdir()) == []


def test_parts_of_one_storage_are_no_shared_memory(local_out: Path) -> None:
    jg.save({"a": SHARED[:5], "b": SHARED[5:], "none": SHARED[3:3]}, "out://x.safetensors")
    assert {name: len(one) for name, one in jg.load("out://x.safetensors", device="cpu").items()} == {
        "a": 5, "b": 5, "none": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "form"),
    [
        ("x.pt", None, "pt"),
        ("x.PTH", None, "pt"),
        ("a.safetensors/x.ckpt", None, "pt"),
        ("x.bin", None, "pt"),
        ("x.pt", "safetensors", "safetensors"),
        ("x", "pt", "pt"),
        ("step.100", "safetensors", "safetensors"),
    ],
)
def test_the_format_follows_from_name_or_argument(local_out: Path, name: str, given: str | None, form: str) -> None:
    assert jg.save({"w": torch.ones(1)}, f"out://{name}", format=given).format == form
    assert raw(jg.load(f"out://{name}", device="cpu")["w"]) == raw(torch.ones(1))


def test_a_format_that_there_is_not(local_out: Path) -> None:
    with pytest.raises(BadRequestError, match="'onnx' is no format"):
        jg.save({}, "out://x", format="onnx")


def test_what_is_there_stays_unless_it_is_to_be_replaced(out: str) -> None:
    jg.save({"w": torch.ones(1)}, "out://x.pt")
    with pytest.raises(ExistsError):
        jg.save({"w": torch.zeros(1)}, "out://x.pt")
    assert jg.load("out://x.pt", device="cpu")["w"].item() == 1
    jg.save({"w": torch.zeros(1)}, "out://x.pt", overwrite=True)
    assert jg.load("out://x.pt", device="cpu")["w"].item() == 0


def test_a_connection_that_only_reads(tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", out={"root": str(tmp_path)})
    with pytest.raises(DeniedError, match="read-only"):
        jg.save({}, "out://x.pt")
    with pytest.raises(NotFoundError):
        jg.save({}, "elsewhere://x.pt")


def test_a_path_and_the_line_that_it_prints(tmp_path: Path) -> None:
    saved = jg.save({"w": torch.ones(1000)}, str(tmp_path / "x.safetensors"))
    assert str(saved).startswith(f"{tmp_path}/x.safetensors: 1 tensor, 4.1 kB, ")
    assert str(saved).endswith("/s")


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import numpy as np, jupyter_gpu_ext as jg
jg.save({"w": np.arange(3)}, sys.argv[1] + "/x.safetensors")
jg.save(np.arange(3), sys.argv[1] + "/x.npy")
try:
    jg.save([1], sys.argv[1] + "/x.pt")
except jg_errors.NotInstalledError as error:
    print(error)
""".replace("import numpy", "import jupyter_gpu_ext.errors as jg_errors, numpy")


def test_without_torch(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Writing .pt needs torch."), done.stderr
    np.testing.assert_array_equal(safetensors.numpy.load_file(tmp_path / "x.safetensors")["w"], np.arange(3))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), np.arange(3))
