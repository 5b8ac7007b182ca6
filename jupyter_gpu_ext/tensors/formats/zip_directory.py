"""The directory of a zip archive in object storage: names and where their bytes lie.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.12 to 4.3.16 and 4.5.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.storage.ranges import ByteRange

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_NONE32 = 0xFFFFFFFF

# A comment may follow the end record; torch writes none.
TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive, as the directory at its end describes it."""

    name: str
    stored: bool
    size_bytes: int
    header_offset: int

    def data(self, alignment: int) -> ByteRange:
        """Return where the bytes lie when the writer pads them to `alignment`, as torch does.

        torch puts the padding into the local header's extra field, 4 bytes at least, after a zip64
        field where one is needed (caffe2/serialize/inline_container.cc, `getPadding`).
        """
        start = self.header_offset + _LOCAL.size + len(self.name.encode()) + 4
        if self.size_bytes >= _NONE32 or self.header_offset >= _NONE32:
            start += 4 + 16 * (self.size_bytes >= _NONE32) + 8 * (self.header_offset >= _NONE32)
        start += -start % alignment
        return ByteRange(start, start + self.size_bytes)


@dataclass(frozen=True, slots=True)
class Directory:
    """All members in file order, and where the directory itself starts."""

    members: tuple[Member, ...]
    offset: int


async def read_directory(reader: Reader, *, most_bytes: int) -> Directory:
    """Read the directory: one request for the tail, one more when the directory is longer than that.

    Raises
    ------
    TensorFormatError
        When the archive is cut off or damaged, or its directory is longer than `most_bytes`.
    """
    size = reader.version.size_bytes
    tail_start = max(0, size - TAIL_BYTES)
    tail = await reader.read(tail_start, size)
    offset, length, count = _locate(tail, tail_start, reader)
    if length > most_bytes:
        raise _damaged(reader, f"declares a directory of {length:,} bytes")
    if offset + length > size:
        raise _damaged(reader, "is cut off")
    raw = tail[offset - tail_start :][:length] if offset >= tail_start else await reader.read(offset, offset + length)
    return Directory(_members(raw, count, reader), offset)


def _locate(tail: bytes, tail_start: int, reader: Reader) -> tuple[int, int, int]:
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise _damaged(reader, "is cut off: the directory of the archive is missing")
    _, _, _, _, count, length, offset, _ = _END.unpack_from(tail, at)
    if _NONE32 in (offset, length) or count == 0xFFFF or tail[at - _END64_LOCATOR.size : at][:4] == b"PK\6\7":
        return _locate64(tail, tail_start, at, reader)
    return offset, length, count


def _locate64(tail: bytes, tail_start: int, end: int, reader: Reader) -> tuple[int, int, int]:
    locator = end - _END64_LOCATOR.size
    if locator < 0 or tail[locator : locator + 4] != b"PK\6\7":
        raise _damaged(reader, "has a broken archive directory")
    at = _END64_LOCATOR.unpack_from(tail, locator)[2] - tail_start
    if at < 0 or at + _END64.size > len(tail) or tail[at : at + 4] != b"PK\6\6":
        raise _damaged(reader, "has a broken archive directory")
    *_, count, length, offset = _END64.unpack_from(tail, at)
    return offset, length, count


def _members(raw: bytes, count: int, reader: Reader) -> tuple[Member, ...]:
    members, at = list[Member](), 0
    for _ in range(count):
        if at + _ENTRY.size > len(raw) or raw[at : at + 4] != b"PK\1\2":
            raise _damaged(reader, "has a broken archive directory")
        fields = _ENTRY.unpack_from(raw, at)
        method, stored_size, size, name_size, extra_size, note_size, header = (
            *(fields[i] for i in (4, 8, 9, 10, 11, 12)),
            fields[16],
        )
        name_at = at + _ENTRY.size
        extra = raw[name_at + name_size :][:extra_size]
        size, stored_size, header = _wide(extra, size, stored_size, header, reader)
        try:
            name = raw[name_at : name_at + name_size].decode()
        except UnicodeDecodeError:
            raise _damaged(reader, "has a member whose name is no text") from None
        members.append(Member(name, method == 0 and size == stored_size, size, header))
        at = name_at + name_size + extra_size + note_size
    if len({member.name for member in members}) != len(members):
        raise _damaged(reader, "has two members of one name")
    return tuple(sorted(members, key=lambda member: member.header_offset))


def _wide(extra: bytes, size: int, stored: int, header: int, reader: Reader) -> tuple[int, int, int]:
    values = [size, stored, header]
    if _NONE32 not in values:
        return size, stored, header
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            wide = list(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            for i, value in enumerate(values):
                if value == _NONE32 and wide:
                    values[i] = wide.pop(0)
            return values[0], values[1], values[2]
        at += 4 + length
    raise _damaged(reader, "has a broken archive directory")


async def locate_by_header(reader: Reader, member: Member) -> ByteRange:
    """Return where a member's bytes lie by its local header: one request, for archives of other writers."""
    raw = await reader.read(member.header_offset, member.header_offset + _LOCAL.size)
    if raw[:4] != b"PK\3\4":
        raise _damaged(reader, "has a broken archive member")
    *_, name_size, extra_size = _LOCAL.unpack(raw)
    start = member.header_offset + _LOCAL.size + name_size + extra_size
    return ByteRange(start, start + member.size_bytes)


def _damaged(reader: Reader, what: str) -> TensorFormatError:
    return TensorFormatError(f"{reader.url} {what}.", hint="The file is damaged; write or copy it again.")
