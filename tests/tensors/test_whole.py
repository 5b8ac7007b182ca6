"""What torch's safe reader rebuilds for us: equal to torch.load, on no disk, and never code."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, NotInstalledError, TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.loader import load_named
from tests.tensors.files import Call, archive_of, members, pickled, torch_bytes, zipped
from tests.tensors.test_bad_torch import assert_told, mutated, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Store

pytestmark = pytest.mark.filterwarnings("ignore")


class Mine(torch.Tensor):
    """A subclass that the user has to allow."""


CASES: dict[str, Callable[[], Any]] = {
    "sparse": lambda: {"m": torch.eye(5).to_sparse(), "w": torch.randn(3)},
    "sparse csr": lambda: [torch.eye(5).to_sparse_csr()],
    "quantised": lambda: {"q": torch.quantize_per_tensor(torch.randn(20), 0.1, 3, torch.qint8)},
    "quantised by channel": lambda: torch.quantize_per_channel(
        torch.randn(2, 3), torch.tensor([0.1, 0.2]), torch.tensor([0, 1]), 0, torch.quint8
    ),
    "conjugated": lambda: {"c": torch.randn(4, dtype=torch.cfloat).conj()},
    "negated": lambda: torch._neg_view(torch.randn(3)),
    "nested": lambda: torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(1, 3)]),
    "meta": lambda: {"m": torch.empty(3, device="meta"), "w": torch.ones(2)},
}


def flat(value: Any) -> list[torch.Tensor]:
    if isinstance(value, dict):
        return [one for item in value.values() for one in flat(item)]
    return [one for item in value for one in flat(item)] if isinstance(value, list) else [value]


def assert_equal(mine: torch.Tensor, theirs: torch.Tensor) -> None:
    assert (mine.dtype, mine.layout, mine.is_quantized, mine.is_nested, mine.device) == (
        theirs.dtype, theirs.layout, theirs.is_quantized, theirs.is_nested, theirs.device,
    )  # fmt: skip
    assert (mine.is_conj(), mine.is_neg()) == (theirs.is_conj(), theirs.is_neg())
    if theirs.is_nested:
        assert all(torch.equal(one, other) for one, other in zip(mine.unbind(), theirs.unbind(), strict=True))
    elif theirs.device.type != "meta":
        dense = [one.dequantize() if one.is_quantized else one.to_dense() for one in (mine, theirs)]
        assert torch.equal(*dense)


# torch itself does not read nested tensors of the old format.
@pytest.mark.parametrize(
    ("case", "legacy"), [(case, legacy) for case in CASES for legacy in (False, True) if not legacy or case != "nested"]
)
def test_equals_torch_load(tmp_path: Path, case: str, legacy: bool) -> None:
    torch.manual_seed(0)
    data = torch_bytes(CASES[case](), _use_new_zipfile_serialization=not legacy)
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    mine, receipt = load_named(str(path), device="cpu")
    theirs = torch.load(io.BytesIO(data), weights_only=True)
    assert type(mine) is type(theirs)
    for one, other in zip(flat(mine), flat(theirs), strict=True):
        assert_equal(one, other)
    assert "rebuilt by torch" in str(receipt)


def test_from_storage_in_several_ranges(store: Store) -> None:
    weight = torch.randn(6_000_000)
    data = torch_bytes({"w": weight, "again": weight, "s": torch.eye(3).to_sparse()})
    store.put("x.pt", data)
    url = f"{store.name}://x.pt"
    value, receipt = load_named(url, device="cpu", name="value")
    assert torch.equal(value["w"], weight)
    assert value["w"].data_ptr() == value["again"].data_ptr()
    assert receipt.bytes_read <= len(data) * 1.01 + 64 * 1024
    assert receipt.requests >= 3
    assert any(one["name"] == "value" for one in HOLDINGS.report()["loads"])
    del value
    assert not any(one["name"] == "value" for one in HOLDINGS.report()["loads"])


def test_what_it_asks_for_is_said_before_the_download(store: Store) -> None:
    store.put("x.pt", torch_bytes({"w": torch.randn(1_000_000), "s": torch.eye(3).to_sparse()}))
    with pytest.raises(TensorFormatError, match="_rebuild_sparse_tensor") as caught:
        jg.info(f"{store.name}://x.pt")
    assert "`jg.load` has torch rebuild it" in caught.value.hint


def test_a_class_that_the_user_allows(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(torch_bytes({"w": torch.arange(4.0).as_subclass(Mine)}))
    with pytest.raises(TensorFormatError, match="Mine"):
        jg.load(str(path), device="cpu")
    with torch.serialization.safe_globals([Mine]):
        value = jg.load(str(path), device="cpu")
    assert type(value["w"]) is Mine
    assert value["w"].tolist() == [0, 1, 2, 3]


def test_keys_and_dtype_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(torch_bytes({"s": torch.eye(3).to_sparse()}))
    for options in ({"keys": ["s"]}, {"dtype": "float16"}):
        with pytest.raises(BadRequestError, match="as a whole"):
            jg.load(str(path), device="cpu", **options)


def test_old_torch_is_not_trusted_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(torch_bytes({"s": torch.eye(3).to_sparse()}))
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu128")
    with pytest.raises(NotInstalledError, match="CVE-2026-24747") as caught:
        jg.load(str(path), device="cpu")
    assert "2.10" in caught.value.hint


def test_indices_out_of_range(tmp_path: Path) -> None:
    sparse = torch.sparse_coo_tensor(torch.tensor([[0, 1], [2, 0]]), torch.ones(2), (3, 3))
    contents = members(torch_bytes({"s": sparse}))
    name = next(key for key, data in contents.items() if "/data/" in key and len(data) == 32)
    contents[name] = (99).to_bytes(8, "little") * 4
    path = tmp_path / "x.pt"
    path.write_bytes(zipped(contents))
    with pytest.raises(TensorFormatError, match="cannot be rebuilt by torch") as caught:
        jg.load(str(path), device="cpu")
    assert_told(caught.value)


@pytest.mark.parametrize("layout", ["zip", "legacy", "raw"])
def test_evil_pickle_beside_a_sparse_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary = tmp_path / "canary"
    value = {"s": Call(torch._utils._rebuild_sparse_tensor, torch.sparse_coo, ()), "e": Call(os.mkdir, str(canary))}
    raw = pickled(value)
    data = archive_of(raw) if layout == "zip" else raw
    if layout == "legacy":
        plain = torch_bytes({}, _use_new_zipfile_serialization=False)
        data = plain.replace(b"\x80\x02}q\x00.", raw, 1)
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    with pytest.raises(UnsupportedFormatError) as caught:
        jg.load(str(path), device="cpu")
    assert_told(caught.value)
    assert not canary.exists()


def test_evil_pickle_that_only_torch_would_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Our reader is told that all is torch's own; torch's safe reader has the last word, whatever the variable says.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary = tmp_path / "canary"
    monkeypatch.setattr("jupyter_gpu_ext.tensors.whole.TORCHS_OWN", frozenset({"posix.mkdir"}))
    path = tmp_path / "x.pt"
    path.write_bytes(archive_of(pickled(Call(os.mkdir, str(canary)))))
    with pytest.raises(TensorFormatError, match="cannot be rebuilt"):
        jg.load(str(path), device="cpu")
    assert not canary.exists()


def test_nothing_is_written_to_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(torch_bytes({"w": torch.randn(3_000_000), "s": torch.eye(3).to_sparse()}))
    empty = tmp_path / "temporary"
    empty.mkdir()
    monkeypatch.setenv("TMPDIR", str(empty))
    before = len(list(Path("/proc/self/fd").iterdir()))
    value = jg.load(str(path), device="cpu")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    assert value["w"].numel() == 3_000_000
    assert not list(empty.iterdir())


@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=[pytest.mark.prove, pytest.mark.timeout(1200)])])
def test_mutations(tmp_path: Path, rounds: int) -> None:
    data = zipped(members(torch_bytes({"s": torch.eye(3).to_sparse()})), method=zipfile.ZIP_STORED)
    path, loaded = tmp_path / "x.pt", 0
    for changed in mutated(data, rounds):
        path.write_bytes(changed)
        error = refusal(path)
        loaded += error is None
        assert error is None or (error.message and "\n" not in str(error))
    assert 0 < loaded < rounds
