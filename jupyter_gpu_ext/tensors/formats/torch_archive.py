"""Writing the archive of torch.save as a stream: stored members, padded so that a reader knows where their bytes lie.

Layout: caffe2/serialize/inline_container.cc (`getPadding`), third_party/miniz (`mz_zip_writer_add_mem_ex_v2`).
A member's checksum follows its bytes, so nothing has to be known before it is sent.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sized

ALIGNMENT_BYTES = 64
ROOT = "archive/"

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_NONE32 = 0xFFFFFFFF
_NONE16 = 0xFFFF
_UTF8 = 0x0800
# Size and checksum come after the bytes.
_DESCRIBED_AFTER = 0x0008
_MADE_BY = 0x031E
_ZIP64 = 1


@dataclass(frozen=True, slots=True)
class _Member:
    name: bytes
    size_bytes: int
    offset: int
    crc32: int = 0

    @property
    def wide(self) -> tuple[int, ...]:
        """The numbers that need 64 bits."""
        sizes = (self.size_bytes, self.size_bytes) if self.size_bytes >= _NONE32 else ()
        return (*sizes, self.offset) if self.offset >= _NONE32 else sizes

    @property
    def flags(self) -> int:
        # torch writes no descriptor after an empty member, and its readers count on that.
        return _UTF8 | _DESCRIBED_AFTER if self.size_bytes else _UTF8

    def local(self) -> bytes:
        extra = _wide_field(self.wide)
        start = self.offset + _LOCAL.size + len(self.name) + len(extra) + 4
        padding = -start % ALIGNMENT_BYTES
        extra += struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        size = _NONE32 if self.size_bytes >= _NONE32 else 0
        fixed = (b"PK\3\4", 0, self.flags, 0, 0, 0, 0, size, size, len(self.name), len(extra))
        return _LOCAL.pack(*fixed) + self.name + extra

    def descriptor(self) -> bytes:
        if not self.size_bytes:
            return b""
        return struct.pack("<4sL2Q" if self.wide else "<4s3L", b"PK\7\10", self.crc32, self.size_bytes, self.size_bytes)

    def entry(self) -> bytes:
        size, offset, extra = min(self.size_bytes, _NONE32), min(self.offset, _NONE32), _wide_field(self.wide)
        fixed = (b"PK\1\2", 0, 0, self.flags, 0, 0, 0, self.crc32, size, size, len(self.name), len(extra))
        return _ENTRY.pack(*fixed, 0, 0, 0, 0, offset) + self.name + extra


def _wide_field(numbers: tuple[int, ...]) -> bytes:
    return struct.pack(f"<2H{len(numbers)}Q", _ZIP64, 8 * len(numbers), *numbers) if numbers else b""


def archive(members: Iterable[tuple[str, Sized]]) -> Generator[bytes | Sized, int, None]:
    """Yield the parts of an archive in order; send each part's CRC-32 back.

    Parameters
    ----------
    members : iterable of (str, sized)
        Name below the archive's folder, and something with as many bytes as its length says; it is handed
        through.
    """
    done, at = list[_Member](), 0
    for name, data in members:
        member = _Member((ROOT + name).encode(), len(data), at)
        local = member.local()
        yield local
        crc32 = yield data
        member = _Member(member.name, member.size_bytes, at, crc32)
        done.append(member)
        yield member.descriptor()
        at += len(local) + len(data) + len(member.descriptor())
    yield _directory(done, at)


def in_memory(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a small archive as a whole."""
    parts, whole = archive(members), io.BytesIO()
    part: Any = next(parts, None)
    while part is not None:
        whole.write(part)
        try:
            part = parts.send(zlib.crc32(part))
        except StopIteration:
            break
    return whole.getvalue()


def _directory(members: list[_Member], at: int) -> bytes:
    entries = b"".join(member.entry() for member in members)
    count, end = len(members), at + len(entries)
    # torch always writes the wide form of the end, too.
    end64 = _END64.pack(b"PK\6\6", _END64.size - 12, _MADE_BY, 45, 0, 0, count, count, len(entries), at)
    locator = _END64_LOCATOR.pack(b"PK\6\7", 0, end, 1)
    few, size, offset = min(count, _NONE16), min(len(entries), _NONE32), min(at, _NONE32)
    return entries + end64 + locator + _END.pack(b"PK\5\6", 0, 0, few, few, size, offset, 0)
