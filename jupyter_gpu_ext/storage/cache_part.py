"""A file that is being written: it takes its whole room from the start, and has its name once it is whole.

Its writer holds a lock on it, which the kernel lets go when the writer dies: so those that come after tell a file
that grows from one that was left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_SUFFIX = ".part"
# What a small file takes of a disk.
GRAIN_BYTES = 4096


class PartFile:
    """One file; to be made while the folder is locked, so that nobody sweeps it before its own lock is set.

    Raises
    ------
    OSError
        When it cannot be made.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}.{uuid4().hex[:8]}{_SUFFIX}")
        self._file = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._file, size_bytes)
        except BaseException:
            self._give_up()
            raise

    def write(self, pieces: Sequence[memoryview | bytes], go_on: Callable[[], bool]) -> None:
        """Write the pieces and give the file its name, unless `go_on` says no once they are written.

        Raises
        ------
        OSError
            When they cannot be written; nothing stays.
        """
        try:
            with open(self._file, "wb", closefd=False) as out:
                out.writelines(pieces)
            if go_on():
                self._part.rename(self._path)
        finally:
            self._give_up()

    def _give_up(self) -> None:
        try:
            self._part.unlink(missing_ok=True)
        finally:
            os.close(self._file)


def sweep(folder: Path) -> int:
    """Remove what dead writers left in a folder; return what the living ones take. Under the folder's lock."""
    taken = 0
    for part in folder.glob(f"*{_SUFFIX}"):
        # It may get its name while we look.
        with contextlib.suppress(FileNotFoundError):
            taken += _living(part)
    return taken


def _living(part: Path) -> int:
    file = os.open(part, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return on_disk(os.fstat(file).st_size)
    else:
        part.unlink(missing_ok=True)
        return 0
    finally:
        os.close(file)


def on_disk(size_bytes: int) -> int:
    """Return what a file of so many bytes takes."""
    return -(-size_bytes // GRAIN_BYTES) * GRAIN_BYTES
