"""torch archives that are broken, hostile or of another kind: one error each, nothing run, nothing returned."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError, UnsupportedFormatError
from tests.tensors.bounds import light, quick
from tests.tensors.files import (
    Call,
    Persistent,
    archive_of,
    members,
    pickled,
    small,
    tensor,
    torch_bytes,
    zipped,
)
from tests.tensors.same import assert_same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CANARY = "canary-of-the-evil-pickle"
DATA = {"0": bytes(16)}


def attempt(folder: Path, data: bytes) -> GpuExtError:
    """Load a file that must be refused, by each way in; return the error."""
    path = folder / "bad.pt"
    path.write_bytes(data)
    with quick(), pytest.raises(GpuExtError) as caught:
        jg.info(str(path))
    with quick(), pytest.raises(GpuExtError) as again:
        jg.load(str(path), device="cpu")
    assert str(again.value) == str(caught.value)
    return caught.value


def assert_told(error: GpuExtError) -> None:
    shown = str(error)
    assert error.code == "unsupported_format", shown
    assert isinstance(error, UnsupportedFormatError)
    assert error.message
    assert error.hint
    assert "Traceback" not in shown
    assert "\n" not in shown
    assert len(shown) < 2000


def described(value: Any, storages: dict[str, bytes] = DATA, protocol: int = 2) -> bytes:
    return archive_of(pickled(value, protocol), storages)


def without(name: str) -> bytes:
    return zipped({key: data for key, data in members(torch_bytes(small())).items() if not key.endswith(name)})


def with_member(name: str, data: bytes) -> bytes:
    return zipped(members(torch_bytes(small())) | {name: data})


def twice(name: str) -> bytes:
    contents = [*members(torch_bytes(small())).items()]
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zipped([*contents, (name, b"other")])


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def nested(depth: int, protocol: int = 2) -> bytes:
    # Written by hand: the pickler itself would recurse.
    return archive_of(b"\x80\x02" + b"]" * (depth + 1) + b"a" * depth + b".")


def laughing(kind: bytes) -> bytes:
    """Return 60 containers, each holding the one before it twice: 2**60 leaves."""
    step = {b"list": b"]q%c(h%ch%ce", b"tuple": b"(h%ch%ctq%c"}[kind]
    body = b"]q\x00"
    for index in range(1, 61):
        numbers = (index, index - 1, index - 1) if kind == b"list" else (index - 1, index - 1, index)
        body += step % numbers
    return body


def aliases(count: int) -> bytes:
    one = tensor()
    body = pickled([one])[:-1]
    # The tensor lies on top of its list; the memo holds the tensor under some number: use lists of itself.
    return archive_of(body[:-1] + b"q\xf0a(" + b"h\xf0" * count + b"e.", DATA)


def directory_of(count: int, length: int) -> bytes:
    """Return an archive whose end claims a directory of that many members and bytes."""
    data = bytearray(zipped(members(torch_bytes(small()))))
    at = data.rfind(b"PK\5\6")
    struct.pack_into("<2H2L", data, at + 8, min(count, 0xFFFF), min(count, 0xFFFF), min(length, 0xFFFFFFFF), 0)
    return bytes(data)


def entry_field(offset: int, value: bytes, member: int = 0) -> bytes:
    """Change bytes of a member's directory entry."""
    data = bytearray(zipped(members(torch_bytes(small()))))
    at = -1
    for _ in range(member + 1):
        at = data.index(b"PK\1\2", at + 1)
    data[at + offset : at + offset + len(value)] = value
    return bytes(data)


