"""The directory of a zip archive in object storage: names and where their bytes lie.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.12 to 4.3.16 and 4.5.3.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.tensors.models import MOST_TENSORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_gpu_ext.storage.reader import Reader

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_BYTES = _LOCAL.size
_NONE32 = 0xFFFFFFFF

TAIL_BYTES = 64 * 1024

_ALIGNMENTS = tuple(64 << i for i in range(9))
# Between two members lies a data descriptor: none, or 16 bytes, 24 in zip64.
_DESCRIPTORS = (0, 16, 24)
_ENCRYPTED = 1
_DEFLATE = 8
_CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive, as the directory at its end describes it.

    Attributes
    ----------
    stored, deflated : bool
        Whether its bytes lie there as they are, or deflated; neither, when they are encrypted or otherwise packed.
    size_bytes, packed_bytes : int
        As it is, and in the archive.
    """

    name: str
    stored: bool
    size_bytes: int
    header_offset: int
    crc32: int = 0
    deflated: bool = False
    packed_bytes: int = 0

    def data(self, alignment: int) -> ByteRange:
        """Return where the bytes lie when the writer pads them to `alignment`, as torch does.

        torch puts the padding into the local header's extra field, 4 bytes at least, after a zip64
        field where one is needed (caffe2/serialize/inline_container.cc, `getPadding`).
        """
        start = self.header_offset + LOCAL_BYTES + len(self.name.encode()) + 4
        if self.size_bytes >= _NONE32 or self.header_offset >= _NONE32:
            start += 4 + 16 * (self.size_bytes >= _NONE32) + 8 * (self.header_offset >= _NONE32)
        start += -start % alignment
        return ByteRange(start, start + self.size_bytes)


@dataclass(frozen=True, slots=True)
class Directory:
    """All members in file order, and where the directory itself starts."""

    members: tuple[Member, ...]
    offset: int

    def edges(self) -> dict[str, int]:
        """Return for each member where the next one starts, or the directory."""
        after = [one.header_offset for one in self.members[1:]] + [self.offset]
        # Of an empty archive there is one edge and no member.
        return {member.name: edge for member, edge in zip(self.members, after, strict=False)}

    def by_rule(self, head: bytes) -> dict[str, ByteRange] | None:
        """Return where all members' bytes lie when torch padded them, with no request; None when it did not.

        The rule has to hold for every member, and every local header in the file's first bytes has to say the
        same: another writer's member may fit it by chance.
        """
        edges = self.edges()
        for alignment in _ALIGNMENTS:
            spans = {member.name: member.data(alignment) for member in self.members}
            if all(edges[name] - span.stop in _DESCRIPTORS for name, span in spans.items()):
                near = [one for one in self.members if one.header_offset + LOCAL_BYTES <= len(head)]
                said = [data_start(head[one.header_offset :][:LOCAL_BYTES], one) for one in near]
                agreed = said == [spans[one.name].start for one in near]
                return spans if agreed and near else None
        return None


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
    members = await asyncio.to_thread(_members, raw, count, reader)
    return Directory(members, offset)


def _locate(tail: bytes, tail_start: int, reader: Reader) -> tuple[int, int, int]:
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise _damaged(reader, "is cut off: the directory of the archive is missing")
    *_, count, length, offset, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        raise _damaged(reader, "has bytes after its end")
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
    if count > 2 * MOST_TENSORS:
        raise _damaged(reader, f"declares {count:,} members")
    members, at = list[Member](), 0
    for _ in range(count):
        if at + _ENTRY.size > len(raw) or raw[at : at + 4] != b"PK\1\2":
            raise _damaged(reader, "has a broken archive directory")
        fields = _ENTRY.unpack_from(raw, at)
        flags, method, crc32, stored_size, size, name_size, extra_size, note_size, header = (
            *(fields[i] for i in (3, 4, 7, 8, 9, 10, 11, 12)),
            fields[16],
        )
        name_at = at + _ENTRY.size
        extra = raw[name_at + name_size :][:extra_size]
        size, stored_size, header = _wide(extra, size, stored_size, header, reader)
        try:
            name = raw[name_at : name_at + name_size].decode()
        except UnicodeDecodeError:
            raise _damaged(reader, "has a member whose name is no text") from None
        plain = method == 0 and size == stored_size and not flags & _ENCRYPTED
        deflated = method == _DEFLATE and not flags & _ENCRYPTED
        members.append(Member(name, plain, size, header, crc32, deflated, stored_size))
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


async def locate(directory: Directory, names: Iterable[str], reader: Reader) -> dict[str, ByteRange]:
    """Return where the bytes of these members lie, by their local headers: one request each.

    Raises
    ------
    TensorFormatError
        When a local header contradicts the directory, or a member reaches into the next one.
    """
    edges, gate = directory.edges(), asyncio.Semaphore(_CONCURRENCY)
    members = {member.name: member for member in directory.members}

    async def one(member: Member) -> ByteRange:
        async with gate:
            name = member.name.encode()
            raw = await reader.read(member.header_offset, member.header_offset + LOCAL_BYTES + len(name))
        start = data_start(raw, member)
        stop = (start or 0) + member.size_bytes
        if start is None or raw[LOCAL_BYTES:] != name or stop > edges[member.name]:
            raise _damaged(reader, "has a broken archive member")
        return ByteRange(start, stop)

    chosen = [members[name] for name in names]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(member)) for member in chosen]
    except BaseExceptionGroup as error:
        raise error.exceptions[0] from None
    return {member.name: task.result() for member, task in zip(chosen, tasks, strict=True)}


def data_start(raw: bytes, member: Member) -> int | None:
    """Return where a member's bytes begin in the file, by its local header; None when that is none."""
    if len(raw) < LOCAL_BYTES or raw[:4] != b"PK\3\4":
        return None
    *_, name_size, extra_size = _LOCAL.unpack_from(raw)
    return member.header_offset + LOCAL_BYTES + int(name_size) + int(extra_size)


def _damaged(reader: Reader, what: str) -> TensorFormatError:
    return TensorFormatError(f"{reader.shown} {what}.", hint="The file is damaged; write or copy it again.")
