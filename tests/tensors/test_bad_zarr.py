"""Zarr stores that are broken or hostile: one error each, nothing run, no memory taken."""

from __future__ import annotations

import copy
import gzip
import json
import pickle
import random
import re
import struct
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import pytest
from google_crc32c import value as crc32c

from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError, TooLargeError, UnsupportedFormatError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.codecs import DamagedChunkError, zstd_content_size
from jupyter_gpu_ext.tensors.formats import zarr as formats
from jupyter_gpu_ext.tensors.zarr_store import open_zarr, rows
from tests.tensors.bounds import light, quick
from tests.tensors.zarr_stores import CORPUS, load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

V2: dict[str, Any] = {
    "zarr_format": 2, "shape": [4, 6], "chunks": [2, 3], "dtype": "<f4", "compressor": None, "filters": None,
    "fill_value": 0, "order": "C",
}  # fmt: skip
V3: dict[str, Any] = {
    "zarr_format": 3, "node_type": "array", "shape": [4, 6], "data_type": "float32", "fill_value": 0,
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}  # fmt: skip
SHARDING: dict[str, Any] = {
    "chunk_shape": [1, 3], "codecs": V3["codecs"], "index_codecs": [*V3["codecs"], {"name": "crc32c"}],
}  # fmt: skip
RAW = {"name": "bytes", "configuration": {"endian": "little"}}


def two(**change: Any) -> dict[str, Any]:
    return {".zarray": V2 | change}


def three(**change: Any) -> dict[str, Any]:
    return {"zarr.json": V3 | change}


def codecs(*names: Any) -> dict[str, Any]:
    return three(codecs=[one if isinstance(one, dict) else {"name": one} for one in names])


def sharded(**change: Any) -> dict[str, Any]:
    return codecs({"name": "sharding_indexed", "configuration": SHARDING | change})


def consolidated(nodes: dict[str, Any], **change: Any) -> dict[str, Any]:
    inside = {"kind": "inline", "must_understand": False, "metadata": nodes} | change
    return {"zarr.json": {"zarr_format": 3, "node_type": "group", "consolidated_metadata": inside}}


GROUP = {"zarr_format": 2}
V3_GROUP = {"zarr_format": 3, "node_type": "group"}


def zmetadata(nodes: Any) -> dict[str, Any]:
    return {".zmetadata": {"zarr_consolidated_format": 1, "metadata": nodes}}


def ordered(order: list[Any]) -> dict[str, Any]:
    return codecs({"name": "transpose", "configuration": {"order": order}}, RAW)


def dated(unit: str) -> dict[str, Any]:
    return three(data_type={"name": "numpy.datetime64", "configuration": {"unit": unit}})


def grid(*chunk: int) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}


SEPARATED = {"name": "v2", "configuration": {"separator": "/../"}}
SHARDS = {"name": "sharding_indexed", "configuration": SHARDING}