def shared_header() -> bytes:
    """Return an archive in which two members' entries lead to one local header."""
    data = bytearray(zipped(members(torch_bytes({"a": torch.ones(4), "b": torch.zeros(4)}))))
    entries = [at for at in range(len(data)) if data[at : at + 4] == b"PK\1\2"]
    by_name = {bytes(data[at + 46 : at + 46 + struct.unpack_from("<H", data, at + 28)[0]]): at for at in entries}
    first, second = by_name[b"archive/data/0"], by_name[b"archive/data/1"]
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is empty"),
    "7 bytes": (lambda: b"1234567", "no tensor file"),
    "only the magic bytes": (lambda: b"PK\3\4", "cut off"),
    "git-lfs pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 123\n", "Git LFS"),
    "web page": (lambda: b"\n <!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
    "XML of a storage error": (lambda: b'<?xml version="1.0"?><Error><Code>AuthFailed</Code></Error>', "web page"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(100), "gzip"),
    "raw pickle of protocol 2": (lambda: pickled({"a": 1}, 2), "not one that torch.save wrote"),
    "raw pickle of protocol 4": (lambda: pickled({"a": 1}, 4), "not one that torch.save wrote"),
    "trailing bytes": (lambda: torch_bytes(small()) + b"x", "after its end"),
    "a second archive behind": (lambda: torch_bytes(small()) + zipped({"x": b"1"}), "damaged|broken|not one that"),
    "another zip": (lambda: zipped({"a.txt": b"hello"}), "not one that torch.save writes"),
    "no data.pkl": (lambda: without("data.pkl"), "not one that torch.save writes"),
    "two data.pkl": (lambda: with_member("other/data.pkl", b"\x80\x02N."), "not one that torch.save writes"),
    "duplicate member": (lambda: twice("archive/data/0"), "two members of one name"),
    "missing storage": (lambda: without("data/0"), "no data"),
    "shorter storage": (lambda: with_member("archive/data/0", bytes(239)), "239 bytes, 240 are declared"),
    "longer storage": (lambda: with_member("archive/data/0", bytes(300)), "300 bytes, 240 are declared"),
    "big-endian": (lambda: with_member("archive/byteorder", b"big"), "little-endian"),
    "no byte order that is known": (lambda: with_member("archive/byteorder", b"little\n"), "little-endian"),
    "deflated": (lambda: zipped(members(torch_bytes(small())), method=zipfile.ZIP_DEFLATED), "compressed"),
    "deflated bomb": (lambda: zipped(members(torch_bytes({"z": torch.zeros(2_000_000)})), method=8), "compressed"),
    "encrypted": (lambda: entry_field(8, b"\x09\x00"), "compressed"),
    "TorchScript": (script, "TorchScript"),
    "hand-made TorchScript": (lambda: with_member("archive/code/__torch__.py", b"x"), "TorchScript"),
    "exported program": (lambda: with_member("archive/archive_format", b"pt2"), "exported program"),
    "huge directory": (lambda: directory_of(10, 2**31), "declares a directory of"),
    "directory before the file": (lambda: directory_of(60_000, 100), "broken"),
    "member before the file": (lambda: entry_field(42, b"\xff\xff\xff\x7f"), "does not have|broken"),
    "member that is another's": (shared_header, "broken archive member"),
    "member name that is no text": (lambda: entry_field(46, b"\xff\xff"), "no text"),
    "member name that is not the local one": (lambda: entry_field(46, b"Archive", 4), "no data|broken|not one that"),
    "empty pickle": (lambda: archive_of(b""), "pickle"),
    "pickle without an end": (lambda: archive_of(b"\x80\x02}"), "pickle"),
    "no pickle": (lambda: archive_of(b"hello world"), "pickle"),
    "only STOP": (lambda: archive_of(b"."), "pickle"),
    "extension opcode": (lambda: archive_of(b"\x80\x02\x82\x01."), "pickle"),
    "deep list": (lambda: nested(5000), "deep"),
    "billion laughs of lists": (lambda: archive_of(b"\x80\x02" + laughing(b"list") + b"."), "deep"),
    "billion laughs of tuples": (lambda: archive_of(b"\x80\x02" + laughing(b"tuple") + b"."), "deep"),
    "tuple that takes forever to hash": (lambda: archive_of(b"\x80\x02}" + laughing(b"tuple")[3:] + b"Ns."), "pickle"),
    "list that contains itself": (lambda: archive_of(b"\x80\x02]q\x00h\x00a."), "deep"),
    "stride 0 over 10**11 elements": (lambda: described([tensor(shape=(10**11,), stride=(0,))]), "claims"),
    "300,000 aliases": (lambda: aliases(300_000), "more than 200,000 tensors"),
    "beyond its storage": (lambda: described([tensor(shape=(5,))]), "outside its data"),
    "offset beyond its storage": (lambda: described([tensor(offset=1)]), "outside its data"),
    "negative offset": (lambda: described([tensor(offset=-1)]), "outside its data"),
    "negative stride": (lambda: described([tensor(stride=(-1,))]), "cannot be"),
    "negative shape": (lambda: described([tensor(shape=(-4,))]), "cannot be"),
    "more strides than sizes": (lambda: described([tensor(stride=(1, 1))]), "cannot be"),
    "sizes beyond 64 bits": (lambda: described([tensor(shape=(0, 2**62, 2**62), stride=(1, 1, 1))]), "cannot be"),
    "stride beyond 64 bits": (lambda: described([tensor(shape=(1,), stride=(2**70,))]), "cannot be"),
    "100 dimensions": (lambda: described([tensor(shape=(1,) * 100, stride=(1,) * 100)]), "pickle|cannot be"),
    "shape of floats": (lambda: described([tensor(shape=(4.0,))]), "pickle"),
    "shape of booleans": (lambda: described([tensor(shape=(True,))]), "pickle"),
    "gradient of integers": (lambda: described([tensor(gradient=True, kind="IntStorage")]), "gradient"),
    "one storage of two lengths": (lambda: described([tensor(), tensor(count=3)]), "pickle"),
    "negative storage": (lambda: described([tensor(count=-4)]), "declared"),
    "bare storage": (lambda: described([Persistent("0", 4)]), "bare storage"),
    "function as a leaf": (lambda: described([OrderedDict]), "bare storage or a function"),
    "no device": (lambda: described([Call(torch.device, "rm -rf")]), "pickle"),
    "negative Size": (lambda: archive_of(b"\x80\x02ctorch\nSize\n(K\x01J\xff\xff\xff\xfft\x85R."), "pickle"),
    "module": (lambda: torch_bytes(torch.nn.Linear(2, 2)), "more than plain tensors .*Linear"),
}  # fmt: skip


