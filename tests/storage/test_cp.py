"""Copies: bit-equal between any two kinds of storage, whole or not there, and never where they do not belong."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import (
    BadRequestError,
    DeniedError,
    ExistsError,
    GpuExtError,
    NotFoundError,
    ObjectChangedError,
)
from jupyter_gpu_ext.storage import backends, many
from jupyter_gpu_ext.storage.cp import cp
from tests.conftest import AZURITE_ACCOUNT, Azurite, write_connections
from tests.faults.proxy import Fault, Message, Rule, fault_proxy
from tests.storage.writable import KINDS, content, files, keys, put

if TYPE_CHECKING:
    from pathlib import Path


DATA = random.Random(3).randbytes((8 << 20) + 3)
ODD = ["a//b", "sp ace", "per%20cent", "ha#sh", "ques?tion", "größe", "/lead", "plus+", "d/e/f"]


def name(kind: str) -> str:
    return {"memory": "mem", "azure": "blobs"}.get(kind, kind)


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("of", KINDS)
def test_bit_equal_from_any_to_any(stores: object, of: str, to: str) -> None:
    for size in (0, 5, len(DATA)):
        src, dst = f"{name(of)}://in/{size}.bin", f"{name(to)}://out/{size}.bin"
        put(src, DATA[:size])
        done = jg.cp(src, dst)
        assert (done.objects, done.size_bytes) == (1, size)
        assert hashlib.sha256(content(dst)).digest() == hashlib.sha256(DATA[:size]).digest()
        assert content(src) == DATA[:size]


@pytest.mark.parametrize("kind", KINDS)
def test_to_and_from_local_paths(stores: object, tmp_path: Path, kind: str) -> None:
    place = f"{name(kind)}://in/x.bin"
    (tmp_path / "from.bin").write_bytes(DATA)
    jg.cp("./from.bin", place)
    assert content(place) == DATA
    jg.cp(place, tmp_path / "to.bin")
    assert (tmp_path / "to.bin").read_bytes() == DATA
    (tmp_path / "folder").mkdir()
    for target in ("./folder", "./made/"):
        jg.cp(place, target)
        assert (tmp_path / target / "x.bin").read_bytes() == DATA
    assert files(tmp_path / "folder") == ["x.bin"]


def test_home_and_two_paths(light: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a").write_bytes(b"1")
    jg.cp("~/a", "~/b")
    assert (tmp_path / "b").read_bytes() == b"1"


@pytest.mark.parametrize("kind", KINDS)
def test_a_target_with_a_slash_keeps_the_name(stores: object, kind: str) -> None:
    put("mem://in/x.bin", b"1")
    for target in ("", "out/"):
        jg.cp("mem://in/x.bin", f"{name(kind)}://{target}")
        assert content(f"{name(kind)}://{target}x.bin") == b"1"


@pytest.mark.parametrize("src", ["mem://x", "{to}://x"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_there_stays_unless_it_is_to_be_replaced(stores: object, kind: str, src: str) -> None:
    to = name(kind)
    src = src.format(to=to)
    put(src, b"new")
    put(f"{to}://y", b"old")
    with pytest.raises(ExistsError, match="y exists"):
        jg.cp(src, f"{to}://y")
    assert content(f"{to}://y") == b"old"
    jg.cp(src, f"{to}://y", overwrite=True)
    assert content(f"{to}://y") == b"new"


def test_a_local_file_stays_unless_it_is_to_be_replaced(light: object, tmp_path: Path) -> None:
    put("mem://x", b"new")
    (tmp_path / "y").write_bytes(b"old")
    with pytest.raises(ExistsError):
        jg.cp("mem://x", "./y")
    assert (tmp_path / "y").read_bytes() == b"old"
    jg.cp("mem://x", "./y", overwrite=True)
    assert (tmp_path / "y").read_bytes() == b"new"


BAD = [
    ("mem://none", "disk://x", {}, NotFoundError),
    ("none://x", "disk://x", {}, NotFoundError),
    ("mem://x", "none://x", {}, NotFoundError),
    ("mem://x", "locked://y", {}, DeniedError),
    ("locked://x", "locked://y", {}, DeniedError),
    ("mem://x", "mem://x", {}, BadRequestError),
    ("mem://x", "mem://", {}, BadRequestError),
    ("disk://x", "./disk/x", {"overwrite": True}, BadRequestError),
    ("mem://", "./y", {}, BadRequestError),
    ("mem://d/", "./y", {}, BadRequestError),
    ("./disk", "mem://y", {}, BadRequestError),
    ("x", "mem://y", {}, BadRequestError),
    ("mem://x", "y", {}, BadRequestError),
    ("mem://x", "az://c/y", {}, BadRequestError),
    ("mem://x", "disk://../y", {}, BadRequestError),
    ("mem://x", "disk://a/../y", {}, BadRequestError),
    ("mem://x", "disk:///etc/y", {}, BadRequestError),
    ("mem://x", "mem://a\0b", {}, BadRequestError),
    ("mem://none/", "./y", {"recursive": True}, NotFoundError),
    ("mem://x", "./y", {"recursive": True}, NotFoundError),
    ("./none", "mem://y", {"recursive": True}, NotFoundError),
    ("mem://", "mem://copy/", {"recursive": True}, BadRequestError),
    ("mem://d", "mem://d/e/", {"recursive": True}, BadRequestError),
    ("./disk", "disk://copy", {"recursive": True}, BadRequestError),
    ("mem://d/", "locked://y", {"recursive": True}, DeniedError),
]


@pytest.mark.parametrize(("src", "dst", "options", "error"), BAD, ids=[f"{row[0]} {row[1]}" for row in BAD])
def test_a_bad_copy_is_one_error_and_changes_nothing(
    light: object, tmp_path: Path, src: str, dst: str, options: dict, error: type
) -> None:
    for key in ("x", "d/x"):
        put(f"mem://{key}", b"1")
        put(f"disk://{key}", b"1")
    before = files(tmp_path)
    with pytest.raises(error) as refused:
        jg.cp(src, dst, **options)
    assert refused.value.hint
    assert files(tmp_path) == before
    assert keys("mem://") == ["d/x", "x"]


@pytest.mark.parametrize("kind", ["azure", "bucket", "memory"])
def test_a_folder_with_odd_names_is_copied_byte_exact(stores: object, kind: str) -> None:
    # A service of Azure's kind cannot be asked for a name with such a part.
    odd = ODD if kind == "azure" else [*ODD, *([] if kind == "memory" else ["x/./y"])]
    for key in odd:
        put(f"{name(kind)}://run/{key}", key.encode())
    put(f"{name(kind)}://run2/x", b"not below run")
    done = jg.cp(f"{name(kind)}://run", f"{name(kind)}://same", recursive=True)
    assert (done.objects, done.size_bytes) == (len(odd), sum(len(key.encode()) for key in odd))
    other = "blobs" if kind == "memory" else "mem"
    jg.cp(f"{name(kind)}://same/", f"{other}://away/", recursive=True)
    assert keys(f"{other}://away/") == sorted(f"away/{key}" for key in odd)
    assert all(content(f"{other}://away/{key}") == key.encode() for key in odd)


def test_a_local_folder_goes_up_and_comes_down(stores: object, tmp_path: Path) -> None:
    for key in ("x", "d/y", "d/e/z"):
        put(f"disk://up/{key}", key.encode())
    (tmp_path / "disk" / "up" / "leads_out").symlink_to("/etc/hostname")
    with pytest.raises(BadRequestError, match=r"1 of 4 objects were not copied\. The first, .*leads_out"):
        jg.cp("./disk/up", "blobs://up", recursive=True)
    assert keys("blobs://up/") == ["up/d/e/z", "up/d/y", "up/x"]
    jg.cp("blobs://up", "./down/below", recursive=True)
    assert files(tmp_path / "down" / "below") == ["d/e/z", "d/y", "x"]


ESCAPES = ["../out", "a/../../out", "/etc/out", "./out", "..", "a//out", "a/..", "b/", "\0out"]


def test_no_key_leads_out_of_a_local_folder(light: object, tmp_path: Path) -> None:
    tried = [key for key in ESCAPES if "\0" not in key and not key.endswith("/")]
    for key in tried:
        put(f"mem://evil/{key}", b"out")
    put("mem://evil/good/x", b"in")
    put("mem://evil/link/out", b"out")
    outside, target = tmp_path / "outside", tmp_path / "box" / "target"
    outside.mkdir()
    target.mkdir(parents=True)
    (target / "link").symlink_to(outside)
    before = files(tmp_path)
    with pytest.raises(GpuExtError, match=f"{len(tried) + 1} of {len(tried) + 2} objects were not copied") as refused:
        jg.cp("mem://evil", str(target), recursive=True)
    assert refused.value.hint
    assert sorted(set(files(tmp_path)) - set(before)) == ["box/target/good/x"]
    assert not os.path.lexists("/etc/out")


def test_what_fails_is_counted_and_the_rest_is_copied(stores: object) -> None:
    for key in ("a", "b", "c"):
        put(f"mem://run/{key}", b"new")
    put("blobs://run/b", b"old")
    with pytest.raises(ExistsError) as failed:
        jg.cp("mem://run/", "blobs://run/", recursive=True)
    said = "1 of 3 objects were not copied. The first, mem://run/b: blobs://run/b exists."
    assert failed.value.message == said
    assert [content(f"blobs://run/{key}") for key in ("a", "b", "c")] == [b"new", b"old", b"new"]
    assert jg.cp("mem://run/", "blobs://run/", recursive=True, overwrite=True).objects == 3
    assert content("blobs://run/b") == b"new"


def test_when_all_fail_it_gives_up(light: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "_MOST_FAILURES", 5)
    for number in range(40):
        put(f"mem://run/{number}", b"1")
        put(f"mem://there/{number}", b"1")
    with pytest.raises(ExistsError, match="and it was given up"):
        jg.cp("mem://run", "mem://there", recursive=True)


def test_the_receipt_and_its_progress(stores: object) -> None:
    for number in range(3):
        put(f"mem://run/{number}", bytes(400_000))
    seen: list[tuple[int, int]] = []
    done = cp(
        "mem://run", "blobs://run", recursive=True, report=lambda one: seen.append((one.done_bytes, one.total_bytes))
    )
    assert str(done).startswith("3 objects, 1.2 MB, ")
    assert repr(done) == str(done)
    assert done.to_json()["size_bytes"] == 1_200_000
    assert all(have <= total <= 1_200_000 for have, total in seen)


def behind(azurite: Azurite, stores: dict[str, dict], folder: Path, wire: object) -> None:
    address = f"http://127.0.0.1:{wire.port}/{AZURITE_ACCOUNT}"  # type: ignore[attr-defined]
    write_connections(folder / "connections.toml", **{**stores, "blobs": {**stores["blobs"], "endpoint": address}})


def of_block(request: Message) -> bool:
    return request.line.startswith("PUT") and "comp=block&" in request.line.replace(" ", "&")


@pytest.mark.parametrize("overwrite", [False, True])
def test_cancel_leaves_the_old_object_or_none(
    azurite: Azurite, stores: dict[str, dict], tmp_path: Path, overwrite: bool
) -> None:
    put("disk://x", DATA)
    if overwrite:
        put("blobs://x", b"old")
    with fault_proxy(azurite.port, Rule(Fault("stall headers"), when=of_block)) as wire:
        behind(azurite, stores, tmp_path, wire)

        def interrupt() -> None:
            wire.stalled.wait(30)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            jg.cp("disk://x", "blobs://x", overwrite=overwrite)
        backends.close_all()
    write_connections(tmp_path / "connections.toml", **stores)
    assert keys("blobs://") == (["x"] if overwrite else [])
    if overwrite:
        assert content("blobs://x") == b"old"


def test_cancel_leaves_nothing_in_a_folder(azurite: Azurite, stores: dict[str, dict], tmp_path: Path) -> None:
    put("blobs://x", DATA)
    rule = Rule(Fault("stall body"), when=lambda one: one.line.startswith("GET") and "bytes=0-" not in str(one.headers))
    with fault_proxy(azurite.port, rule) as wire:
        behind(azurite, stores, tmp_path, wire)

        def interrupt() -> None:
            wire.stalled.wait(30)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            jg.cp("blobs://x", "./down/x")
        deadline = time.monotonic() + 30
        while files(tmp_path / "down") and time.monotonic() < deadline:
            time.sleep(0.02)
        backends.close_all()
    assert files(tmp_path / "down") == []


def test_a_source_that_is_replaced_meanwhile_leaves_the_target(
    azurite: Azurite, stores: dict[str, dict], tmp_path: Path
) -> None:
    put("blobs://x", DATA)
    put("mem://x", b"old")
    rule = Rule(Fault("header", ("ETag", '"0xOTHER"')), when=lambda one: "bytes=0-" not in str(one.headers))
    with fault_proxy(azurite.port, rule) as wire:
        behind(azurite, stores, tmp_path, wire)
        with pytest.raises((ObjectChangedError, GpuExtError)) as changed:
            jg.cp("blobs://x", "mem://x", overwrite=True)
        backends.close_all()
    assert changed.value.code == "object_changed"
    assert content("mem://x") == b"old"


KILLED = """
import sys, jupyter_gpu_ext as jg
from jupyter_gpu_ext.storage.cp import cp
print("ready", flush=True)
cp(sys.argv[1], sys.argv[2], overwrite=True)
"""


def killed(stores: object, draw: random.Random, times: int) -> None:
    put("blobs://x", DATA)
    put("disk://y", b"old")
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, "blobs://x", "disk://y"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        try:
            process.wait(draw.random() * 1.5)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        assert content("disk://y") in (b"old", DATA)
        assert keys("disk://") == ["y"]
        put("disk://y", b"old")


def test_a_killed_copy_leaves_the_old_or_the_new(stores: object) -> None:
    killed(stores, random.Random(1), 2)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_killed_copies_prove(stores: object) -> None:
    killed(stores, random.Random(2), 100)
