"""safetensors files that are broken or hostile; the library's own verdict is the oracle where it has one."""

from __future__ import annotations

import json
import re
import struct
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError
from tests.tensors.bounds import light
from tests.tensors.files import entry, safetensors_bytes
from tests.tensors.same import assert_same
from tests.tensors.test_bad_torch import assert_told, attempt, survives

if TYPE_CHECKING:
    from pathlib import Path

GOOD = safetensors.torch.save(
    {"a": torch.arange(6.0).reshape(2, 3), "b": torch.arange(4, dtype=torch.int16)}, {"k": "v"}
)


def header(text: str, data: bytes = bytes(8)) -> bytes:
    return safetensors_bytes(text.encode(), data)


def one(**change: object) -> bytes:
    return safetensors_bytes({"a": {**entry(0, 8), **change}}, bytes(8))


BAD = {
    "8 bytes": (GOOD[:8], "no tensor file"),
    "9 bytes": (GOOD[:9], "does not have"),
    "header of 2**63": (struct.pack("<Q", 2**63) + GOOD[8:], "no tensor file"),
    "header of 4 GB": (struct.pack("<Q", 2**32 - 1) + GOOD[8:], "are read at most"),
    "header longer than the file": (struct.pack("<Q", len(GOOD) + 1) + GOOD[8:], "does not have"),
    "header longer than is read": (struct.pack("<Q", (100 << 20) + 1) + GOOD[8:], "are read at most"),
    "header shorter than it is": (struct.pack("<Q", 20) + GOOD[8:], "JSON"),
    "header of 0 bytes": (bytes(8) + b"{}", "no tensor file"),
    "leading space": (header(' {"a": {}}'), "no tensor file"),
    "cut data": (GOOD[:-1], "cut off or damaged"),
    "trailing bytes": (GOOD + b"x", "cut off or damaged"),
    "overlap": (safetensors_bytes({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), "overlap"),
    "hole": (safetensors_bytes({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)), "hole"),
    "hole at the start": (safetensors_bytes({"a": entry(4, 8)}, bytes(8)), "hole"),
    "same place twice": (safetensors_bytes({"a": entry(0, 8), "b": entry(0, 8)}, bytes(8)), "overlap"),
    "reversed": (one(data_offsets=[8, 0]), "does not fit"),
    "beyond the file": (safetensors_bytes({"a": entry(0, 800)}, bytes(8)), "damaged"),
    "offsets of 2**64": (one(data_offsets=[2**64, 2**64 + 8]), "does not fit"),
    "negative offsets": (one(data_offsets=[-8, 0]), "does not fit"),
    "three offsets": (one(data_offsets=[0, 8, 8]), "not described"),
    "offsets of text": (one(data_offsets="08"), "does not fit"),
    "offsets of floats": (one(data_offsets=[0.0, 8.0]), "does not fit"),
    "shape that does not fit": (one(shape=[3]), "does not fit"),
    "negative shape": (one(shape=[-2]), "does not fit"),
    "shape of booleans": (one(shape=[True, True, 2]), "does not fit"),
    "shape of text": (one(shape="2"), "does not fit"),
    "shape of an object": (one(shape={}), "does not fit"),
    "shape of NaN": (header('{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'), "JSON"),
    "shape beyond 64 bits": (one(shape=[0, 2**62, 2**62], data_offsets=[0, 0])[:-8], "cannot be"),
    "100,000 dimensions": (one(shape=[2**40] * 100_000), "does not fit"),
    "unknown dtype": (one(dtype="F4"), "not described"),
    "dtype of a list": (one(dtype=["F32"]), "not described"),
    "no dtype": (header('{"a":{"shape":[2],"data_offsets":[0,8]}}'), "not described"),
    "entry of null": (header('{"a":null}'), "not described"),
    "duplicate keys": (header(f'{{"a":{json.dumps(entry(0, 8))},"a":{json.dumps(entry(0, 8))}}}'), "JSON"),
    "duplicate fields": (header('{"a":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}'), "JSON"),
    "metadata that is no text": (safetensors_bytes({"__metadata__": {"k": 1}, "a": entry(0, 8)}, bytes(8)), "not text"),
    "metadata that is a list": (safetensors_bytes({"__metadata__": [], "a": entry(0, 8)}, bytes(8)), "not text"),
    "deep JSON": (header('{"a":' * 100_000), "JSON"),
    "deep list": (header('{"a":' + "[" * 100_000), "JSON"),
    "number of 100,000 digits": (header('{"a":' + "9" * 100_000 + "}"), "JSON|not described"),
    "no JSON": (header("{hello}"), "JSON"),
    "not UTF-8": (safetensors_bytes(b'{"\xff":1}'), "JSON"),
    "UTF-16": (safetensors_bytes(b"{" + '"a":1}'.encode("utf-16-le")), "JSON"),
    "half a character": (header('{"\\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), "JSON"),
    "NUL behind": (safetensors_bytes(b"{}\0\0"), "JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_file(tmp_path: Path, name: str) -> None:
    data, message = BAD[name]
    error = attempt(tmp_path, data)
    with light((20 << 20) + 4 * len(data)):
        attempt(tmp_path, data)
    assert_told(error)
    assert re.search(message, error.message), error.message


# The format's text forbids these, or another reader would see other tensors; the library lets them pass.
STRICTER = {"duplicate keys", "shape of booleans", "NUL behind"}


@pytest.mark.parametrize("name", sorted(set(BAD) - STRICTER))
def test_the_library_refuses_it_too(name: str) -> None:
    with pytest.raises((SafetensorError, RuntimeError)):
        safetensors.torch.load(BAD[name][0])


def test_too_many_tensors(tmp_path: Path) -> None:
    text = (
        "{" + ",".join(f'"{index}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for index in range(200_001)) + "}"
    )
    error = attempt(tmp_path, header(text, b""))
    with light():
        attempt(tmp_path, header(text, b""))
    assert "declares 200,001 tensors" in error.message


def test_truncated_anywhere(tmp_path: Path) -> None:
    for length in range(len(GOOD)):
        assert_told(attempt(tmp_path, GOOD[:length]))


def test_names_are_text_and_nothing_more(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "<img src=x onerror=alert(1)>", "a\nb\x1b[31m", "x" * 1_000_000, "\u202egpj.exe", ""]
    header = {name: entry(4 * index, 4 * index + 4) for index, name in enumerate(names)}
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes(header, bytes(4 * len(names))))
    assert list(jg.load(str(path), device="cpu")) == names
    shown = str(jg.info(str(path)))
    assert len(shown.splitlines()) == len(names) + 2
    assert len(shown) < 5000
    for mark in ("\x1b", "\u202e"):
        assert mark not in shown
    with pytest.raises(GpuExtError) as caught:
        jg.load(str(path), device="cpu", keys=["none\n*"])
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 2000


def test_padded_header_is_read(tmp_path: Path) -> None:
    # The format allows spaces behind the JSON, and zero-length tensors at one place.
    raw = json.dumps({"e": entry(0, 0), "a": entry(0, 8), "f": entry(8, 8)}).encode() + b" " * 13
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes(raw, bytes(8)))
    assert_same(jg.load(str(path), device="cpu"), safetensors.torch.load_file(path) | {})


@pytest.mark.parametrize("rounds", [500, pytest.param(12_000, marks=[pytest.mark.prove, pytest.mark.timeout(1200)])])
def test_mutations(tmp_path: Path, rounds: int) -> None:
    loaded = survives(tmp_path, GOOD, rounds, "safetensors")
    assert 0 < loaded < rounds