# A million steps each: tracing their memory takes half a minute.
SLOW_TO_TRACE = ("billion laughs of lists", "billion laughs of tuples", "300,000 aliases")


@pytest.mark.prove
@pytest.mark.parametrize("name", SLOW_TO_TRACE)
def test_what_takes_many_steps_takes_little_memory(tmp_path: Path, name: str) -> None:
    with light():
        attempt(tmp_path, BAD[name][0]())


@pytest.mark.filterwarnings("ignore:.*(deprecated|TorchScript|jit)")
@pytest.mark.parametrize("name", BAD)
def test_bad_file(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    data = make()
    error = attempt(tmp_path, data)
    if name not in SLOW_TO_TRACE:
        with light():
            attempt(tmp_path, data)
    assert_told(error)
    assert re.search(message, error.message), error.message


EVIL: dict[str, Callable[[str], Any]] = {
    "os.system": lambda canary: {"w": Call(os.system, f"touch {canary}")},
    "eval": lambda canary: [Call(eval, f"open({canary!r}, 'w')")],
    "open": lambda canary: Call(open, canary, "w"),
    "getattr": lambda canary: Call(getattr, os, "system"),
    "inside a tensor": lambda canary: tensor(shape=(Call(os.mkdir, canary),)),
    "as a key": lambda canary: {1: Call(os.mkdir, canary)},
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", EVIL)
def test_evil_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, protocol: int) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary = tmp_path / CANARY
    value = EVIL[kind](str(canary))
    if kind == "getattr":
        value = Call(getattr, "text", "upper")
    for data in (described(value, protocol=protocol), pickled(value, protocol)):
        error = attempt(tmp_path, data)
        assert_told(error)
        assert not canary.exists()
    assert "nothing of it was run" in str(attempt(tmp_path, described(value, protocol=protocol)))


def test_evil_pickle_names_what_it_asks_for(tmp_path: Path) -> None:
    error = attempt(tmp_path, described({"w": Call(os.system, "true"), "v": Call(eval, "1")}))
    assert "posix.system" in error.message
    assert "eval" in error.message


def test_truncated_anywhere(tmp_path: Path) -> None:
    data = torch_bytes(small() | {"big": torch.randn(30_000)})
    step = max(1, len(data) // 60)
    for length in [*range(0, len(data), step), len(data) - 1]:
        assert_told(attempt(tmp_path, data[:length]))


def survives(folder: Path, data: bytes, rounds: int, suffix: str) -> int:
    """Change some bytes, many times; return how often the file still loaded."""
    path, loaded = folder / f"x.{suffix}", 0
    for changed in mutated(data, rounds):
        path.write_bytes(changed)
        error = refusal(path)
        loaded += error is None
        assert error is None or (error.message and "\n" not in str(error))
    return loaded


def mutated(data: bytes, rounds: int) -> Iterator[bytes]:
    """Yield the data with some bytes changed, each time others."""
    chance = random.Random(7)
    for _ in range(rounds):
        changed = bytearray(data)
        for _ in range(chance.choice([1, 1, 2, 8])):
            at = chance.randrange(len(changed))
            match chance.randrange(4):
                case 0:
                    changed[at] ^= 1 << chance.randrange(8)
                case 1:
                    changed[at] = chance.choice([0, 0xFF, 0x7F, 0x80, ord("."), ord("R")])
                case 2:
                    del changed[at : at + chance.randrange(1, 9)]
                case 3:
                    changed[at:at] = chance.randbytes(chance.randrange(1, 9))
        yield bytes(changed)


def refusal(path: Path) -> GpuExtError | None:
    """Load a file; return the error of our family, let any other one through."""
    try:
        jg.load(str(path), device="cpu")
    except GpuExtError as error:
        return error
    return None


@pytest.mark.parametrize("rounds", [500, pytest.param(12_000, marks=[pytest.mark.prove, pytest.mark.timeout(1200)])])
def test_mutations(tmp_path: Path, rounds: int) -> None:
    # A description and little else, so that most changes fall where they matter.
    data = zipped(members(torch_bytes(small())))
    with light(20 << 20):
        loaded = survives(tmp_path, data, rounds, "pt")
    assert 0 < loaded < rounds


def test_mutations_of_torchs_own_layout(tmp_path: Path) -> None:
    loaded = survives(tmp_path, torch_bytes(small()), 300, "pt")
    assert 0 < loaded < 300


def test_hostile_files_cost_little_memory(tmp_path: Path) -> None:
    # Of each bad file's refusal, beyond the file itself.
    path = tmp_path / "x.pt"
    for name in ("deflated bomb", "huge directory", "stride 0 over 10**11 elements", "deep list"):
        path.write_bytes(BAD[name][0]())
        with light(20 << 20), pytest.raises(GpuExtError):
            jg.load(str(path), device="cpu")


def test_copies_of_one_long_list_are_stopped(tmp_path: Path) -> None:
    many = b"(" + b"K\x01" * 500_000 + b"e"
    body = b"\x80\x02]q\x00" + many + b"c__builtin__\nset\nq\x01h\x00\x85R" + b"h\x01h\x00\x85R" * 20_000 + b"."
    (tmp_path / "x.pt").write_bytes(archive_of(body))
    with quick(), pytest.raises(TensorFormatError, match="more steps"):
        jg.info(str(tmp_path / "x.pt"))


def test_info_is_bounded_where_a_load_is_not(tmp_path: Path) -> None:
    from jupyter_gpu_ext.storage.loop import LOOP
    from jupyter_gpu_ext.tensors.api import read_info

    path = tmp_path / "x.pt"
    path.write_bytes(torch_bytes({f"{index}" * 50: index for index in range(2000)}))
    with pytest.raises(TensorFormatError, match="at most"):
        LOOP.run(read_info(str(path), most_bytes=10_000))


def test_shared_members_are_never_mixed_up(tmp_path: Path) -> None:
    # Directory entries in another order than the members: the bytes still belong to their names.
    state = {name: torch.full((10,), index) for index, name in enumerate("abcdef")}
    contents = members(torch_bytes(state))
    shuffled = dict(sorted(contents.items(), reverse=True))
    (tmp_path / "x.pt").write_bytes(zipped(shuffled))
    assert_same(jg.load(str(tmp_path / "x.pt"), device="cpu"), state)
