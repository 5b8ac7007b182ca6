"""Chunk codecs: what is read, and how each is undone within a buffer whose size is known beforehand.

Names and options: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/index.html and
https://numcodecs.readthedocs.io/. All of them turn bytes into bytes here: a filter sees the chunk's
elements in the order in which they are stored.
"""

from __future__ import annotations

import bz2
import re
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

_NUMBER_TYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248])")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Codec:
    """One step of a chunk's encoding.

    Attributes
    ----------
    name : str
        As numcodecs has it.
    options : mapping
        Those that decoding needs.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


class DamagedChunkError(ValueError):
    """The bytes are not what this codec writes, or not as many as the chunk holds."""


def parse_codec(name: object, options: Mapping[str, Any], item_bytes: int) -> Codec:
    """Return the codec of that name.

    Parameters
    ----------
    options : mapping
        As the metadata has them; unknown ones are for the writer and are left out.
    item_bytes : int
        Bytes an element, where the codec does not say.

    Raises
    ------
    UnsupportedFormatError
        Naming a codec that is not read: pickle and its like run code.
    TensorFormatError
        For options that cannot be.
    """
    if not isinstance(name, str) or name not in _STEPS:
        shown = printable(str(name)[:_LONGEST_NAME])
        raise UnsupportedFormatError(f"its codec {shown!r} is not read", hint=f"What is read: {', '.join(_STEPS)}.")
    match name:
        case "shuffle":
            return Codec(name, {"elementsize": _whole(options.get("elementsize", item_bytes), 1, 1 << 16)})
        case "delta" | "fixedscaleoffset" | "quantize":
            return Codec(name, _types(options, "dtype") | _scale(name, options))
        case "astype":
            return Codec(
                name, {"dtype": _type(options.get("decode_dtype")), "astype": _type(options.get("encode_dtype"))}
            )
        case "crc32" | "adler32" | "crc32c":
            place = options.get("location", "end" if name == "crc32c" else "start")
            if place not in ("start", "end"):
                raise TensorFormatError(f"its {name} lies at {str(place)[:20]!r}")
            return Codec(name, {"location": place})
        case _:
            return Codec(name)


def _types(options: Mapping[str, Any], key: str) -> dict[str, Any]:
    dtype = _type(options.get(key))
    return {"dtype": dtype, "astype": _type(options.get("astype") or dtype)}


def _scale(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    if name != "fixedscaleoffset":
        return {}
    found = {key: options.get(key) for key in ("scale", "offset")}
    if not all(type(value) in (int, float) for value in found.values()) or not found["scale"]:
        raise TensorFormatError("its fixedscaleoffset has no scale or offset")
    return {key: float(value) if abs(value) > 1 << 53 else value for key, value in found.items() if value is not None}


def _type(text: object) -> str:
    if isinstance(text, str) and _NUMBER_TYPE.fullmatch(_TYPE_NAMES.get(text, text)):
        return _TYPE_NAMES.get(text, text)
    raise TensorFormatError(f"a filter has the type {printable(str(text)[:_LONGEST_NAME])!r}")


_TYPE_NAMES = {
    "bool": "b1", "int8": "i1", "int16": "i2", "int32": "i4", "int64": "i8", "uint8": "u1", "uint16": "u2",
    "uint32": "u4", "uint64": "u8", "float16": "f2", "float32": "f4", "float64": "f8",
}  # fmt: skip


def _whole(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise TensorFormatError(f"a codec has the option {printable(str(value)[:20])!r}")
    return value


@dataclass(frozen=True, slots=True)
class Size:
    """How many bytes a step's data has: exactly, or at most."""

    most: int
    exact: bool = True


def sizes(codecs: Sequence[Codec], size_bytes: int) -> list[Size]:
    """Return the size of a chunk before the first codec, after it, and so on to the stored object."""
    found = [Size(size_bytes)]
    for one in codecs:
        found.append(_encoded(one, found[-1]))
    return found


