"""Tar shards as WebDataset writes them: the members of a sample follow one another, and have its name up to a dot.

Format: https://www.gnu.org/software/tar/manual/html_node/Standard.html and
https://github.com/webdataset/webdataset#the-webdataset-format. Nothing is unpacked to a disk.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_BLOCK = 512
_HINT = "Write the shard or copy it again; on_error='skip' leaves it out."


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of a sample.

    Attributes
    ----------
    key, name : str
        What precedes the first dot of its last part, and what follows.
    begin : int
        First byte of its first header.
    start, stop : int
        Where its bytes are.
    """

    key: str
    name: str
    begin: int
    start: int
    stop: int


def members(file: IO[bytes], size_bytes: int, shown: str) -> Iterator[Member]:
    """Yield the members of an archive that belong to samples, by their headers alone.

    Parameters
    ----------
    file : binary file
        Whose reads are small.
    shown : str
        The shard, for messages.

    Raises
    ------
    TensorFormatError
        Naming shard and member: for what is cut off or damaged, and for links, devices and names that lead elsewhere.
    """
    before = -1
    for one in _headers(file, size_bytes, shown):
        if one.offset <= before:
            raise _bad(shown, one.name, "points back to one before it")
        before = one.offset
        _check(one, size_bytes, shown)
        folder, slash, last = one.name.rpartition("/")
        stem, dot, name = last.partition(".")
        # As WebDataset: a name without a dot, or with nothing before it, is of no sample.
        if one.isfile() and dot and stem and name:
            stop = one.offset_data + one.size
            yield Member(
                key=f"{folder}{slash}{stem}", name=name.lower(), begin=one.offset, start=one.offset_data, stop=stop
            )


def edges(file: IO[bytes], size_bytes: int, shown: str) -> NDArray[np.int64]:
    """Return the byte at which each sample of an archive begins, and the one after the last.

    Raises
    ------
    TensorFormatError
        As for `members`.
    """
    found, key, stop, names = list[int](), None, 0, set[str]()
    for one in members(file, size_bytes, shown):
        if one.key != key:
            found.append(one.begin)
            names.clear()
        elif one.name in names:
            raise _bad(shown, f"{one.key}.{one.name}", "is there twice in one sample")
        names.add(one.name)
        key, stop = one.key, -(-one.stop // _BLOCK) * _BLOCK
    return np.array([*found, min(stop, size_bytes)] if found else [0], np.int64)


def _headers(file: IO[bytes], size_bytes: int, shown: str) -> Iterator[tarfile.TarInfo]:
    last = ""
    try:
        with tarfile.open(fileobj=file, mode="r:", errorlevel=2) as archive:
            while (one := archive.next()) is not None:
                last = one.name
                yield one
                # Kept by the archive for its own questions: of a large shard they would fill the memory.
                _members_of(archive).clear()
            _check_end(file, archive.offset, size_bytes)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError, IndexError) as error:
        said = printable((str(error).splitlines() or [""])[0][:200])
        after = f" after {printable(last[:200])!r}" if last else ""
        raise TensorFormatError(f"{shown} is no tar archive, or damaged{after}: {said}.", hint=_HINT) from None


def _members_of(archive: Any) -> list[tarfile.TarInfo]:
    found: list[tarfile.TarInfo] = archive.members
    return found


def _check_end(file: IO[bytes], at: int, size_bytes: int) -> None:
    """Refuse what ends at a header that is none: tarfile takes it for the end."""
    file.seek(at)
    rest = file.read(min(_BLOCK, max(0, size_bytes - at)))
    if rest.strip(b"\0"):
        raise tarfile.ReadError("the next header is damaged")
    if at > size_bytes:
        raise tarfile.ReadError("it is cut off")


def _check(one: tarfile.TarInfo, size_bytes: int, shown: str) -> None:
    if not (one.isfile() or one.isdir()):
        raise _bad(shown, one.name, "is a link or a device, no file")
    if one.issparse():
        raise _bad(shown, one.name, "is sparse")
    if one.name.startswith("/") or ".." in one.name.split("/"):
        raise _bad(shown, one.name, "has a name that leads out of the archive")
    if one.size < 0 or one.offset_data < one.offset + _BLOCK:
        raise _bad(shown, one.name, "has a size that cannot be")
    if one.isfile() and one.offset_data + one.size > size_bytes:
        raise _bad(shown, one.name, "reaches beyond the end of the shard, which is cut off or damaged")


def _bad(shown: str, name: str, what: str) -> TensorFormatError:
    return TensorFormatError(f"{shown}: member {printable(name[:200])!r} {what}.", hint=_HINT)
