"""One object from one place to another: whole and under its name, or not there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.reader import HEAD_BYTES, Reader
from jupyter_gpu_ext.storage.retry import Tally
from jupyter_gpu_ext.storage.url import ObjectURL
from jupyter_gpu_ext.storage.writer import Writer

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.places import Place
    from jupyter_gpu_ext.storage.progress import Progress


async def copy_object(source: Place, target: Place, *, overwrite: bool, progress: Progress, counted: bool) -> int:
    """Copy one object: on the provider's side within a connection, else through here with bounded memory.

    Parameters
    ----------
    counted : bool
        The object's size is in the progress's total already.

    Returns
    -------
    int
        Its size in bytes.

    Raises
    ------
    ExistsError
        Without `overwrite`, when the target exists.
    ObjectChangedError
        When the source is replaced while it is read; the target stays as it was.
    """
    if source.connection == target.connection:
        entry = await target.writing().copy(source.key, target.key, overwrite=overwrite)
        size = entry.size_bytes or 0
        progress.total_bytes += 0 if counted else size
        progress.done_bytes += size
        return size
    reader = await _open(source)
    progress.total_bytes += 0 if counted else reader.version.size_bytes
    await _stream(reader, target, overwrite=overwrite, progress=progress)
    return reader.version.size_bytes


async def _stream(reader: Reader, target: Place, *, overwrite: bool, progress: Progress) -> None:
    size = reader.version.size_bytes
    upload = await target.writing().begin(target.key, overwrite=overwrite, size_bytes=size)
    writer = Writer(target.shown, upload)
    try:
        # The last piece comes before the checksum is compared, the commit after it.
        async for piece in reader.pieces():
            await writer.write(piece)
            progress.done_bytes += len(piece)
            progress.notice = reader.notice
        await writer.commit()
    except BaseException:
        await asyncio.shield(writer.abort())
        raise


async def _open(source: Place) -> Reader:
    backend, tally = source.reading(), Tally()
    head, version = await backend.first(source.key, HEAD_BYTES, tally)
    return Reader(ObjectURL(source.connection.name, source.key), backend, source.key, head, version, tally=tally)


def where(place: Place) -> tuple[str, str]:
    """Return what two places have in common when they are the same, whatever their connections are called."""
    one = place.connection
    if one.kind == "local":
        return "local", str(Path(one.path, place.key.lstrip("/")).resolve())
    return f"{one.kind} {one.account or one.endpoint}", f"{one.path}/{place.key}" if one.path else place.key