# The documents of a store, as data or as text, and what the error says.
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "pickle behind vlen-utf8": (two(dtype="|O", filters=[{"id": "vlen-utf8"}, {"id": "pickle"}]), "objects"),
    "pickle filter": (two(filters=[{"id": "pickle"}]), "'pickle' is not read"),
    "pickle compressor": (two(compressor={"id": "pickle"}), "'pickle' is not read"),
    "msgpack": (two(filters=[{"id": "msgpack2"}]), "'msgpack2' is not read"),
    "lzma": (two(compressor={"id": "lzma"}), "'lzma' is not read"),
    "unknown compressor": (two(compressor={"id": "x\n\x1b[31m" * 50}), "is not read"),
    "compressor without a name": (two(compressor={}), "is not read"),
    "compressor of text": (two(compressor="zlib"), "are no codecs"),
    "filters of text": (two(filters="zlib"), "are no codecs"),
    "100 filters": (two(filters=[{"id": "zlib"}] * 100), "are no codecs"),
    "delta of objects": (two(filters=[{"id": "delta", "dtype": "|O"}]), "has the type"),
    "delta of another width": (two(chunks=[1, 1], filters=[{"id": "delta", "dtype": "<f8"}]), "does not fit"),
    "delta behind a compressor": (two(filters=[{"id": "zlib"}, {"id": "delta", "dtype": "<f4"}]), "does not fit"),
    "shuffle of 0": (two(filters=[{"id": "shuffle", "elementsize": 0}]), "option"),
    "astype without types": (two(filters=[{"id": "astype"}]), "has the type"),
    "scale of 0": (two(filters=[{"id": "fixedscaleoffset", "dtype": "f4", "scale": 0, "offset": 1}]), "no scale"),
    "chunk of 0": (two(chunks=[0, 3]), "chunk shape that cannot be"),
    "negative chunk": (two(chunks=[-2, 3]), "chunk shape that cannot be"),
    "chunk of a boolean": (two(chunks=[True, 3]), "chunk shape that cannot be"),
    "chunks of another rank": (two(chunks=[2]), "chunk shape of 1 dimensions"),
    "no chunks": (two(chunks=None), "chunk shape that cannot be"),
    "70 dimensions": (two(shape=[1] * 70, chunks=[1] * 70), "shape of 70 dimensions"),
    "shape of text": (two(shape="46"), "shape that cannot be"),
    "shape of floats": (two(shape=[4.0, 6.0]), "shape that cannot be"),
    "negative shape": (two(shape=[-4, 6]), "shape that cannot be"),
    "shape beyond 64 bits": (two(shape=[2**40, 2**40]), "no memory holds"),
    "shape beyond 64 bits and a 0": (two(shape=[0, 2**62]), "no memory holds"),
    "one 5 GB chunk": (two(shape=[10**10], chunks=[5 * 10**9]), "chunks of 20,000,000,000 bytes"),
    "10**15 chunks": (two(shape=[10**15], chunks=[1]), "1,000,000,000,000,000 chunks"),
    "a result larger than memory": (two(shape=[10**15], chunks=[4 * 10**8], fill_value=1), "chunks|of memory"),
    "order Z": (two(order="Z"), "order or a separator"),
    "separator": (two(dimension_separator="../"), "order or a separator"),
    "no type": (two(dtype=None), "has no type"),
    "unknown type": (two(dtype="<q9"), "has a type"),
    "structures": (two(dtype=[["a", "<f4"]]), "structures"),
    "text": (two(dtype="<U7"), "text"),
    "version 1": (two(zarr_format=1), "version 2"),
    "fill value of text": (two(fill_value="zero"), "fill value"),
    "fill value of a list": (two(fill_value=[1]), "fill value"),
    "fill value too large": (two(dtype="<i2", fill_value=70_000), "fill value"),
    "fill value NaN of an integer": (two(dtype="<i2", fill_value="NaN"), "fill value"),
    "fill value of too many bits": (three(fill_value="0x1234567890"), "fill value"),
    "fill value of bad bits": (three(fill_value="0xzz"), "fill value"),
    "attributes of a list": ({".zarray": V2, ".zattrs": "[1]"}, "no JSON object"),
    "dimension names of numbers": ({".zarray": V2, ".zattrs": {"_ARRAY_DIMENSIONS": [1, 2]}}, "no names"),
    "names of other dimensions": ({".zarray": V2, ".zattrs": {"_ARRAY_DIMENSIONS": ["x"]}}, "names 1 dimensions of 2"),
    "cut .zarray": ({".zarray": json.dumps(V2)[:-9]}, "JSON"),
    "empty .zarray": ({".zarray": ""}, "JSON"),
    "a web page": ({"zarr.json": "<!DOCTYPE html><html></html>"}, "JSON"),
    "a list": ({"zarr.json": "[]"}, "no JSON object"),
    "not UTF-8": ({"zarr.json": b'{"\xff": 1}'}, "JSON"),
    "half a character": ({"zarr.json": '{"\\ud800": 1}'}, "JSON"),
    "twice the same key": ({"zarr.json": '{"zarr_format": 3, "zarr_format": 2}'}, "JSON"),
    "200,000 deep": ({".zarray": V2, ".zattrs": '{"a":' * 200_000}, "JSON"),
    "200 deep": ({".zarray": V2, ".zattrs": '{"a":' * 200 + "1" + "}" * 200}, "nested deeper"),
    "50 MB of attributes": ({".zarray": V2, ".zattrs": '{"a":"' + "x" * (50 << 20) + '"}'}, "of metadata"),
    "a million empty lists": ({".zarray": V2, ".zattrs": '{"a":[' + "[]," * 1_000_000 + "1]}"}, "of metadata"),
    "array and group at once": (zmetadata({".zgroup": GROUP, ".zarray": V2}), "at once"),
    "array below an array": (zmetadata({".zgroup": GROUP, "a/.zarray": V2, "a/b/.zarray": V2}), "below an array"),
    "no root": (zmetadata({"a/.zarray": V2}), "nothing of the root"),
    "../x consolidated": (zmetadata({".zgroup": GROUP, "../x/.zarray": V2}), "names a node"),
    "/x consolidated": (zmetadata({".zgroup": GROUP, "/x/.zarray": V2}), "names a node"),
    "consolidated format 2": ({".zmetadata": {"zarr_consolidated_format": 2, "metadata": {}}}, "no consolidated"),
    "consolidated list": (zmetadata([]), "no consolidated"),
    "consolidated text": (zmetadata({".zgroup": GROUP, "a/.zarray": "x"}), "no object"),
    "v3 ../x": (consolidated({"../x": V3}), "names a node"),
    "v3 a/../x": (consolidated({"a/../x": V3}), "names a node"),
    "v3 backslash": (consolidated({"a\\x": V3}), "names a node"),
    "v3 below an array": (consolidated({"a": V3, "a/b": V3}), "below an array"),
    "v3 another kind": (consolidated({}, kind="reference"), "another kind"),
    "v3 node of text": (consolidated({"a": "x"}), "no object"),
    "20,000 nodes": (consolidated({str(at): {} for at in range(20_000)}), "more than 10,000"),
    "1,000 groups in groups": (consolidated({"/".join("a" * at): V3_GROUP for at in range(1, 1000)}), "without end"),
    "5,000 nodes far down": (consolidated({"a/" * 500 + str(at): V3_GROUP for at in range(5000)}), "without end"),
    "node type": (three(node_type="table"), "no Zarr node"),
    "version 4": (three(zarr_format=4), "no Zarr node"),
    "unknown key": (three(magic={"must_understand": True}), "'magic', which must be understood"),
    "storage transformers": (three(storage_transformers=[{"name": "x"}]), "storage transformers"),
    "v3 pickle": (codecs(RAW, "numcodecs.pickle"), "'pickle' is not read"),
    "v3 vlen-utf8": (codecs("vlen-utf8", "zstd"), "'vlen-utf8' is not read"),
    "v3 unknown codec": (codecs(RAW, "brotli"), "'brotli' is not read"),
    "no codecs": (three(codecs=[]), "no list of codecs"),
    "codecs of text": (three(codecs="bytes"), "no list of codecs"),
    "codec without a name": (codecs(RAW, {}), "without a name"),
    "bytes twice": (codecs(RAW, RAW), "'bytes' stands where it cannot"),
    "transpose behind bytes": (codecs(RAW, "transpose"), "'transpose' stands where it cannot"),
    "zstd before bytes": (codecs("zstd", RAW), "'zstd' stands where it cannot"),
    "delta behind bytes": (codecs(RAW, "numcodecs.delta"), "stands where it cannot"),
    "middle endian": (codecs({"name": "bytes", "configuration": {"endian": "middle"}}), "byte order"),
    "transpose of one axis": (ordered([0]), "axes in an order"),
    "transpose twice the same": (ordered([0, 0]), "axes in an order"),
    "transpose of booleans": (ordered([False, True]), "axes in an order"),
    "rectilinear grid": (three(chunk_grid={"name": "rectilinear"}), "grid is 'rectilinear'"),
    "grid without chunks": (three(chunk_grid={"name": "regular"}), "chunk shape"),
    "no grid": (three(chunk_grid=None), "without a name"),
    "keys of another kind": (three(chunk_key_encoding={"name": "fanout"}), "keys are 'fanout'"),
    "separator of three": (three(chunk_key_encoding=SEPARATED), "separator"),
    "type of text": (three(data_type="string"), "type 'string'"),
    "float8": (three(data_type="float8_e4m3"), "type 'float8_e4m3'"),
    "raw bits": (three(data_type="r16"), "type 'r16'"),
    "struct": (three(data_type={"name": "struct", "configuration": {}}), "type 'struct'"),
    "type of a number": (three(data_type=7), "no type"),
    "dates of a strange unit": (dated("eon"), "unit of time"),
    "shards that do not divide": (sharded(chunk_shape=[2, 2]), "no whole number"),
    "shards of another rank": (sharded(chunk_shape=[1]), "inner chunk shape of 1"),
    "shards in shards": (sharded(codecs=[SHARDS]), "hold shards"),
    "shards in zstd": (three(codecs=[SHARDS, {"name": "zstd"}]), "within another"),
    "index in the middle": (sharded(index_location="middle"), "at no place"),
    "index in zstd": (sharded(index_codecs=[RAW, {"name": "zstd"}]), "encoded in another way"),
    "a billion chunks a shard": (three(shape=[10**10, 6], chunk_grid=grid(10**9, 3), codecs=[SHARDS]), "chunks each"),
}  # fmt: skip


