"""Zarr stores as zarr-python and xarray write them, in folders; and the reader under test."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.codecs import numcodecs as zarr3

from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.zarr_store import open_zarr, plan_arrays, read_arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from jupyter_gpu_ext.tensors.zarr_store import ZarrNode, ZarrPlan
    from tests.conftest import Store

warnings.filterwarnings("ignore", message=".*Zarr format 3.*")
warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification.*")


def load(url: str, keys: Sequence[str] = (), select: str = "", **options: Any) -> dict[str, np.ndarray]:
    """Read arrays as the loader does."""
    return loaded(url, keys, select, **options)[2]


def loaded(
    url: str, keys: Sequence[str] = (), select: str = "", **options: Any
) -> tuple[ZarrNode, ZarrPlan, dict[str, np.ndarray]]:
    async def run() -> tuple[ZarrNode, ZarrPlan, dict[str, np.ndarray]]:
        node = await open_zarr(url)
        plan = await plan_arrays(node, keys, select, **options)
        return node, plan, await read_arrays(plan)

    return LOOP.run(run())


def upload(folder: Path, store: Store, prefix: str) -> int:
    """Copy a folder to a store, object by object; return how many."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        store.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return len(files)


def ramp(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    count = int(np.prod(shape))
    numbers = np.arange(count) * 37 % 251 - (0 if np.dtype(dtype).kind in "ub" else 100)
    return numbers.reshape(shape).astype(dtype)


def _array(shape: tuple[int, ...], dtype: str, written: slice | None = None, **options: Any) -> Callable[[Path], Any]:
    def write(path: Path) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = zarr.create_array(path, shape=shape, dtype=dtype, **options)
            values = ramp(shape, dtype)
            if written is None:
                array[...] = values
            else:
                array[written] = values[written]
            return np.asarray(array[...])

    return write


def v2(shape: tuple[int, ...] = (7, 9), dtype: str = "<f4", **options: Any) -> Callable[[Path], Any]:
    return _array(shape, dtype, **({"chunks": (3, 4), "zarr_format": 2} | options))


def v3(shape: tuple[int, ...] = (7, 9), dtype: str = "float32", **options: Any) -> Callable[[Path], Any]:
    return _array(shape, dtype, **({"chunks": (3, 4)} | options))


def _sharded(place: str, **options: Any) -> ShardingCodec:
    return ShardingCodec(chunk_shape=(2, 3), index_location=place, **options)


_FILTERS = {
    "delta": numcodecs.Delta("<f4"),
    "delta to another type": numcodecs.Delta("<f4", "<f8"),
    "fixedscaleoffset": numcodecs.FixedScaleOffset(offset=3, scale=2, dtype="<f4", astype="<i4"),
    "quantize": numcodecs.Quantize(digits=3, dtype="<f4"),
    "astype": numcodecs.AsType("<f8", "<f4"),
    "bitround": numcodecs.BitRound(10),
    "shuffle": numcodecs.Shuffle(4),
    "crc32": numcodecs.CRC32(),
    "crc32 at the end": numcodecs.CRC32(location="end"),
    "adler32": numcodecs.Adler32(),
    "crc32c": numcodecs.CRC32C(),
}
_COMPRESSORS: dict[str, Any] = {
    "none": None,
    "zstd": numcodecs.Zstd(3),
    "zstd with checksum": numcodecs.Zstd(1, checksum=True),
    "gzip": numcodecs.GZip(),
    "zlib": numcodecs.Zlib(),
    "lz4": numcodecs.LZ4(),
    "bz2": numcodecs.BZ2(),
    **{f"blosc {name}": numcodecs.Blosc(name) for name in numcodecs.blosc.list_compressors()},
    "blosc bitshuffle": numcodecs.Blosc(shuffle=numcodecs.Blosc.BITSHUFFLE),
}
_TYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    "complex64", "complex128", "datetime64[ns]", "timedelta64[s]",
]  # fmt: skip

