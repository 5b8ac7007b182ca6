"""HDF5 files that are broken or hostile: one error each or an answer that says what it left out, in little time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from h5py import h5d, h5o, h5p, h5s, h5t, h5z

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, TensorFormatError
from tests.tensors.bounds import light, quick
from tests.tensors.hdf5_files import LIBVERS, climate, written
from tests.tensors.test_hdf5 import part

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNATURE = b"\x89HDF\r\n\x1a\n"
WHOLE = written(climate)


def deep(file: h5py.File) -> None:
    group = file
    for _ in range(3000):
        group = group.create_group("g")


def links(file: h5py.File) -> None:
    file["d"] = 1
    target = file["d"].id
    for at in range(50_000):
        file.id.links.create_soft(f"s{at}".encode(), b"/d")
        h5o.link(target, file.id, f"h{at}".encode())


def datasets(file: h5py.File) -> None:
    space, plan = h5s.create_simple((4,)), h5p.create(h5p.DATASET_CREATE)
    plan.set_layout(h5d.COMPACT)
    for at in range(11_000):
        h5d.create(file.id, f"d{at:05}".encode(), h5t.NATIVE_INT8, space, plan)


def loops(file: h5py.File) -> None:
    file["a/b/c"] = 1
    file["a/b/up"] = file["a"]
    file["root"] = file["/"]


def plugin(file: h5py.File) -> None:
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    plan.set_filter(32015, h5z.FLAG_OPTIONAL, (3,))
    plan.set_filter(65000, h5z.FLAG_OPTIONAL, (3,))
    h5d.create(file.id, b"packed", h5t.NATIVE_FLOAT, h5s.create_simple((8,)), plan)


def attributes(file: h5py.File) -> None:
    file.attrs["long"] = np.zeros(1_000_000)
    file.attrs["empty"] = h5py.Empty("f4")
    file.attrs["ref"] = file.ref
    file.attrs["records"] = np.zeros(2, [("a", "i4")])
    for at in range(300):
        file.attrs[f"a{at}"] = "x" * 10_000


def names(file: h5py.File) -> None:
    file["<img src=x onerror=alert(1)>"] = 1
    file["a\nb\u202e\x1b[31m"] = 1
    file["n" * 5000] = 1
    file.id.links.create_soft(b"\xff\xfe", b"/\xff")


def sizes(file: h5py.File) -> None:
    file.create_dataset("many", shape=(10**15,), chunks=(1,), dtype="f8")
    file.create_dataset("large", shape=(2**32,), chunks=(2**31,), dtype="u1", compression="gzip")
    file.create_dataset("rank", shape=(1,) * 32, dtype="u1")


# What is shown of a file that is strange and whole: a word of its notes, and how many datasets.
STRANGE: dict[str, tuple[Callable[[h5py.File], None], str, int]] = {
    "3,000 groups in groups": (deep, "below 64 levels", 0),
    "100,000 links": (links, "links are left out", 1),
    "11,000 datasets": (datasets, "more than 10,000", 10_000),
    "groups in themselves": (loops, "", 1),
    "a filter of a plugin": (plugin, "", 1),
    "long and many attributes": (attributes, "", 0),
    "hostile names": (names, "more than 4,096 bytes", 2),
    "shapes that no memory holds": (sizes, "", 3),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_file(tmp_path: Path, name: str) -> None:
    fill, words, count = STRANGE[name]
    path = tmp_path / "x.h5"
    path.write_bytes(written(fill, libver="latest"))
    # Two in the library, then the process is ended; and its start.
    with quick(3.0):
        info = jg.info(str(path))
        found = info.to_json()
    with light():
        jg.info(str(path)).to_json()
    assert found["tensor_count"] == count or "in time" in str(found["notes"])
    assert words in str(found["notes"]) or "in time" in str(found["notes"])
    text = json.dumps(found, allow_nan=False)
    assert len(text) < 16 << 20
    assert "\x1b" not in str(info)
    assert "\u202e" not in str(info)


def test_what_a_plugin_would_decode_is_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(written(plugin))
    (row,) = jg.info(str(tmp_path / "x.h5")).to_json()["tensors"]
    assert (row["codecs"], row["unreadable"]) == (["zstd", "filter 65000"], "its filter 'zstd' is not read")
    with pytest.raises(BadRequestError, match="'zstd' is not read"):
        part(str(tmp_path / "x.h5"), "packed", range(1))


def test_parts_of_what_no_memory_holds(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(written(sizes))
    assert part(str(tmp_path / "x.h5"), "many", range(10**14, 10**14 + 3)).tolist() == [0, 0, 0]
    for name, ranges in (("large", range(1)), ("many", range(10**15))):
        with quick(), light(), pytest.raises(BadRequestError, match="are read"):
            part(str(tmp_path / "x.h5"), name, ranges)


def bomb(file: h5py.File) -> None:
    one = file.create_dataset("x", shape=(1024,), chunks=(1024,), dtype="u1", compression="gzip")
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(400)) + packer.flush()
    one.id.write_direct_chunk((0,), packed)


def bad_chunk(file: h5py.File) -> None:
    one = file.create_dataset("x", shape=(1024,), chunks=(1024,), dtype="u1", compression="gzip")
    one.id.write_direct_chunk((0,), b"this is no deflate stream")


@pytest.mark.parametrize("fill", [bomb, bad_chunk])
def test_bad_chunk(tmp_path: Path, fill: Callable[[h5py.File], None]) -> None:
    (tmp_path / "x.h5").write_bytes(written(fill))
    with quick(), light(), pytest.raises(TensorFormatError, match="damaged"):
        part(str(tmp_path / "x.h5"), "x", range(1024))


BAD: dict[str, bytes] = {
    "only the signature": SIGNATURE,
    "zeros behind the signature": SIGNATURE + bytes(100_000),
    "noise behind the signature": SIGNATURE + bytes(range(256)) * 100,
    "cut off at the end": WHOLE[:-1],
    "cut off in the middle": WHOLE[: len(WHOLE) // 2],
    "a version that is not known": SIGNATURE + b"\x09" + WHOLE[9:],
    "a root that lies beyond the end": WHOLE[:64] + b"\xff\xff\xff\x7f" + WHOLE[68:],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(BAD[name])
    with quick(), light(), pytest.raises(TensorFormatError, match="cut off or damaged") as caught:
        jg.info(str(path))
    assert caught.value.hint


def mutated(path: Path, rounds: int, name: str = "") -> dict[str, Any]:
    """Read so many broken copies, or a part of a dataset of each."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tensors.hdf5_mutants", str(path), str(rounds), name],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"},
    )  # fmt: skip
    return json.loads(done.stdout)


