"""safetensors: eight bytes of length, a JSON header, the data.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.tensors.formats.strict_json import parse_object
from jupyter_gpu_ext.tensors.models import ITEM_BYTES, MOST_TENSORS, Stored, Tensor, TensorFile, check

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader

DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
}  # fmt: skip

_DAMAGED = "The file is damaged; write or copy it again."


def sniff(head: bytes) -> bool:
    """Tell whether the first bytes are those of a safetensors file."""
    return len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") < 2**32


async def read_header(reader: Reader, *, most_bytes: int) -> TensorFile:
    """Read the header: no request beyond the opening one unless it is longer than 64 KiB.

    Raises
    ------
    TensorFormatError
        When the header is not valid, or longer than `most_bytes`.
    """
    length = int.from_bytes(reader.head[:8], "little")
    if length > most_bytes:
        raise TensorFormatError(
            f"{reader.shown} declares a header of {length:,} bytes, {most_bytes:,} are read at most.", hint=_DAMAGED
        )
    raw = await reader.read(8, 8 + length)
    # Not on the I/O loop: others wait for it.
    header = await asyncio.to_thread(_parse, raw, reader.shown)
    metadata = _metadata(header.pop("__metadata__", {}), reader.shown)
    tensors, storages = _tensors(header, 8 + length, reader)
    check(tensors, storages, reader.version.size_bytes, reader.shown)
    return TensorFile(
        url=str(reader.url),
        kind="safetensors",
        size_bytes=reader.version.size_bytes,
        etag=reader.version.etag,
        tensors=tensors,
        storages=storages,
        tree=dict(tensors),
        metadata=metadata,
        requests=reader.requests,
        bytes_read=reader.bytes_read,
    )


def _parse(raw: bytes, url: str) -> dict[str, Any]:
    # Counted before it takes memory: within a text the quotes would be escaped.
    if (count := raw.count(b'"data_offsets"')) > MOST_TENSORS:
        raise TensorFormatError(f"{url} declares {count:,} tensors.", hint=f"{MOST_TENSORS:,} are read at most.")
    return parse_object(raw, f"{url} has a header that")


def _metadata(found: Any, url: str) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise TensorFormatError(f"{url} has metadata that is not text.", hint=_DAMAGED)
    return found


def _tensors(header: dict[str, Any], base: int, reader: Reader) -> tuple[dict[str, Tensor], dict[str, Stored]]:
    tensors, storages = dict[str, Tensor](), dict[str, Stored]()
    for name, entry in header.items():
        try:
            dtype, shape, (start, stop) = DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
            lists = isinstance(entry["shape"], list) and isinstance(entry["data_offsets"], list) and len(shape) <= 64
            whole = lists and all(type(size) is int and 0 <= size < 2**63 for size in (*shape, start, stop))
        except (KeyError, TypeError, ValueError):
            raise TensorFormatError(f"{reader.shown}: tensor {name[:200]!r} is not described.", hint=_DAMAGED) from None
        if not whole or stop - start != math.prod(shape) * ITEM_BYTES[dtype]:
            raise TensorFormatError(f"{reader.shown}: tensor {name[:200]!r} does not fit its bytes.", hint=_DAMAGED)
        tensors[name] = Tensor(dtype=dtype, shape=shape, stride=contiguous(shape), storage=name)
        storages[name] = Stored(base + start, base + stop)
    _check_gapless(storages, base, reader)
    return tensors, storages


def _check_gapless(storages: dict[str, Stored], base: int, reader: Reader) -> None:
    # The format allows neither holes nor overlaps, so that no bytes hide in a file.
    at = base
    for span in sorted(storages.values()):
        if span.start != at:
            raise TensorFormatError(f"{reader.shown} has tensors that overlap or leave a hole.", hint=_DAMAGED)
        at = span.stop
    if at != reader.version.size_bytes:
        raise TensorFormatError(
            f"{reader.shown} has {reader.version.size_bytes:,} bytes, its header describes {at:,}: "
            "it is cut off or damaged.",
            hint="Write or copy the file again.",
        )


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of a contiguous array."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))
