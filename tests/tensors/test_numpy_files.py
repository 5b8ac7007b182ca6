"""What is loaded from .npy and .npz equals what numpy loads; what is broken or hostile is refused."""

from __future__ import annotations

import io
import re
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.tensors.loader import load_named
from tests.tensors.bounds import light, quick
from tests.tensors.files import zipped
from tests.tensors.same import assert_same, raw
from tests.tensors.test_bad_torch import assert_told, attempt, survives

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Store

KINDS = ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8", "<c8", "<c16"]
SHAPES: list[tuple[int, ...]] = [(), (1,), (7,), (3, 5), (2, 0, 4), (0,), (2, 3, 4, 5), (1,) * 20]


def bits(kind: str, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    dtype = np.dtype(kind)
    count = int(np.prod(shape, dtype=int))
    steps = np.arange(count * dtype.itemsize)
    flat = (steps % 3 == 0 if dtype.kind == "b" else (steps * 37 % 251).astype("u1").view(dtype)).reshape(shape)
    return np.asfortranarray(flat) if order == "F" else flat


def npy(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def npz(packed: bool = False, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def twin(array: np.ndarray) -> torch.Tensor:
    native = array.astype(array.dtype.newbyteorder("="), order="K")
    tensor = torch.from_numpy(native.copy(order="K"))
    assert tensor.stride() == tuple(step // native.itemsize for step in native.copy(order="K").strides)
    return tensor


def assert_equal(mine: torch.Tensor, array: np.ndarray) -> None:
    theirs = twin(array)
    assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
    assert raw(mine) == raw(theirs)


@pytest.mark.parametrize("kind", [*KINDS, ">f4", ">i2", ">u8", ">c8", ">c16"])
def test_npy_equals_numpy(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.npy"
    for shape in SHAPES:
        for order in ("C", "F"):
            array = bits(kind, shape, order)
            np.save(path, array)
            value = jg.load(str(path), device="cpu")
            assert_equal(value, np.load(path))
            if array.ndim > 1 and array.size:
                assert value.is_contiguous() == (order == "C" or array.flags.c_contiguous)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions(tmp_path: Path, version: tuple[int, int]) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(npy(bits("<f4", (3, 4)), version=version))
    assert_equal(jg.load(str(path), device="cpu"), np.load(path))


@pytest.mark.parametrize("text", [
    "{'shape': (2,), 'fortran_order': False, 'descr': '<f4'}\n",
    '{"descr": "<f4", "fortran_order": False, "shape": (2,), }   \n',
    "{'descr':'<f4','fortran_order':False,'shape':(2L,)}",
])  # fmt: skip
def test_headers_of_other_writers(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(headed(text, np.array([1, 2], "<f4").tobytes()))
    assert jg.load(str(path), device="cpu").tolist() == [1, 2]


def test_big_endian_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    array = np.arange(5_000_000, dtype=">f8")
    np.save(path, array)
    value, receipt = load_named(str(path), device="cpu")
    assert_equal(value, array)
    assert "turned round" in str(receipt)
    assert "turned round" in str(jg.info(str(path)))


def arrays() -> dict[str, np.ndarray]:
    return {
        "w": np.arange(60, dtype="f4").reshape(6, 10),
        "f": np.asfortranarray(np.arange(12, dtype="i8").reshape(3, 4)),
        "big": np.arange(3, dtype=">u4"),
        "empty": np.empty((0, 3), "f8"),
        "scalar": np.float64(2.5),
        "ünï 模型": np.array([True, False]),
        "large": np.random.default_rng(0).random(40_000),
    }


@pytest.mark.parametrize("packed", [False, True])
def test_npz_equals_numpy(store: Store, packed: bool) -> None:
    store.put("x.npz", npz(packed, **arrays()))
    url = f"{store.name}://x.npz"
    value, receipt = load_named(url, device="cpu")
    assert list(value) == list(arrays())
    for name, array in arrays().items():
        assert_equal(value[name], np.asarray(array))
    assert ("deflated" in str(receipt)) == packed
    alone = jg.load(url, device="cpu", keys=["large"])
    assert_same(alone, {"large": value["large"]})
    file = jg.info(url).file
    assert file.kind == "npz"
    assert file.requests <= 4
    assert file.bytes_read < 200_000


def test_npz_of_many_is_few_requests(store: Store) -> None:
    store.put("x.npz", npz(**{f"a{index}": np.full(20, index) for index in range(400)}))
    file = jg.info(f"{store.name}://x.npz").file
    assert len(file.tensors) == 400
    assert file.requests <= 4


def test_checksums_of_stored_arrays(tmp_path: Path) -> None:
    data = bytearray(npz(w=np.arange(40_000)))
    path = tmp_path / "x.npz"
    path.write_bytes(data)
    assert "crc ok" in str(load_named(str(path), device="cpu")[1])
    data[200_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(GpuExtError, match="checksum"):
        jg.load(str(path), device="cpu")


def test_empty_npz(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(npz())
    assert jg.load(str(tmp_path / "x.npz"), device="cpu") == {}


def test_streamed_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(zipped({"a.npy": npy(np.arange(5)), "b.npy": npy(np.arange(3.0))}, streamed=True))
    value = jg.load(str(path), device="cpu")
    assert (value["a"].tolist(), value["b"].tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2])


def test_zeros_that_deflate_well(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(npz(packed=True, z=np.zeros(3_000_000)))
    assert jg.load(str(path), device="cpu")["z"].count_nonzero() == 0


def headed(text: str | bytes, data: bytes = b"", version: bytes = b"\1\0", length: int | None = None) -> bytes:
    body = text if isinstance(text, bytes) else text.encode("latin-1")
    size = struct.pack("<H" if version == b"\1\0" else "<I", len(body) if length is None else length)
    return b"\x93NUMPY" + version + size + body + data


def shaped(shape: str, descr: str = "'<f4'", order: str = "False", data: bytes = bytes(8)) -> bytes:
    return headed(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n", data)


def evil_array() -> bytes:
    array = np.array([{"a": 1}, None], dtype=object)
    return npy(array, allow_pickle=True)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "only the mark": (lambda: b"\x93NUMPY", "version"),
    "version 9": (lambda: headed("{}", version=b"\x09\x00"), "version"),
    "version 1.1": (lambda: headed("{}", version=b"\x01\x01"), "version"),
    "objects": (evil_array, "Python objects"),
    "3.6 TiB": (lambda: shaped("(1000000000000,)"), "cut off or damaged"),
    "beyond 64 bits": (lambda: shaped("(4611686018427387904, 4611686018427387904)"), "cannot be"),
    "hidden by a 0": (lambda: shaped("(0, 4611686018427387904, 4611686018427387904)", data=b""), "cannot be"),
    "negative": (lambda: shaped("(-1,)"), "not of the format"),
    "booleans": (lambda: shaped("(True, 2)"), "not of the format"),
    "float": (lambda: shaped("(2.0,)"), "not of the format"),
    "no tuple": (lambda: shaped("(2)"), "cannot be"),
    "a list": (lambda: shaped("[2]"), "not of the format"),
    "octal": (lambda: shaped("(002,)"), "cannot be"),
    "two commas": (lambda: shaped("(2,,)"), "cannot be"),
    "only a comma": (lambda: shaped("(,)"), "cannot be"),
    "65 dimensions": (lambda: shaped("(" + "1, " * 65 + ")"), "cannot be"),
    "code": (lambda: shaped("(__import__('os').system('true'),)"), "not of the format"),
    "code instead": (lambda: headed("__import__('os').system('true')"), "not of the format"),
    "parentheses": (lambda: shaped("(" * 3000 + ")" * 3000), "not of the format"),
    "11 kB": (lambda: headed("{" + " " * 11_000 + "}"), "declares a header of"),
    "4 GB": (lambda: headed("{}", version=b"\2\0", length=2**32 - 1), "declares a header of"),
    "header that is cut": (lambda: npy(np.arange(3))[:40], "within its header"),
    "data that is cut": (lambda: npy(np.arange(3))[:-1], "cut off or damaged"),
    "trailing bytes": (lambda: npy(np.arange(3)) + b"x", "cut off or damaged"),
    "a second file behind": (lambda: npy(np.arange(3)) * 2, "cut off or damaged"),
    "text behind": (lambda: headed("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", bytes(8)), "not of"),
    "key twice": (lambda: headed("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}"), "not of"),
    "key too many": (lambda: headed("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}"), "not of"),
    "key missing": (lambda: headed("{'descr': '<f4', 'shape': (2,)}", bytes(8)), "not of the format"),
    "order of text": (lambda: shaped("(2,)", order="'False'"), "not of the format"),
    "escape in the type": (lambda: shaped("(2,)", descr="'<\\x66\\x34'"), "not of the format"),
    "no text": (lambda: headed(b"\xff\xfe{}", version=b"\3\0"), "not of the format"),
    "text array": (lambda: npy(np.array(["ab", "c"])), "holds text"),
    "bytes array": (lambda: npy(np.array([b"ab"])), "holds text"),
    "dates": (lambda: npy(np.array(["2020-01-01"], "M8[D]")), "holds dates"),
    "time differences": (lambda: npy(np.array([1], "m8[s]")), "time differences"),
    "records": (lambda: npy(np.zeros(2, [("a", "f4"), ("b", "i4")])), "records of several fields"),
    "void": (lambda: npy(np.zeros(2, "V2")), "raw bytes"),
    "long double": (lambda: npy(np.zeros(2, np.longdouble)), "floats of a width"),
    "unknown type": (lambda: shaped("(2,)", descr="'<q4'"), "not of the format"),
}  # fmt: skip

BAD_NPZ: dict[str, tuple[Callable[[], bytes], str]] = {
    "member outside": (lambda: zipped({"../x.npy": npy(np.arange(3))}), r"'\.\./x\.npy', which is no array"),
    "absolute member": (lambda: zipped({"/x.npy": npy(np.arange(3))}), "no array"),
    "nested archive": (lambda: zipped({"a.npy": npy(np.arange(3)), "b.npz": npz(a=np.arange(3))}), "no array"),
    "text beside": (lambda: zipped({"a.npy": npy(np.arange(3)), "b.txt": b"hello"}), "no array"),
    "objects": (lambda: zipped({"a.npy": evil_array()}), "Python objects"),
    "bzip2": (lambda: zipped({"a.npy": npy(np.arange(3))}, method=zipfile.ZIP_BZIP2), "unusual way"),
    "lzma": (lambda: zipped({"a.npy": npy(np.arange(3))}, method=zipfile.ZIP_LZMA), "unusual way"),
    "member of another length": (lambda: zipped({"a.npy": npy(np.arange(3)) + b"x"}), "another number"),
    "member that is no array": (lambda: zipped({"a.npy": b"hello"}), "version"),
    "empty member": (lambda: zipped({"a.npy": b""}), "version"),
    "trailing bytes": (lambda: npz(a=np.arange(3)) + b"x", "after its end"),
    "cut": (lambda: npz(a=np.arange(30_000))[:-30], "cut off|broken"),
    "shape of 3.6 TiB": (lambda: zipped({"a.npy": shaped("(1000000000000,)")}, method=8), "another number"),
    "torch member": (lambda: zipped({"a.npy": npy(np.arange(3)), "x/data.pkl": b"\x80\x02N."}), "no array"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_npy(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    data = make()
    error = attempt(tmp_path, data)
    with light():
        attempt(tmp_path, data)
    assert_told(error)
    assert re.search(message, error.message), error.message


@pytest.mark.parametrize("name", BAD_NPZ)
def test_bad_npz(tmp_path: Path, name: str) -> None:
    make, message = BAD_NPZ[name]
    data = make()
    error = attempt(tmp_path, data)
    with light():
        attempt(tmp_path, data)
    assert_told(error)
    assert re.search(message, error.message), error.message


def test_deflated_bomb(tmp_path: Path) -> None:
    # The directory says as little as the header does; the stream gives a thousand times that.
    honest = npy(np.zeros(100))
    data = bytearray(zipped({"a.npy": honest + bytes(50_000_000)}, method=zipfile.ZIP_DEFLATED))
    entry = data.rindex(b"PK\1\2")
    struct.pack_into("<L", data, entry + 24, len(honest))
    path = tmp_path / "x.npz"
    path.write_bytes(data)
    for bound in (quick(), light(16 << 20)):
        with bound, pytest.raises(GpuExtError, match="does not unpack"):
            jg.load(str(path), device="cpu")


@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=[pytest.mark.prove, pytest.mark.timeout(1200)])])
@pytest.mark.parametrize("kind", ["npy", "npz", "packed npz"])
def test_mutations(tmp_path: Path, kind: str, rounds: int) -> None:
    small = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3, dtype=">i4")}
    data = npy(small["a"]) if kind == "npy" else npz(kind.startswith("packed"), **small)
    with light(20 << 20):
        loaded = survives(tmp_path, data, rounds, kind[-3:])
    assert 0 < loaded < rounds