def put(folder: Path, documents: dict[str, Any]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        text = document if isinstance(document, (str, bytes)) else json.dumps(document)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(folder)


def refused(url: str) -> GpuExtError:
    """Load, and return the one error; never much time or memory."""
    with quick(), pytest.raises(GpuExtError) as caught:
        load(url)
    with light(), pytest.raises(type(caught.value)):
        load(url)
    error = caught.value
    assert isinstance(error, (UnsupportedFormatError, TooLargeError))
    assert len(str(error)) < 1500
    assert str(error).isprintable()
    assert error.hint
    return error


def test_as_many_nodes_as_are_read(tmp_path: Path) -> None:
    """Side by side and far down: the last one is bad."""
    sides = {f"{'g/' * 60}{at}": V3_GROUP for at in range(formats.MOST_NODES - 2)}
    assert "no Zarr node" in refused(put(tmp_path / "groups", consolidated(sides | {"x": {}}))).message
    arrays = {str(at): V3 for at in range(500)}
    assert "no Zarr node" in refused(put(tmp_path / "arrays", consolidated(arrays | {"x": {}}))).message


@pytest.mark.parametrize("name", BAD)
def test_bad_metadata(tmp_path: Path, name: str) -> None:
    documents, message = BAD[name]
    error = refused(put(tmp_path / "s", documents))
    assert re.search(message, error.message), error.message


@pytest.mark.parametrize("name", ["pickle filter", "pickle compressor", "pickle behind vlen-utf8", "v3 pickle"])
def test_code_is_never_run(tmp_path: Path, name: str) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(tmp_path / "ran"), "w"))

    url = put(tmp_path / "s", BAD[name][0])
    for key in ("0.0", "0.1", "1.0", "1.1"):
        (tmp_path / "s" / key).write_bytes(pickle.dumps(Evil()))
    refused(url)
    assert not (tmp_path / "ran").exists()
    # What is inside can still be looked at.
    (row,) = rows(LOOP.run(open_zarr(url)))
    assert row.unreadable
    assert row.shape == (4, 6)