# Each writes one array to a folder and returns its values as zarr-python reads them.
CORPUS: dict[str, Callable[[Path], Any]] = {
    **{f"v2 {name}": v2(compressors=one) for name, one in _COMPRESSORS.items()},
    **{f"v2 filter {name}": v2(filters=[one]) for name, one in _FILTERS.items()},
    "v2 two filters": v2(filters=[numcodecs.Delta("<f4"), numcodecs.Shuffle(4)], compressors=numcodecs.Zlib()),
    "v2 packbits": v2(dtype="bool", filters=[numcodecs.PackBits()]),
    **{f"v2 {dtype}": v2(dtype=dtype) for dtype in _TYPES},
    **{f"v2 {dtype}": v2(dtype=dtype) for dtype in (">f8", ">i2", ">c8", ">M8[D]")},
    "v2 F order": v2(order="F"),
    "v2 F order, big endian, uncompressed": v2(dtype=">i4", order="F", compressors=None),
    "v2 F order with delta": v2(order="F", filters=[numcodecs.Delta("<f4")]),
    "v2 slash keys": v2(chunk_key_encoding={"name": "v2", "separator": "/"}),
    "v2 missing chunks": v2(written=np.s_[:4, 5:], fill_value=-7),
    "v2 no fill value": v2(written=np.s_[:4, 5:], fill_value=None),
    "v2 NaN fill": v2(written=np.s_[:4, 5:], fill_value=np.nan),
    "v2 never written": v2(written=np.s_[:0], fill_value=3),
    "v2 0-d": v2(shape=(), chunks=()),
    "v2 0-size": v2(shape=(0, 9)),
    "v2 1-d": v2(shape=(23,), chunks=(5,)),
    "v2 5-d": v2(shape=(3, 2, 4, 3, 2), chunks=(2, 2, 3, 1, 2)),
    "v2 one chunk": v2(chunks=(7, 9)),
    "v2 chunk beyond the array": v2(chunks=(10, 20)),
    "v3": v3(),
    **{f"v3 {dtype}": v3(dtype=dtype) for dtype in _TYPES},
    "v3 uncompressed": v3(compressors=None),
    "v3 big endian": v3(dtype="int32", serializer=BytesCodec(endian="big")),
    "v3 dot keys": v3(chunk_key_encoding={"name": "default", "separator": "."}),
    "v3 keys of v2": v3(chunk_key_encoding={"name": "v2", "separator": "."}),
    "v3 gzip": v3(compressors=[GzipCodec()]),
    "v3 blosc": v3(compressors=[BloscCodec(cname="lz4", shuffle="bitshuffle")]),
    "v3 crc32c": v3(compressors=[ZstdCodec(), Crc32cCodec()]),
    "v3 crc32c alone": v3(compressors=[Crc32cCodec()]),
    "v3 two compressors": v3(compressors=[ZstdCodec(), GzipCodec()]),
    "v3 transpose": v3(filters=[TransposeCodec(order=(1, 0))]),
    "v3 transpose of 3-d": v3(shape=(4, 5, 6), chunks=(2, 3, 4), filters=[TransposeCodec(order=(2, 0, 1))]),
    "v3 transpose twice": v3(
        shape=(4, 5, 6), chunks=(2, 3, 4), filters=[TransposeCodec(order=(2, 0, 1)), TransposeCodec(order=(1, 0, 2))]
    ),
    "v3 numcodecs filter": v3(filters=[zarr3.Delta(dtype="<f4")]),
    "v3 numcodecs compressor": v3(compressors=[zarr3.LZ4(), zarr3.CRC32()]),
    "v3 numcodecs shuffle": v3(compressors=[zarr3.Shuffle(elementsize=4), zarr3.Zlib()]),
    "v3 missing chunks": v3(written=np.s_[:4, 5:], fill_value=np.inf),
    "v3 never written": v3(written=np.s_[:0], fill_value=2),
    "v3 0-d": v3(shape=(), chunks=()),
    "v3 0-size": v3(shape=(0, 9)),
    "v3 sharded": v3(chunks=(2, 3), shards=(4, 9)),
    "v3 sharded, one chunk a shard": v3(chunks=(2, 3), shards=(2, 3)),
    "v3 sharded 1-d": v3(shape=(23,), chunks=(2,), shards=(10,)),
    "v3 sharded 3-d": v3(shape=(5, 6, 7), chunks=(1, 2, 3), shards=(2, 4, 6)),
    "v3 sharded, index at the start": v3(
        chunks=(4, 6), serializer=_sharded("start"), compressors=None, filters=None
    ),
    "v3 sharded, no checksum": v3(
        chunks=(4, 6), serializer=_sharded("end", index_codecs=[BytesCodec()]), compressors=None
    ),
    "v3 sharded, big index": v3(
        chunks=(4, 6), serializer=_sharded("end", index_codecs=[BytesCodec(endian="big"), Crc32cCodec()]),
        compressors=None,
    ),
    "v3 sharded, raw transposed chunks": v3(
        chunks=(4, 6), serializer=_sharded("end", codecs=[TransposeCodec(order=(1, 0)), BytesCodec(endian="big")]),
        compressors=None,
    ),
    "v3 sharded, missing chunks": v3(chunks=(2, 3), shards=(4, 9), written=np.s_[:2, 3:5], fill_value=-1),
}  # fmt: skip
