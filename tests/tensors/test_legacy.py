"""Files of torch before 1.6: loaded as torch loads them, by ranges, and refused when they are broken or hostile."""

from __future__ import annotations

import io
import pickle
import re
import struct
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from tests.tensors.files import Call, Persistent, pickled, small, tensor, torch_bytes
from tests.tensors.same import assert_same
from tests.tensors.test_bad_torch import EVIL, assert_told, attempt, survives
from tests.tensors.test_load import CASES, oracle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Store

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
# What the old format cannot hold: types without a storage class of their own, and one storage of two types.
LEFT_OUT = {"uint16 and uint32 over one storage", "leaves", "small", "dtype complex32"} | {
    f"dtype {name}" for name in ITEM_BYTES if name.startswith(("uint16", "uint32", "uint64", "float8"))
}


def legacy(value: Any, **options: Any) -> bytes:
    return torch_bytes(value, _use_new_zipfile_serialization=False, **options)


def by_hand(value: bytes, data: bytes = b"", keys: Any = (), magic: int = MAGIC, system: Any = None) -> bytes:
    parts = [magic, PROTOCOL, SYSTEM if system is None else system]
    return b"".join(pickle.dumps(part, 2) for part in parts) + value + pickle.dumps(list(keys), 2) + data


@pytest.mark.parametrize("case", [name for name in CASES if name not in LEFT_OUT])
def test_equals_torch_load(tmp_path: Path, case: str) -> None:
    torch.manual_seed(0)
    data = legacy(CASES[case]())
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    assert_same(jg.load(str(path), device="cpu"), oracle(data))


def test_from_storage_by_ranges(store: Store) -> None:
    state = {f"layer.{index}": torch.randn(200, 100) for index in range(40)}
    data = legacy(state)
    store.put("x.pth", data)
    url = f"{store.name}://x.pth"
    file = jg.info(url).file
    assert (file.kind, file.requests, len(file.tensors)) == ("torch-legacy", 1, 40)
    assert_same(jg.load(url, device="cpu"), oracle(data))
    value, receipt = load_named(url, device="cpu", keys=["layer.7"])
    assert_same(value, {"layer.7": state["layer.7"]})
    assert receipt.bytes_read < 64 * 1024 + 80_000 * 1.05
    assert "before 1.6" in str(receipt)


def test_long_description(store: Store) -> None:
    state = {f"a_rather_long_name_of_a_layer.{index}": torch.full((2,), index) for index in range(3000)}
    data = legacy(state)
    store.put("x.pth", data)
    assert_same(jg.load(f"{store.name}://x.pth", device="cpu"), oracle(data))


ONE = pickled(tensor())
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "only the mark": (lambda: legacy(small())[:15], "cut off"),
    "cut in the description": (lambda: legacy(small())[:300], "cut off"),
    "cut in the data": (lambda: legacy(small())[:-1], "cut off or damaged"),
    "trailing bytes": (lambda: legacy(small()) + b"x", "cut off or damaged"),
    "other magic number": (lambda: by_hand(pickled({}), magic=MAGIC + 1), "not one that torch.save wrote"),
    "other protocol": (lambda: legacy(small()).replace(b"\x80\x02M\xe9\x03.", b"\x80\x02M\xe8\x03."), "list of its"),
    "big-endian": (lambda: by_hand(pickled({}), system={"little_endian": False}), "little-endian"),
    "no system": (lambda: by_hand(pickled({}), system=[]), "little-endian"),
    "keys that are missing": (lambda: by_hand(ONE, bytes(24)), "does not have the storages"),
    "keys too many": (lambda: by_hand(ONE, bytes(24), ["0", "1"]), "does not have the storages"),
    "keys twice": (lambda: by_hand(ONE, bytes(24), ["0", "0"]), "no list of its storages"),
    "keys that are no text": (lambda: by_hand(ONE, bytes(24), [0]), "no list of its storages"),
    "length that is another": (lambda: by_hand(ONE, struct.pack("<Q", 99) + bytes(16), ["0"]), "another length"),
    "negative length": (lambda: by_hand(ONE, b"\xff" * 8 + bytes(16), ["0"]), "another length"),
    "data that is missing": (lambda: by_hand(ONE, b"", ["0"]), "cut off or damaged"),
    "tensor outside": (lambda: by_hand(pickled(tensor(shape=(5,))), b"\4" + bytes(23), ["0"]), "outside"),
    "a part of a storage": (lambda: by_hand(pickled(Call(dict, ())), b""), "more than plain tensors"),
    "unknown opcode": (lambda: by_hand(b"\x80\x02\xff."), "pickle"),
    "bare storage": (lambda: by_hand(pickled(Persistent("0", 4)), struct.pack("<Q", 4) + bytes(16), ["0"]), "bare"),
    "module": (lambda: legacy(torch.nn.Linear(2, 2)), "more than plain tensors .*Linear"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BAD)
def test_bad_file(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    error = attempt(tmp_path, make())
    assert_told(error)
    assert re.search(message, error.message), error.message


@pytest.mark.parametrize("place", ["value", "system", "keys", "magic"])
@pytest.mark.parametrize("kind", sorted(set(EVIL) - {"getattr"}))
def test_evil_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, place: str) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary = tmp_path / "canary"
    evil = pickled(EVIL[kind](str(canary)))
    plain = [pickle.dumps(one, 2) for one in (MAGIC, PROTOCOL, SYSTEM, {}, [])]
    plain[{"magic": 0, "system": 2, "value": 3, "keys": 4}[place]] = evil
    assert_told(attempt(tmp_path, b"".join(plain)))
    assert not canary.exists()


def test_truncated_anywhere(tmp_path: Path) -> None:
    data = legacy(small())
    for length in range(1, len(data), max(1, len(data) // 60)):
        assert_told(attempt(tmp_path, data[:length]))


@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=[pytest.mark.prove, pytest.mark.timeout(1200)])])
def test_mutations(tmp_path: Path, rounds: int) -> None:
    loaded = survives(tmp_path, legacy(small()), rounds, "pt")
    assert 0 < loaded < rounds


def test_old_tar_file(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sys_info"), io.BytesIO())
    error = attempt(tmp_path, buffer.getvalue())
    assert "tar" in error.message
    assert_told(error)


def test_nothing_of_torch_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("torch.load was called")

    path = tmp_path / "x.pth"
    path.write_bytes(legacy(small()))
    monkeypatch.setattr(torch, "load", refuse)
    assert "w" in jg.load(str(path), device="cpu")
