"""torch.save before torch 1.6: five pickles (mark, version, system, value, keys), then the storages one by one.

Source: torch/serialization.py `_legacy_save`; each storage follows the number of its elements in eight bytes.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import pickletools
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.tensors.formats.pickle_machine import Machine
from jupyter_gpu_ext.tensors.formats.torch_pickle import Description, describe
from jupyter_gpu_ext.tensors.models import MOST_TENSORS, Stored, TensorFile, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.storage.reader import Reader

# 0x1950a86a20f9469cfc6c as a LONG1, and STOP.
_MARK = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_PROTOCOL = 1001
_COUNT_BYTES = 8
_WIDER = 16
_DAMAGED = "Write or copy the file again."


def sniff(head: bytes) -> bool:
    """Tell whether the first bytes are the mark that torch.save wrote."""
    return head[:1] == b"\x80" and _MARK in head[:32]


async def read_header(reader: Reader, *, most_bytes: int) -> TensorFile:
    """Read the pickles at the front; where the storages lie follows from what they say.

    Raises
    ------
    TensorFormatError
        For a file that is damaged, or whose pickle needs code; names what it asks for.
    """
    raw = reader.head
    while (parts := await asyncio.to_thread(_pickles, raw)) is None:
        if len(raw) >= min(reader.version.size_bytes, most_bytes):
            raise TensorFormatError(f"{reader.shown} ends within its description: it is cut off.", hint=_DAMAGED)
        raw = await reader.read(0, min(len(raw) * _WIDER, reader.version.size_bytes, most_bytes))
    said, keys = await asyncio.to_thread(_describe, parts, reader)
    # What one byte order means is only defined for the other parts.
    storages = _storages(said, keys, sum(map(len, parts)), reader)
    used = {one.storage for one in said.tensors.values()}
    storages = {key: span for key, span in storages.items() if key in used}
    check(said.tensors, storages, reader.version.size_bytes, reader.shown)
    return TensorFile(
        url=str(reader.url),
        kind="torch-legacy",
        size_bytes=reader.version.size_bytes,
        etag=reader.version.etag,
        tensors=said.tensors,
        storages=storages,
        tree=said.tree,
        notes=("a file of torch before 1.6: saved again it has checksums",),
        requests=reader.requests,
        bytes_read=reader.bytes_read,
    )


def _pickles(raw: bytes) -> list[bytes] | None:
    """Return the five pickles at the front of `raw`; None when it ends before they do."""
    ends = [0]
    try:
        for end in _ends(raw):
            ends += [end]
    except ValueError as error:
        # An opcode that does not exist ends the search as well: the machine says so, then.
        if "unknown" not in str(error):
            return None
        ends += [len(raw)] * (6 - len(ends))
    return [raw[start:end] for start, end in itertools.pairwise(ends)]


def _ends(raw: bytes) -> Iterator[int]:
    stream = io.BytesIO(raw)
    for _ in range(5):
        for _opcode in pickletools.genops(stream):
            pass
        yield stream.tell()


def _describe(parts: list[bytes], reader: Reader) -> tuple[Description, list[str]]:
    def plain(raw: bytes) -> Any:
        return Machine({}, {}, lambda _: None).run(raw)

    try:
        protocol, system, keys = plain(parts[1]), plain(parts[2]), plain(parts[4])
        little = isinstance(system, dict) and system.get("little_endian") is True
        known = protocol == _PROTOCOL and isinstance(keys, list) and len(keys) <= MOST_TENSORS
    except TensorFormatError:
        little = known = False
        keys = []
    # The value first: what it asks for is what a person has to know.
    said = describe(parts[3], reader.shown)
    if not known or not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise TensorFormatError(f"{reader.shown} has no list of its storages.", hint=_DAMAGED)
    if not little:
        raise TensorFormatError(
            f"{reader.shown} was not written in little-endian byte order.", hint="Load it with torch and save it again."
        )
    return said, keys


def _storages(said: Description, keys: list[str], at: int, reader: Reader) -> dict[str, Stored]:
    if set(keys) != set(said.size_bytes):
        raise TensorFormatError(f"{reader.shown} does not have the storages that it describes.", hint=_DAMAGED)
    found: dict[str, Stored] = {}
    for key in keys:
        start = at + _COUNT_BYTES
        at = start + said.size_bytes[key]
        near = reader.head[start - _COUNT_BYTES : start]
        count = int.from_bytes(near, "little")
        # Elements are counted, of one to 16 bytes.
        if len(near) == _COUNT_BYTES and not count <= said.size_bytes[key] <= count * 16:
            raise TensorFormatError(f"{reader.shown}: storage {key[:200]!r} is of another length.", hint=_DAMAGED)
        found[key] = Stored(start, at)
    if at != reader.version.size_bytes:
        raise TensorFormatError(
            f"{reader.shown} has {reader.version.size_bytes:,} bytes, its header describes {at:,}: "
            "it is cut off or damaged.",
            hint=_DAMAGED,
        )
    return found
