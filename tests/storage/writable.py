"""Connections of every kind that can be written to, side by side in one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage import places
from jupyter_gpu_ext.storage.copying import _open
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.walk import walk
from jupyter_gpu_ext.storage.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("azure", "bucket", "disk", "memory")


def put(url: str, data: bytes) -> None:
    """Write an object under exactly this key."""

    async def write() -> None:
        place = places.find(url)
        upload = await place.writing().begin(place.key, overwrite=True, size_bytes=len(data))
        writer = Writer(url, upload)
        await writer.write(data)
        await writer.commit()

    LOOP.run(write())


def content(url: str) -> bytes:
    """Return an object's bytes."""

    async def read() -> bytes:
        return await (await _open(places.find(url))).read_all()

    return LOOP.run(read())


def keys(url: str) -> list[str]:
    """Return every key below a folder, sorted."""

    async def below() -> list[str]:
        place = places.find(url)
        return sorted([entry.key async for entry in walk(place.reading(), place.key)])

    return LOOP.run(below())


def files(folder: Path) -> list[str]:
    """Return every file and link below a folder of this machine, hidden ones too."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(str(path.relative_to(folder)) for path in found)