def test_the_metadata_of_the_largest_is_shown(tmp_path: Path) -> None:
    url = put(tmp_path / "s", two(shape=[10**15], chunks=[1]))
    (row,) = rows(LOOP.run(open_zarr(url)))
    assert row.size_bytes == 4 * 10**15
    assert load(url, select="5:9")["s"].tolist() == [0, 0, 0, 0]


def zstd_without_size(data: bytes) -> bytes:
    # One raw block a frame: magic, a descriptor without a size, a window of 8 MiB, the block.
    assert len(data) < 1 << 17
    return b"\x28\xb5\x2f\xfd\x00\x68" + (1 | len(data) << 3).to_bytes(3, "little") + data


def zstd_bomb(size: int) -> bytes:
    """Return a frame without a size that repeats one byte: blocks of 128 KiB in four bytes each."""
    blocks = b"".join((2 | 131_072 << 3).to_bytes(3, "little") + b"\0" for _ in range(size >> 17))
    return b"\x28\xb5\x2f\xfd\x00\x68" + blocks + (1).to_bytes(3, "little")


CHUNK = np.arange(6, dtype="<f4").tobytes()
BOMB = bytes(200 << 20)
ZSTD, GZIP, ZLIB = numcodecs.Zstd(1), numcodecs.GZip(9), numcodecs.Zlib(9)


