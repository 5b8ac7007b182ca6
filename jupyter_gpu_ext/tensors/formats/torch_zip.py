"""torch.save archives: a zip of stored members, a pickle that describes, one member a storage.

Layout: torch/serialization.py `_save`, caffe2/serialize/inline_container.cc.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.formats.torch_pickle import SAVE_AGAIN, check_sizes, describe
from jupyter_gpu_ext.tensors.formats.zip_directory import Directory, locate, read_directory
from jupyter_gpu_ext.tensors.models import Stored, TensorFile, check
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.ranges import ByteRange
    from jupyter_gpu_ext.storage.reader import Reader

# What lies between the pickle and the byte order that is worth one request instead of two.
_NEAR_BYTES = 4096


def sniff(head: bytes) -> bool:
    """Tell whether the first bytes are those of a zip archive."""
    return head.startswith(b"PK\3\4")


async def read_header(reader: Reader, *, most_bytes: int) -> TensorFile:
    """Read directory and pickle: two requests where the pickle lies in the first 64 KiB, else three.

    Raises
    ------
    TensorFormatError
        For an archive that is damaged, or whose pickle needs code; names what it asks for.
    UnsupportedFormatError
        For TorchScript and exported programs, which are code.
    """
    directory = await read_directory(reader, most_bytes=most_bytes)
    root = _root(directory, reader)
    rule = directory.by_rule(reader.head)
    pickle = await _pickle(directory, rule, root, reader, most_bytes)
    # Not on the I/O loop: others wait for it.
    said = await asyncio.to_thread(describe, pickle, reader.shown)
    tensors = said.tensors
    keys = {one.storage for one in tensors.values()}
    used = await _storages(directory, rule, f"{root}data/", keys, reader)
    check_sizes(used, said.size_bytes, reader.shown)
    check(tensors, used, reader.version.size_bytes, reader.shown)
    return TensorFile(
        url=str(reader.url),
        kind="torch",
        size_bytes=reader.version.size_bytes,
        etag=reader.version.etag,
        tensors=tensors,
        storages=used,
        tree=said.tree,
        requests=reader.requests,
        bytes_read=reader.bytes_read,
    )


def _root(directory: Directory, reader: Reader) -> str:
    pickles = [one.name for one in directory.members if one.name.endswith("/data.pkl") and one.name.count("/") == 1]
    root = pickles[0].removesuffix("data.pkl") if len(pickles) == 1 else ""
    names = {one.name for one in directory.members}
    if any(name.endswith((".ptl", "/constants.pkl")) or "/code/" in name for name in names):
        raise UnsupportedFormatError(
            f"{reader.shown} is a TorchScript program: it is code, and was not loaded.", hint=SAVE_AGAIN
        )
    if any("archive_format" in name or name.endswith("models/model.json") for name in names):
        raise UnsupportedFormatError(
            f"{reader.shown} is an exported program (.pt2): it is code, and was not loaded.", hint=SAVE_AGAIN
        )
    if not root:
        raise UnsupportedFormatError(
            f"{reader.shown} is a zip archive, but not one that torch.save writes.",
            hint="What is read: .pt, .pth, .bin, .ckpt of torch.save, and .safetensors.",
        )
    if big := [one.name for one in directory.members if not one.stored]:
        raise TensorFormatError(
            f"{reader.shown} holds compressed members ({printable(big[0])}); torch.save writes none.", hint=SAVE_AGAIN
        )
    return root


async def _pickle(
    directory: Directory, rule: Mapping[str, ByteRange] | None, root: str, reader: Reader, most_bytes: int
) -> bytes:
    sizes = {one.name: one.size_bytes for one in directory.members}
    name, order = f"{root}data.pkl", f"{root}byteorder"
    if sizes[name] > most_bytes:
        raise TensorFormatError(
            f"{reader.shown} has a description of {sizes[name]:,} bytes, {most_bytes:,} are read at most."
        )
    wanted = [one for one in (name, order) if one in sizes]
    spans = rule or await locate(directory, wanted, reader)
    pickle = spans[name]
    # Files of torch before 2.1 do not say it: they are little-endian.
    mark = spans.get(order, pickle)
    if 0 <= mark.start - pickle.stop <= _NEAR_BYTES and mark.size_bytes <= _NEAR_BYTES:
        raw = await reader.read(pickle.start, mark.stop)
        said, data = raw[mark.start - pickle.start :], raw[: pickle.size_bytes]
    else:
        data = await reader.read(pickle.start, pickle.stop)
        said = await reader.read(mark.start, min(mark.stop, mark.start + _NEAR_BYTES))
    if order in sizes and said != b"little":
        raise TensorFormatError(
            f"{reader.shown} was not written in little-endian byte order.", hint="Load it with torch and save it again."
        )
    return data


async def _storages(
    directory: Directory, rule: Mapping[str, ByteRange] | None, prefix: str, keys: set[str], reader: Reader
) -> dict[str, Stored]:
    names = {one.name: one.crc32 for one in directory.members}
    # torch may be told to leave the checksums out; it writes zeros then.
    known = any(names.values())
    # What is missing is for `check` to say, with the tensor's name.
    found = [prefix + key for key in sorted(keys) if prefix + key in names]
    spans = rule or await locate(directory, found, reader)
    return {
        name.removeprefix(prefix): Stored(spans[name].start, spans[name].stop, crc32=names[name] if known else None)
        for name in found
    }