def _encoded(codec: Codec, before: Size) -> Size:
    match codec.name:
        case "shuffle" | "bitround":
            return before
        case "crc32" | "adler32" | "crc32c":
            return Size(before.most + 4, before.exact)
        case "delta" | "fixedscaleoffset" | "quantize" | "astype":
            items, rest = divmod(before.most, np.dtype(codec.options["dtype"]).itemsize)
            if rest or not before.exact:
                raise TensorFormatError(f"its {codec.name} does not fit the elements")
            return Size(items * np.dtype(codec.options["astype"]).itemsize)
        case "packbits":
            return Size(1 + -(-before.most // 8), before.exact)
        case _:
            # What does not shrink grows by far less than this with any of them.
            return Size(before.most + before.most // 50 + 1024, exact=False)


def decode(codecs: Sequence[Codec], data: bytes | memoryview, out: Bytes) -> None:
    """Undo the codecs, the last one first, into a buffer of exactly the chunk's size.

    Nothing is ever expanded beyond what the chunk can have at that step, whatever a frame declares.

    Raises
    ------
    DamagedChunkError
        When these are not the bytes of such a chunk.
    """
    steps = sizes(codecs, out.nbytes)
    held: Bytes = np.frombuffer(data, np.uint8)
    if not codecs:
        _fill(out, held)
        return
    try:
        for at in range(len(codecs) - 1, -1, -1):
            target = out if at == 0 else np.empty(steps[at].most, np.uint8)
            count = _STEPS[codecs[at].name](held, target, codecs[at].options)
            if count > target.nbytes or (steps[at].exact and count != target.nbytes):
                raise DamagedChunkError(f"{count:,} bytes in place of {target.nbytes:,}")
            held = target[:count]
    except DamagedChunkError:
        raise
    except (ValueError, RuntimeError, TypeError, OSError, EOFError, OverflowError, IndexError, zlib.error) as error:
        raise DamagedChunkError(f"no valid {codecs[at].name} data") from error


def _fill(out: Bytes, data: Bytes) -> int:
    if data.nbytes != out.nbytes:
        raise DamagedChunkError(f"{data.nbytes:,} bytes in place of {out.nbytes:,}")
    out[:] = data
    return out.nbytes


def _put(out: Bytes, data: bytes | Bytes) -> int:
    found = np.frombuffer(data, np.uint8)
    if found.nbytes > out.nbytes:
        raise DamagedChunkError(f"it expands beyond {out.nbytes:,} bytes")
    out[: found.nbytes] = found
    return found.nbytes


def _zstd(data: Bytes, out: Bytes, _: Mapping[str, Any]) -> int:
    from numcodecs import zstd

    declared = zstd_content_size(bytes(data[:18]))
    size = out.nbytes if declared is None else declared
    if size > out.nbytes:
        raise DamagedChunkError(f"its frame declares {size:,} bytes, the chunk has {out.nbytes:,}")
    if size:
        zstd.decompress(data, out[:size])
    return size


def zstd_content_size(head: bytes) -> int | None:
    """Return the size that a zstd frame declares, None when it declares none (RFC 8878, 3.1.1.1)."""
    if head[:4] != _ZSTD_MAGIC or len(head) < 6:
        raise DamagedChunkError("no zstd frame")
    descriptor = head[4]
    single = descriptor >> 5 & 1
    at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    length = (single, 2, 4, 8)[descriptor >> 6]
    if not length:
        return None
    # A field of two bytes counts from 256.
    return int.from_bytes(head[at : at + length], "little") + (256 if length == 2 else 0)


def _blosc(data: Bytes, out: Bytes, _: Mapping[str, Any]) -> int:
    from numcodecs import blosc

    # Header of Blosc 1: version, versionlz, flags, typesize, then nbytes, blocksize and cbytes.
    if data.nbytes < 16:
        raise DamagedChunkError("no blosc frame")
    version, _, _, _, size, block, stored = struct.unpack("<BBBBIII", bytes(data[:16]))
    if version not in (1, 2) or stored != data.nbytes or block > max(size, 1):
        raise DamagedChunkError("no blosc frame, or a cut one")
    if size > out.nbytes:
        raise DamagedChunkError(f"its frame declares {size:,} bytes, the chunk has {out.nbytes:,}")
    if size:
        blosc.decompress(data, out[:size])
    return int(size)


def _lz4(data: Bytes, out: Bytes, _: Mapping[str, Any]) -> int:
    from numcodecs import lz4

    if data.nbytes < 5:
        raise DamagedChunkError("no lz4 block")
    size = int.from_bytes(bytes(data[:4]), "little")
    if size > out.nbytes:
        raise DamagedChunkError(f"its block declares {size:,} bytes, the chunk has {out.nbytes:,}")
    lz4.decompress(data, out[:size])
    return size


def _deflated(data: Bytes, out: Bytes, window_bits: int) -> int:
    count, rest = 0, data.tobytes()
    while rest:
        # A gzip file may have several members.
        stream = zlib.decompressobj(window_bits)
        count += _put(out[count:], stream.decompress(rest, out.nbytes - count + 1))
        if not stream.eof:
            raise DamagedChunkError("it is cut off, or expands beyond the chunk")
        rest = stream.unused_data
    return count


def _zlib(data: Bytes, out: Bytes, _: Mapping[str, Any]) -> int:
    return _deflated(data, out, zlib.MAX_WBITS)


def _gzip(data: Bytes, out: Bytes, _: Mapping[str, Any]) -> int:
    return _deflated(data, out, zlib.MAX_WBITS | 16)


def _bz2(data: Bytes, out: Bytes, _: Mapping[str, Any]) -> int:
    stream = bz2.BZ2Decompressor()
    count = _put(out, stream.decompress(data.tobytes(), out.nbytes + 1))
    if not stream.eof:
        raise DamagedChunkError("it is cut off, or expands beyond the chunk")
    return count


def _shuffle(data: Bytes, out: Bytes, options: Mapping[str, Any]) -> int:
    width = options["elementsize"]
    whole = data.nbytes - data.nbytes % width
    if data.nbytes > out.nbytes or whole != data.nbytes:
        raise DamagedChunkError("its shuffled bytes are no whole elements")
    out[:whole].reshape(-1, width)[:] = data[:whole].reshape(width, -1).T
    return data.nbytes


def _delta(data: Bytes, out: Bytes, options: Mapping[str, Any]) -> int:
    target = out.view(options["dtype"])
    source = _items(data, options["astype"], target.size)
    np.cumsum(source, out=target)
    return out.nbytes


def _fixedscaleoffset(data: Bytes, out: Bytes, options: Mapping[str, Any]) -> int:
    target = out.view(options["dtype"])
    source = _items(data, options["astype"], target.size)
    target[:] = ((source / options["scale"]) + options["offset"]).astype(target.dtype)
    return out.nbytes


def _astype(data: Bytes, out: Bytes, options: Mapping[str, Any]) -> int:
    target = out.view(options["dtype"])
    target[:] = _items(data, options["astype"], target.size).astype(target.dtype)
    return out.nbytes


def _items(data: Bytes, dtype: str, count: int) -> NDArray[Any]:
    if data.nbytes != count * np.dtype(dtype).itemsize:
        raise DamagedChunkError(f"{data.nbytes:,} bytes for {count:,} elements")
    return data.view(dtype)


def _packbits(data: Bytes, out: Bytes, _: Mapping[str, Any]) -> int:
    if data.nbytes != 1 + -(-out.nbytes // 8):
        raise DamagedChunkError(f"{data.nbytes:,} bytes for {out.nbytes:,} bits")
    out[:] = np.unpackbits(data[1:], count=out.nbytes)
    return out.nbytes


def _unchanged(data: Bytes, out: Bytes, _: Mapping[str, Any]) -> int:
    return _put(out, data)


def _crc32c(data: Bytes) -> int:
    import google_crc32c

    # Its binding reads `bytes` and nothing else.
    return int(google_crc32c.value(data.tobytes()))


def _checked(checksum: Callable[[Bytes], int]) -> Callable[[Bytes, Bytes, Mapping[str, Any]], int]:
    def step(data: Bytes, out: Bytes, options: Mapping[str, Any]) -> int:
        if data.nbytes < 4:
            raise DamagedChunkError("it has no checksum")
        first = options["location"] == "start"
        stored, payload = (data[:4], data[4:]) if first else (data[-4:], data[:-4])
        if int.from_bytes(stored.tobytes(), "little") != checksum(payload):
            raise DamagedChunkError("its checksum is another one")
        return _put(out, payload)

    return step


_STEPS: dict[str, Callable[[Bytes, Bytes, Mapping[str, Any]], int]] = {
    "zstd": _zstd,
    "blosc": _blosc,
    "lz4": _lz4,
    "gzip": _gzip,
    "zlib": _zlib,
    "bz2": _bz2,
    "crc32c": _checked(_crc32c),
    "crc32": _checked(lambda data: zlib.crc32(data.tobytes())),
    "adler32": _checked(lambda data: zlib.adler32(data.tobytes())),
    "shuffle": _shuffle,
    "delta": _delta,
    "fixedscaleoffset": _fixedscaleoffset,
    "quantize": _astype,
    "astype": _astype,
    "packbits": _packbits,
    "bitround": _unchanged,
}