def damaged(codec: str, chunk: Callable[[], bytes], message: str) -> tuple[str, Callable[[], bytes], str]:
    return codec, chunk, message


BAD_CHUNKS = {
    "raw short": damaged("", lambda: CHUNK[:-1], "23 bytes in place of 24"),
    "raw empty": damaged("", lambda: b"", "0 bytes in place of 24"),
    "raw long": damaged("", lambda: CHUNK + b"x", "25 bytes are more"),
    "raw 3 MB": damaged("", lambda: bytes(3 << 20), "3,145,728 bytes are more"),
    "zstd garbage": damaged("zstd", lambda: b"garbage!" * 3, "no zstd frame"),
    "zstd cut": damaged("zstd", lambda: ZSTD.encode(CHUNK)[:-1], "no valid zstd"),
    "zstd empty": damaged("zstd", lambda: b"", "no zstd frame"),
    "zstd bomb": damaged("zstd", lambda: ZSTD.encode(BOMB)[:1000], "declares 209,715,200"),
    "zstd shorter": damaged("zstd", lambda: ZSTD.encode(CHUNK[:-4]), "20 bytes in place of 24"),
    "zstd bomb without size": damaged("zstd", lambda: zstd_bomb(16 << 20), "no valid zstd"),
    "zstd without size, short": damaged("zstd", lambda: zstd_without_size(CHUNK[:-4]), "no valid zstd"),
    "gzip bomb": damaged("gzip", lambda: GZIP.encode(bytes(600_000)), "expands beyond"),
    "gzip cut": damaged("gzip", lambda: GZIP.encode(CHUNK)[:-9], "cut off"),
    "gzip garbage": damaged("gzip", lambda: b"garbage!", "no valid gzip"),
    "gzip short": damaged("gzip", lambda: GZIP.encode(CHUNK[:-4]), "20 bytes in place"),
    "gzip garbage behind": damaged("gzip", lambda: GZIP.encode(CHUNK) + b"xx", "no valid gzip"),
    "zlib bomb": damaged("zlib", lambda: ZLIB.encode(bytes(600_000)), "expands beyond"),
    "bz2 bomb": damaged("bz2", lambda: numcodecs.BZ2().encode(bytes(9 << 20)), "expands beyond"),
    "bz2 garbage": damaged("bz2", lambda: b"garbage!", "no valid bz2"),
    "lz4 bomb": damaged("lz4", lambda: struct.pack("<I", 1 << 30) + bytes(90), "declares 1,073,741,824"),
    "lz4 garbage": damaged("lz4", lambda: struct.pack("<I", 24) + b"\xff" * 9, "no valid lz4"),
    "lz4 empty": damaged("lz4", lambda: b"\0\0\0\0", "no lz4"),
    "blosc bomb": damaged("blosc", lambda: numcodecs.Blosc("zstd").encode(BOMB[: 9 << 20])[:1000], "blosc"),
    "blosc size": damaged("blosc", lambda: struct.pack("<BBBBIII", 2, 1, 0, 4, 1 << 31, 24, 16), "blosc|declares"),
    "blosc garbage": damaged("blosc", lambda: b"garbage!" * 3, "no blosc"),
    "blosc cut": damaged("blosc", lambda: numcodecs.Blosc().encode(CHUNK)[:-1], "no blosc"),
    "crc32c wrong": damaged("crc32c", lambda: CHUNK + b"1234", "checksum"),
    "crc32c short": damaged("crc32c", lambda: b"12", "no checksum"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunk(tmp_path: Path, name: str) -> None:
    codec, chunk, message = BAD_CHUNKS[name]
    url = put(tmp_path / "s", two(compressor={"id": codec} if codec else None))
    (tmp_path / "s" / "1.0").write_bytes(chunk())
    error = refused(url)
    assert isinstance(error, TensorFormatError)
    assert error.message.startswith("s: chunk '1.0' is damaged: "), error.message
    assert re.search(message, error.message), error.message


def test_frames_without_a_size_are_read(tmp_path: Path) -> None:
    url = put(tmp_path / "s", two(compressor={"id": "zstd"}))
    (tmp_path / "s" / "1.0").write_bytes(zstd_without_size(CHUNK))
    assert load(url)["s"][2:, :3].ravel().tolist() == list(range(6))
    members = gzip.compress(CHUNK[:10]) + gzip.compress(CHUNK[10:])
    url = put(tmp_path / "s", two(compressor={"id": "gzip"}))
    (tmp_path / "s" / "1.0").write_bytes(members)
    assert load(url)["s"][2:, :3].ravel().tolist() == list(range(6))


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_535, 65_536, 70_000, 1 << 20])
def test_declared_size_of_zstd(size: int) -> None:
    assert zstd_content_size(bytes(numcodecs.Zstd(1).encode(bytes(size)))[:18]) in ({size} if size else {0, None})
    with pytest.raises(DamagedChunkError):
        zstd_content_size(b"\x28\xb5\x2f")


