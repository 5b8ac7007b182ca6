"""From an object to a local file: whole and checked, or not there."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.reader import open_reader

if TYPE_CHECKING:
    from typing import Any


async def download(url: str, path: Path, callback: Any) -> None:
    """Write the object of a URL to `path`; a file that is there stays until the new one is whole.

    Parameters
    ----------
    callback : fsspec.callbacks.Callback
        Told the size, then every piece.
    """
    reader = await open_reader(url)
    callback.set_size(reader.version.size_bytes)
    file, part = await asyncio.to_thread(_make_part, path)
    try:
        with os.fdopen(file, "wb") as out:
            async for piece in reader.pieces():
                await asyncio.to_thread(out.write, piece)
                callback.relative_update(len(piece))
        await asyncio.to_thread(part.replace, path)
    except BaseException:
        _remove(part)
        raise


def _make_part(path: Path) -> tuple[int, Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file, name = tempfile.mkstemp(prefix=".jgx-", suffix=".part", dir=path.parent)
    os.fchmod(file, 0o666 & ~_mask())
    return file, Path(name)


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)


def _mask() -> int:
    # Linux says it without changing it: proc(5), Umask in /proc/self/status.
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