ROUNDS = [125, pytest.param(2500, marks=[pytest.mark.prove, pytest.mark.timeout(1800)])]


_TOLD = ("read", "damaged", "refused")


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("name", ["", "t2m"], ids=["info", "a part"])
@pytest.mark.parametrize("kind", ["old", "new"])
def test_mutations(tmp_path: Path, kind: str, name: str, rounds: int) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(written(climate, **LIBVERS[kind]))
    found = mutated(path, rounds, name)
    assert found["plain"] == "read"
    assert set(found["seen"]) & {"read"}
    assert set(found["seen"]) & {"damaged"}
    # Whatever ends the process is one error for who asked, see below.
    assert all(one in _TOLD or one.startswith(("ended by", "asks for")) for one in found["seen"])
    assert found["slowest"] < 3
    assert found["grown"] < 64 << 20


ENDINGS = ["os.abort()", "time.sleep(60)", "bytes(1 << 30)", "[0 for _ in iter(int, 1)]", "exit(3)"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_that_ends_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """What the library might do of a file that nobody has found yet."""
    (tmp_path / "h5py").mkdir()
    (tmp_path / "h5py" / "__init__.py").write_text(
        f"import os, time\nclass File:\n    def __init__(self, *_, **__):\n        {ending}\n        os._exit(1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr("jupyter_gpu_ext.tensors.hdf5._INFO_SECONDS", 4.0)
    (tmp_path / "x.h5").write_bytes(WHOLE)
    begun = time.monotonic()
    with pytest.raises(GpuExtError):
        jg.info(str(tmp_path / "x.h5"))
    assert time.monotonic() - begun < 20