def shard(entries: list[tuple[int, int]], data: bytes = CHUNK[:12] * 2, checksum: bytes | None = None) -> bytes:
    index = b"".join(struct.pack("<QQ", *one) for one in entries)
    return data + index + (crc32c(index).to_bytes(4, "little") if checksum is None else checksum)


NONE = (2**64 - 1, 2**64 - 1)
BAD_SHARDS = {
    "empty": (b"", "cannot hold its index"),
    "shorter than its index": (b"x" * 35, "cannot hold its index"),
    "checksum": (shard([(0, 12), (12, 12)], checksum=b"1234"), "checksum"),
    "outside": (shard([(0, 12), (60, 12)]), "outside"),
    "far outside": (shard([(0, 12), (2**63, 12)]), "outside"),
    "beyond 64 bits": (shard([(0, 12), (2**64 - 10, 12)]), "outside"),
    "half of nothing": (shard([(0, 12), (2**64 - 1, 12)]), "outside"),
    "overlap": (shard([(0, 12), (6, 12)]), "overlap"),
    "twice the same": (shard([(0, 12), (0, 12)]), "overlap"),
    "in the index": (shard([(0, 12), (20, 12)]), "overlap"),
    "short chunk": (shard([(0, 11), (12, 12)]), "11 bytes in place of 12"),
    "empty chunk": (shard([(0, 0), (12, 12)]), "0 bytes in place of 12"),
    "long chunk": (shard([(0, 24), NONE]), "larger than a chunk can be"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SHARDS)
def test_bad_shard(tmp_path: Path, name: str) -> None:
    data, message = BAD_SHARDS[name]
    url = put(tmp_path / "s", sharded())
    (tmp_path / "s" / "c" / "1").mkdir(parents=True)
    (tmp_path / "s" / "c" / "1" / "0").write_bytes(data)
    for select in ("", "2", "2:3, ::2"):
        with quick(), light(), pytest.raises(TensorFormatError) as caught:
            load(url, select=select)
        assert caught.value.message.startswith("s: shard 'c/1/0' is damaged: ")
        assert message in caught.value.message


def test_good_shards_of_other_writers(tmp_path: Path) -> None:
    """Holes, chunks in any order, and stale bytes in between are legal."""
    url = put(tmp_path / "s", sharded())
    (tmp_path / "s" / "c" / "1").mkdir(parents=True)
    (tmp_path / "s" / "c" / "1" / "0").write_bytes(
        shard([(90, 12), (7, 12)], b"x" * 7 + CHUNK[:12] + b"y" * 71 + CHUNK[12:] + b"z" * 9)
    )
    assert load(url)["s"].tolist() == [[0] * 6, [0] * 6, [3, 4, 5, 0, 0, 0], [0, 1, 2, 0, 0, 0]]


def test_a_link_to_itself_is_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = put(tmp_path / "s", {"zarr.json": {"zarr_format": 3, "node_type": "group"}})
    (tmp_path / "s" / "again").symlink_to(tmp_path / "s")
    node = LOOP.run(open_zarr(url))
    assert not node.arrays
    assert node.requests < 200
    # Two such links are two to the power of their depth.
    (tmp_path / "s" / "once more").symlink_to(tmp_path / "s")
    monkeypatch.setattr(formats, "MOST_NODES", 200)
    with pytest.raises(TooLargeError, match="more than 200"):
        LOOP.run(open_zarr(url))


@pytest.mark.parametrize("documents", [{"zarr.json": {"zarr_format": 3, "node_type": "group"}}, {".zgroup": GROUP}])
def test_groups_without_end(tmp_path: Path, documents: dict[str, Any]) -> None:
    folder = tmp_path / "s"
    for _ in range(70):
        put(folder, documents)
        folder /= "g"
    with pytest.raises(TensorFormatError, match="without end"):
        LOOP.run(open_zarr(str(tmp_path / "s")))


def outcome(url: str) -> GpuExtError | None:
    try:
        load(url)
    except GpuExtError as error:
        return error
    return None


def mutated(draw: random.Random, data: bytes) -> bytes:
    """Change a few bytes, cut, or repeat a part."""
    raw = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        at = draw.randrange(len(raw) + 1)
        match draw.randrange(5):
            case 0 if raw:
                raw[at % len(raw)] = draw.randrange(256)
            case 1 if raw:
                raw[at % len(raw)] ^= 1 << draw.randrange(8)
            case 2:
                del raw[at : at + draw.choice([1, 4, len(raw)])]
            case 3:
                raw[at:at] = bytes(draw.choices(range(256), k=draw.choice([1, 4])))
            case _:
                raw[at:at] = raw[at // 2 : at // 2 + draw.choice([1, 8, 40])]
    return bytes(raw)


def changed(draw: random.Random, document: Any) -> Any:
    """Replace one value somewhere in a document by another one."""
    document = copy.deepcopy(document)
    odd = [
        0,
        -1,
        1,
        2,
        3,
        2**31,
        2**63,
        2**70,
        1.5,
        True,
        None,
        "",
        "x",
        "NaN",
        "0x7f",
        [],
        [1],
        {},
        {"name": "x"},
        "<i2",
        "|O",
    ]
    node, keys = document, list(document)
    while True:
        key = draw.choice(keys)
        inside = node[key]
        if not isinstance(inside, (dict, list)) or not inside or draw.random() < 0.3:
            node[key] = draw.choice(odd)
            return document
        node, keys = inside, list(inside) if isinstance(inside, dict) else list(range(len(inside)))


MUTATED = [
    "v2 zstd", "v2 blosc lz4", "v2 blosc blosclz", "v2 blosc zstd", "v2 blosc bitshuffle", "v2 lz4", "v2 gzip",
    "v2 bz2", "v2 filter delta", "v2 packbits", "v2 two filters", "v3 crc32c", "v3 transpose", "v3 sharded",
    "v3 sharded, index at the start", "v3 sharded, no checksum", "v3 big endian",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=[pytest.mark.prove, pytest.mark.timeout(1800)])])
def test_mutations(tmp_path: Path, rounds: int) -> None:
    draw = random.Random(rounds)
    stores = []
    for at, name in enumerate(MUTATED):
        CORPUS[name](tmp_path / str(at))
        stores.append(tmp_path / str(at))
    outcomes = {True: 0, False: 0}
    for _ in range(rounds):
        store = draw.choice(stores)
        victim = draw.choice(sorted(path for path in store.rglob("*") if path.is_file() and path.name != ".zattrs"))
        before = victim.read_bytes()
        if victim.name in (".zarray", "zarr.json") and draw.random() < 0.7:
            victim.write_text(json.dumps(changed(draw, json.loads(before))))
        else:
            victim.write_bytes(mutated(draw, before))
        error = outcome(str(store))
        outcomes[error is None] += 1
        assert error is None or (len(str(error)) < 2000 and str(error).isprintable())
        victim.write_bytes(before)
    assert outcomes[False] > rounds / 3
    assert outcomes[True]
