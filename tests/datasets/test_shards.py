"""Tar shards give the samples that tarfile reads, each once; what is hostile or cut off is named and refused."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.datasets import tar_index, tars
from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, ObjectChangedError, TensorFormatError
from tests.datasets.pictures import pixels, png, shard, tar

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_gpu_ext.datasets.files import FileStream
    from tests.conftest import Store

SAMPLES = range(23)


def put_shards(store: Store) -> None:
    """Write three shards, the second without a sample."""
    store.put("shards/train-0.tar", shard(range(10)))
    store.put("shards/train-1.tar", tar({"README": b"nothing"}))
    store.put("shards/train-2.tar", shard(range(10, 23)))


def classes(stream: FileStream) -> list[int]:
    """Return the samples that come, by their class."""
    found: list[int] = []
    for item in stream:
        found += [item["cls"]] if isinstance(item["cls"], int) else item["cls"].tolist()
    return found


def test_each_sample_once(store: Store) -> None:
    put_shards(store)
    stream = jg.files(f"{store.name}://shards/train-*.tar")
    assert len(stream) == 23
    for at, one in enumerate(stream):
        assert one.keys() == {"__key__", "__url__", "png", "cls", "json"}
        assert one["__key__"] == f"{at:04}"
        assert one["__url__"] == f"{store.name}://shards/train-{0 if at < 10 else 2}.tar"
        assert (one["cls"], one["json"]) == (at, {"at": at})
        np.testing.assert_array_equal(one["png"].numpy(), pixels(png(at)))
    shuffled = classes(stream.shuffle(seed=1, buffer=8).batch(4))
    assert sorted(shuffled) == list(SAMPLES)
    assert shuffled != sorted(shuffled)


def test_blocks_are_parts_of_shards(local_store: Store) -> None:
    put_shards(local_store)
    stream = jg.files("disk://shards/*.tar", memory_bytes=16 * 7000).shuffle(seed=1, buffer=4)
    assert sorted(classes(stream)) == list(SAMPLES)
    report = stream.report()
    # A sample is 3072 bytes with its headers: two fit into a block.
    assert report.requests == 5 + 7
    assert report.used_bytes == report.decoded_bytes


def test_headers_are_read_once_and_bodies_are_not(local_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members larger than a window are stepped over."""
    monkeypatch.setattr(tar_index, "_WINDOW_BYTES", 2048)
    members = {f"{at}.npy": npy(np.full(100_000, at, "f4")) for at in range(5)}
    local_store.put("s/0.tar", tar(members))
    stream = jg.files("disk://s/*.tar")
    source = stream._opened()
    # A window for each header, and one at the end.
    assert source.requests == 6
    assert source.bytes_read <= 6 * 2048
    assert [int(one["npy"][0]) for one in stream] == list(range(5))
    # Neighbours are one range.
    assert source.requests == 7
    again = jg.files("disk://s/*.tar")
    assert len(again) == 5
    assert again._opened().requests == 0


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def test_members_by_their_endings(local_store: Store) -> None:
    weights = io.BytesIO()
    torch.save({"w": torch.arange(3)}, weights)
    local_store.put(
        "s/0.tar",
        tar(
            {
                "a/b.c/1.npy": npy(np.arange(3)),
                "a/b.c/1.seg.png": png(4),
                "a/b.c/1.TXT": "grün".encode(),
                "a/b.c/1.pth": weights.getvalue(),
                "a/b.c/1.pickle": b"never loaded",
                "a/b.c/1.jsn": b"[1]",
                "a/b.c/noextension": b"left out",
                "a/b.c/.hidden": b"left out",
            }
        ),
    )
    (one,) = jg.files("disk://s/*.tar")
    assert one.keys() == {"__key__", "__url__", "npy", "seg.png", "txt", "pth", "pickle", "jsn"}
    assert one["__key__"] == "a/b.c/1"
    assert one["npy"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(one["seg.png"].numpy(), pixels(png(4)))
    assert (one["txt"], one["pickle"], one["jsn"]) == ("grün", b"never loaded", [1])
    assert one["pth"]["w"].tolist() == [0, 1, 2]


@given(
    st.lists(st.tuples(st.integers(1, 300), st.lists(st.sampled_from(["txt", "bin", "a.b"]), min_size=1, unique=True))),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_edges_are_where_tarfile_finds_them(samples: list[tuple[int, list[str]]], form: int) -> None:
    """Names beyond 100 characters take headers of their own, in either format."""
    members = []
    for at, (length, ends) in enumerate(samples):
        members += [(f"{'n' * length}{at}.{ending}", b"x" * (length * 7)) for ending in ends]
    data = tar(members, form)
    found = tars.edges(io.BytesIO(data), len(data), "s.tar")
    assert len(found) - 1 == len(samples)
    came = []
    for start, stop in itertools.pairwise(found):
        part = data[start:stop]
        inside = tars.members(io.BytesIO(part), len(part), "")
        came += [(f"{one.key}.{one.name}", part[one.start : one.stop]) for one in inside]
    assert came == members


@pytest.mark.parametrize("after", [0, 1, 3])
def test_resume(local_store: Store, after: int) -> None:
    put_shards(local_store)

    def stream() -> FileStream:
        return jg.files("disk://shards/*.tar", memory_bytes=16 * 5000).shuffle(seed=2, buffer=6).batch(4)

    expected = classes(stream())
    broken = stream()
    reading = iter(broken)
    came = [one for _ in range(after) for one in next(reading)["cls"].tolist()]
    state = json.loads(json.dumps(broken.state_dict()))
    reading.close()
    rest = stream()
    rest.load_state_dict(state)
    assert came + classes(rest) == expected
    local_store.put("shards/train-1.tar", shard([99]))
    other = stream()
    other.load_state_dict(state)
    with pytest.raises(BadRequestError, match="another order"):
        next(iter(other))


def test_ranks_and_blocks(local_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_shards(local_store)
    came: list[int] = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "3")
        mine = classes(jg.files("disk://shards/*.tar", memory_bytes=16 * 5000).shuffle(seed=1, buffer=5))
        assert len(mine) == 7
        came += mine
    assert len(set(came)) == 21


def test_a_shard_that_changes(store: Store) -> None:
    put_shards(store)
    stream = jg.files(f"{store.name}://shards/*.tar", memory_bytes=1)
    reading = iter(stream)
    next(reading)
    store.put("shards/train-2.tar", shard(range(30, 43)))
    with pytest.raises(ObjectChangedError):
        list(reading)
    assert classes(stream) == [*range(10), *range(30, 43)]


def raw(name: str, size: int, kind: bytes = tarfile.REGTYPE, body: bytes = b"") -> bytes:
    """Return a header with any size, and what follows it."""
    info = tarfile.TarInfo(name)
    info.size, info.type = abs(size), kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    if size < 0:
        header[124:136] = (256**12 + size).to_bytes(12, "big")
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + body + bytes(-len(body) % 512)


GOOD = tar({"0.txt": b"good"})[:1024]
LONG = raw("././@LongLink", 3000, tarfile.GNUTYPE_LONGNAME, bytes(3000))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "cut in a body": (GOOD + raw("1.txt", 900, body=b"x" * 100), "'1.txt' reaches beyond the end"),
    "cut in a header": (GOOD + raw("1.txt", 3)[:300], "damaged after '0.txt'"),
    "damaged header": (GOOD + b"x" * 1024, "damaged after '0.txt'"),
    "no archive": (b"<html>" + bytes(2000), "is no tar archive"),
    "empty": (b"", "is no tar archive"),
    "negative": (GOOD + raw("1.txt", -1024), "1.txt|back|size"),
    "huge": (GOOD + raw("1.txt", 1 << 60), "'1.txt' reaches beyond the end"),
    "huge name": (GOOD + raw("././@LongLink", 1 << 50, tarfile.GNUTYPE_LONGNAME), "declares a header of"),
    "negative name": (GOOD + raw("././@LongLink", -512, tarfile.GNUTYPE_LONGNAME), "declares a header of"),
    "chain of names": (GOOD + LONG * 2000, "is no tar archive, or damaged"),
    "link": (GOOD + raw("1.txt", 0, tarfile.SYMTYPE), "'1.txt' is a link"),
    "hard link": (GOOD + raw("1.txt", 0, tarfile.LNKTYPE), "'1.txt' is a link"),
    "device": (GOOD + raw("1.txt", 0, tarfile.CHRTYPE), "'1.txt' is a link or a device"),
    "absolute": (GOOD + raw("/etc/1.txt", 0), "'/etc/1.txt' has a name that leads out"),
    "above": (GOOD + raw("a/../../1.txt", 0), "has a name that leads out"),
    "twice": (GOOD + GOOD, "'0.txt' is there twice"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_shards(local_store: Store, what: str) -> None:
    data, said = HOSTILE[what]
    local_store.put("s/bad.tar", data)
    local_store.put("s/good.tar", tar({"1.txt": b"one"}))
    with pytest.raises(TensorFormatError, match=said) as refused:
        len(jg.files("disk://s/*.tar"))
    assert "disk://s/bad.tar" in str(refused.value)
    assert refused.value.hint
    left = jg.files("disk://s/*.tar", on_error="skip")
    assert [one["txt"] for one in left] == ["one"]
    assert "disk://s/bad.tar" in left.report().faults[0]


BAD_MEMBERS: dict[str, tuple[bytes, str]] = {
    "cls": (b"seven", "is not what its ending says"),
    "json": (b"{", "is not what its ending says"),
    "png": (b"none", "is no image"),
    "npy": (npy(np.arange(9))[:-8], "cut off or damaged"),
    "txt": (b"\xff", "is not what its ending says"),
}


@pytest.mark.parametrize("ending", BAD_MEMBERS)
def test_a_damaged_member_is_named(local_store: Store, ending: str) -> None:
    data, said = BAD_MEMBERS[ending]
    local_store.put("s/0.tar", tar({"0.a": b"", f"1.{ending}": data, "2.a": b""}))
    with pytest.raises(GpuExtError, match=rf"disk://s/0\.tar/1\.{ending}.* {said}"):
        list(jg.files("disk://s/*.tar"))
    left = jg.files("disk://s/*.tar", on_error="skip")
    assert [one["__key__"] for one in left] == ["0", "2"]
    assert left.report().lost_samples == 1


def test_samples_with_other_members_make_no_batch(local_store: Store) -> None:
    local_store.put("s/0.tar", tar({"0.a": b"", "1.b": b""}))
    with pytest.raises(BadRequestError, match="has the fields"):
        list(jg.files("disk://s/*.tar").batch(2))


def mutated() -> Callable[..., Any]:
    data = shard(range(4))
    places = st.integers(0, len(data) - 1)
    return given(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=20), places)


@mutated()
def test_any_damage_is_a_typed_error_or_none(changes: list[tuple[int, int]], stop: int) -> None:
    data = bytearray(shard(range(4)))
    for at, value in changes:
        data[at] = value
    for one in (data, data[:stop]):
        with contextlib.suppress(TensorFormatError):
            found = tars.edges(io.BytesIO(one), len(one), "s.tar")
            assert np.all(np.diff(found) > 0)
            assert found[-1] <= len(one)
