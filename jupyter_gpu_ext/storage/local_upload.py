"""Writing a file so that nobody ever sees half of it: hidden beside its place, synced, then renamed."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NotFoundError
from jupyter_gpu_ext.storage import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import Entry

P = ParamSpec("P")
T = TypeVar("T")

_MOST_BLOCKS = 50_000
_HIDDEN = re.compile(r"\.jgx-[0-9a-f]{8}-[0-9a-f]{16}\.part")
_ID = re.compile(r"[0-9a-f]{16}")
# A file system without hard links: BlobFuse, some network shares.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class LocalUpload:
    """A hidden folder beside the target: the bytes at their places, and a journal of the blocks.

    Parameters
    ----------
    target : Path
        Where the file will be.
    place : callable
        Gives the finished file its name, under the condition of the beginning.
    translated : callable
        Returns a context that turns an `OSError` into one of ours.
    upload_id : str or None
        To go on with an earlier upload.
    """

    def __init__(
        self,
        target: Path,
        size_bytes: int | None,
        upload_id: str | None,
        place: Callable[[Path], Entry],
        translated: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.id = upload_id or secrets.token_hex(8)
        self.block_bytes = blocks.block_size(size_bytes, most_blocks=_MOST_BLOCKS)
        self._size_bytes = size_bytes
        self._place = place
        self._translated = translated
        if not _ID.fullmatch(self.id):
            raise BadRequestError("The id of the upload is not of its form.", hint="Start the upload again.")
        self._folder = _hidden_beside(target, self.id)
        self._data = self._folder / "data"
        self._journal = self._folder / "blocks"
        if upload_id is None:
            _make_hidden(self._folder, self._data, self._journal)
        elif not self._journal.is_file():
            raise _gone()

    async def put(self, index: int, data: bytes | memoryview) -> None:
        """Write the block at its place, then a line into the journal."""
        blocks.check_block(index, len(data), block_bytes=self.block_bytes, most_blocks=_MOST_BLOCKS)
        await self._run(self._put, index, data)

    async def received(self) -> set[int]:
        """Return the blocks in the journal."""
        return set(await self._run(self._sizes))

    async def commit(self, *, metadata: Mapping[str, str]) -> Entry:
        """Sync, then give the file its name."""
        return await self._run(self._commit)

    async def abort(self) -> None:
        """Remove the hidden folder."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _run(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        with self._translated():
            try:
                return await asyncio.to_thread(work, *arguments, **options)
            except GpuExtError:
                raise
            except FileNotFoundError:
                raise _gone() from None

    def _put(self, index: int, data: bytes | memoryview) -> None:
        with _descriptor(self._data, os.O_WRONLY) as file:
            _write(file, data, index * self.block_bytes)
            os.fdatasync(file)
        # One short append is one write: lines of parallel blocks do not mix.
        with _descriptor(self._journal, os.O_WRONLY | os.O_APPEND) as file:
            os.write(file, f"{index} {len(data)}\n".encode())

    def _sizes(self) -> dict[int, int]:
        lines = self._journal.read_text(encoding="ascii").splitlines()
        return {int(index): int(size) for index, size in (line.split() for line in lines)}

    def _commit(self) -> Entry:
        total = blocks.check_whole(self._sizes(), block_bytes=self.block_bytes, size_bytes=self._size_bytes)
        with _descriptor(self._data, os.O_WRONLY) as file:
            # A last block that was sent again may be shorter than before.
            os.ftruncate(file, total)
            os.fsync(file)
        entry = self._place(self._data)
        shutil.rmtree(self._folder, ignore_errors=True)
        return entry


def _gone() -> NotFoundError:
    return NotFoundError("Nothing is left of this upload.", hint="Start it again from the first byte.")


def is_hidden(name: str) -> bool:
    """Return whether a file name is that of an upload's hidden folder."""
    return _HIDDEN.fullmatch(name) is not None


@contextmanager
def temporary(target: Path) -> Iterator[Path]:
    """Yield an empty hidden file beside `target`, which goes away with the block."""
    folder = _hidden_beside(target, secrets.token_hex(8))
    _make_hidden(folder, folder / "data")
    try:
        yield folder / "data"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def copy_bytes(source: int, whole: Path) -> None:
    """Copy an open file into `whole` and sync it."""
    with open(source, "rb", closefd=False) as reader, whole.open("wb") as writer:
        shutil.copyfileobj(reader, writer, blocks.MIB)
        writer.flush()
        os.fsync(writer.fileno())


def rename(whole: Path, target: Path, *, replace: bool) -> None:
    """Give `whole` its name and sync the folder.

    Raises
    ------
    FileExistsError
        Without `replace`, when the name is taken.
    """
    if replace:
        with suppress(OSError):
            whole.chmod(target.stat().st_mode & 0o7777)
        whole.replace(target)
    else:
        _name_once(whole, target)
    with _descriptor(target.parent, os.O_RDONLY) as folder:
        os.fsync(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other writers of this package out of a folder while a condition is checked and acted upon."""
    with _descriptor(folder, os.O_RDONLY) as file:
        # Where a folder cannot be locked (some network shares) the check alone has to do.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _name_once(whole: Path, target: Path) -> None:
    try:
        target.hardlink_to(whole)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # The name is taken first, and only once; for a moment the file is there and empty.
        target.touch(exist_ok=False)
        whole.replace(target)


def _hidden_beside(target: Path, upload_id: str) -> Path:
    # The digest binds an upload to its target; the name itself could become too long for a file system.
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]
    return target.parent / f".jgx-{digest}-{upload_id}.part"


def _make_hidden(folder: Path, *files: Path) -> None:
    folder.mkdir(mode=0o700)
    for file in files:
        file.touch()


def _write(file: int, data: bytes | memoryview, start: int) -> None:
    left = memoryview(data)
    while left:
        count = os.pwrite(file, left, start)
        left, start = left[count:], start + count


@contextmanager
def _descriptor(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)
