"""Objects as Python files: read with a little read-ahead, written as a whole or not at all."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from jupyter_gpu_ext.storage.loop import LOOP

if TYPE_CHECKING:
    from types import TracebackType

    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.storage.writer import Writer

READ_AHEAD_BYTES = 1 << 20


class ReadFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file of one version: an object that is replaced meanwhile is an error, not a mixture."""

    def __init__(self, fs: Any, path: str, reader: Reader, **options: Any) -> None:
        self._reader = reader
        super().__init__(fs, path, mode="rb", size=reader.version.size_bytes, **options)
        self.details = {"name": path, "size": self.size, "type": "file", "ETag": reader.version.etag}

    def _fetch_range(self, start: int, end: int) -> bytes:
        return LOOP.run(self._reader.read(start, min(end, self.size)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.fs, self.path, self.blocksize, self.loc)


def _reopen(fs: Any, path: str, block_size: int, at: int) -> Any:
    file = fs.open(path, "rb", block_size=block_size)
    file.seek(at)
    return file


class WriteFile(io.RawIOBase):
    """A file that becomes an object when it is closed; an exception inside `with` gives it up.

    Parameters
    ----------
    autocommit : bool
        False within a transaction of fsspec, which commits or discards.
    """

    def __init__(self, fs: Any, path: str, mode: str, writer: Writer, *, autocommit: bool) -> None:
        super().__init__()
        self.fs = fs
        self.path = path
        self.mode = mode
        self._writer = writer
        self._autocommit = autocommit

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the bytes written so far."""
        return self._writer.size_bytes

    def write(self, data: Any) -> int:
        """Take `data`; raise the first fault of what was sent so far."""
        self._checkClosed()
        LOOP.run(self._writer.write(data))
        return memoryview(data).nbytes

    def close(self) -> None:
        """Make the object, unless the file was given up before."""
        if self.closed:
            return
        super().close()
        if self._autocommit:
            self.commit()

    def commit(self) -> None:
        """Make the object."""
        LOOP.run(self._writer.commit())

    def discard(self) -> None:
        """Give the file up: what the object was before, it stays."""
        super().close()
        LOOP.run(self._writer.abort())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        # What nobody closed is not known to be whole.
        super().close()


class TextFile(io.TextIOWrapper):
    """Text over one of these files; an exception inside `with` reaches it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file: Any = self.buffer
        if kind is not None and isinstance(file, WriteFile):
            file.discard()
            return
        self.close()
