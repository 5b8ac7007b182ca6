"""numpy's .npz: a zip archive with one .npy file an array, stored or deflated.

Format: https://numpy.org/doc/stable/reference/generated/numpy.savez.html
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.tensors.formats import npy
from jupyter_gpu_ext.tensors.formats.zip_directory import LOCAL_BYTES, data_start, read_directory
from jupyter_gpu_ext.tensors.models import LEAST_BOMB, MOST_RATIO, Encoding, Stored, TensorFile, check
from jupyter_gpu_ext.tensors.peek import peek
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.formats.zip_directory import Directory, Member

_LOCAL_MARK = b"PK\3\4"
_EMPTY = b"PK\5\6"
_SUFFIX = ".npy"
# Behind a local header: its extra field, and an .npy header, which numpy pads to 128 bytes mostly.
_NEAR_BYTES = 512
_DAMAGED = "The file is damaged; write or copy it again."


def sniff(head: bytes) -> bool:
    """Tell whether the first bytes are those of an archive whose first member is an array, or of an empty one."""
    name = head[LOCAL_BYTES:][: int.from_bytes(head[26:28], "little")]
    return (head.startswith(_LOCAL_MARK) and name.endswith(_SUFFIX.encode())) or head.startswith(_EMPTY)


async def read_header(reader: Reader, *, most_bytes: int) -> TensorFile:
    """Read the directory and the beginning of each member; those of neighbours are one request.

    Raises
    ------
    TensorFormatError
        For an archive that is damaged, or holds anything but arrays.
    UnsupportedFormatError
        When torch has no such type.
    """
    directory = await read_directory(reader, most_bytes=most_bytes)
    for one in directory.members:
        _check_member(one, reader)
    found = await _headers(directory, reader)
    size = reader.version.size_bytes
    if sum(one.data_bytes for one, _ in found.values()) > max(size * MOST_RATIO, LEAST_BOMB):
        raise TensorFormatError(
            f"{reader.shown} would unpack to far more than it is.", hint="This is no archive of data."
        )
    tensors = {name.removesuffix(_SUFFIX): header.tensor(name) for name, (header, _) in found.items()}
    storages = {name: stored for name, (_, stored) in found.items()}
    check(tensors, storages, size, reader.shown)
    notes = []
    if any(one.deflated for one in directory.members):
        notes.append("deflated arrays are unpacked in host memory, one at a time as a whole")
    if any(header.swapped for header, _ in found.values()):
        notes.append("big-endian elements are turned round on the way")
    return TensorFile(
        url=str(reader.url),
        kind="npz",
        size_bytes=size,
        etag=reader.version.etag,
        tensors=tensors,
        storages=storages,
        tree=dict(tensors),
        notes=tuple(notes),
        requests=reader.requests,
        bytes_read=reader.bytes_read,
    )


def _check_member(one: Member, reader: Reader) -> None:
    parts = one.name.split("/")
    if not one.name.endswith(_SUFFIX) or any(part in ("", ".", "..") for part in parts) or "\\" in one.name:
        raise TensorFormatError(
            f"{reader.shown} holds {printable(one.name[:200])!r}, which is no array.", hint=_DAMAGED
        )
    if not (one.stored or one.deflated) or (one.stored and one.packed_bytes != one.size_bytes):
        raise TensorFormatError(
            f"{reader.shown} holds {printable(one.name[:200])!r} encrypted or packed in an unusual way.",
            hint="Write it with numpy.savez.",
        )


async def _headers(directory: Directory, reader: Reader) -> dict[str, tuple[npy.Header, Stored]]:
    edges = directory.edges()
    members = {one.name: one for one in directory.members}

    def window(one: Member, more_bytes: int) -> ByteRange:
        stop = one.header_offset + LOCAL_BYTES + len(one.name.encode()) + more_bytes
        return ByteRange(one.header_offset, min(max(edges[one.name], one.header_offset), stop))

    def look(name: str, raw: bytes) -> tuple[npy.Header, Stored] | None:
        return _member(members[name], raw, edges[name], reader)

    near = await peek(reader, {name: window(one, _NEAR_BYTES) for name, one in members.items()}, look)
    rest = [members[name] for name, found in near.items() if found is None]
    # What is cut off here as well fails to parse.
    more = await peek(reader, {one.name: window(one, 2 * npy.MOST_BYTES + 0xFFFF) for one in rest}, look)
    if any(found is None for found in more.values()):
        raise _broken(reader)
    return {name: found for name in members if (found := near[name] or more[name]) is not None}


def _member(one: Member, raw: bytes, edge: int, reader: Reader) -> tuple[npy.Header, Stored] | None:
    """Return header and place of an array; None when the bytes do not reach far enough."""
    name = one.name.encode()
    start = data_start(raw, one)
    if start is None or raw[LOCAL_BYTES:][: len(name)] != name or start + one.packed_bytes > edge:
        raise _broken(reader)
    packed = raw[start - one.header_offset :][: one.packed_bytes]
    try:
        data = zlib.decompressobj(-15).decompress(packed, npy.MOST_BYTES) if one.deflated else packed
    except zlib.error:
        raise _broken(reader) from None
    wanted = (int.from_bytes(data[8:10], "little") + 10) if data[6:8] == b"\1\0" else npy.MOST_BYTES
    if (
        len(data) < min(wanted, one.size_bytes)
        and len(raw) < edge - one.header_offset
        and len(packed) < one.packed_bytes
    ):
        return None
    shown = f"{reader.shown}, {printable(one.name[:200])}"
    header = npy.parse(data[: npy.MOST_BYTES], shown)
    if header.size_bytes + header.data_bytes != one.size_bytes:
        raise TensorFormatError(
            f"{shown} has {one.size_bytes:,} bytes, its header describes another number.", hint=_DAMAGED
        )
    if one.deflated:
        return header, Stored(start, start + one.packed_bytes, crc32=one.crc32, encoding=Encoding(
            size_bytes=header.data_bytes, item_bytes=header.swap_bytes, deflated=True, skip_bytes=header.size_bytes,
        ))  # fmt: skip
    encoding = Encoding(size_bytes=header.data_bytes, item_bytes=header.swap_bytes) if header.swap_bytes > 1 else None
    crc = None if encoding else _crc_behind(data[: header.size_bytes], header.data_bytes, one.crc32)
    return header, Stored(start + header.size_bytes, start + one.size_bytes, crc32=crc, encoding=encoding)


def _crc_behind(header: bytes, data_bytes: int, whole: int) -> int:
    """Return the checksum of what follows the header, from the one of all."""
    from isal import isal_zlib

    return int(isal_zlib.crc32_combine(zlib.crc32(header), 0, data_bytes)) ^ whole


def _broken(reader: Reader) -> TensorFormatError:
    return TensorFormatError(f"{reader.shown} has a broken archive member.", hint=_DAMAGED)
