"""`jg.rm`: remove an object, or everything below a folder."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NotFoundError
from jupyter_gpu_ext.storage import places
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.many import Tried, each
from jupyter_gpu_ext.storage.walk import walk
from jupyter_gpu_ext.text import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    import os

    from jupyter_gpu_ext.storage.models import Entry
    from jupyter_gpu_ext.storage.places import Place

_AT_A_TIME = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What was removed; prints as one line."""

    objects: int
    size_bytes: int
    seconds: float

    def __str__(self) -> str:
        size = f", {format_bytes(self.size_bytes)}" if self.size_bytes else ""
        return f"{format_count(self.objects, 'object')} removed{size}, {format_duration(self.seconds)}"

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def rm(url: str | os.PathLike[str], *, recursive: bool = False) -> Removed:
    """Remove an object, or everything below a folder; asks nothing.

    Parameters
    ----------
    url : str
        'connection://key'.
    recursive : bool
        Remove everything below the folder `url`, and the folder.

    Raises
    ------
    NotFoundError
        When nothing is there.
    DeniedError
        When the connection is read-only.
    GpuExtError
        With `recursive` the first failure, with how many there were; the other objects are gone.
    """
    started = time.monotonic()
    place = _target(url, recursive=recursive)
    tried = LOOP.run(_remove_below(place) if recursive else _remove(place))
    return Removed(objects=tried.done, size_bytes=tried.size_bytes, seconds=time.monotonic() - started)


def question(url: str | os.PathLike[str], *, recursive: bool = False) -> str:
    """Return what a person is asked before `rm`: how many objects and bytes, as counted now.

    Raises
    ------
    GpuExtError
        As `rm` would.
    """
    place = _target(url, recursive=recursive)
    count, size = LOOP.run(_count(place) if recursive else _size(place))
    what = f"{format_count(count, 'object')} ({format_bytes(size)}) below {place.shown}" if recursive else place.shown
    what += "" if recursive else f" ({format_bytes(size)})"
    return f"Remove {what}? It cannot be undone here."


async def _remove(place: Place) -> Tried:
    await place.writing().delete(place.key)
    return Tried(done=1)


async def _remove_below(place: Place) -> Tried:
    backend = place.writing()
    folders: list[Entry] = []

    async def remove(entry: Entry) -> None:
        await backend.delete(entry.key)

    def enter(folder: Entry) -> bool:
        folders.append(folder)
        return not _is_link(place, folder.key)

    tried = await each(place, walk(backend, place.key, enter), remove, at_a_time=_AT_A_TIME)
    gone = 0
    for folder in reversed(folders):
        gone += await _remove_folder(place.at(folder.key), tried, marked=folder.modified is not None)
    gone += await _remove_folder(place, tried, marked=False) if place.key else 0
    tried.check("removed")
    if not tried.done and not gone:
        raise NotFoundError(f"Nothing lies below {place.shown}.", hint="`%blob ls` shows what is there.")
    return tried


async def _remove_folder(place: Place, tried: Tried, *, marked: bool) -> bool:
    """Remove an empty folder, its marker, or the link that stands for it; most object stores have neither."""
    gone, link = False, _is_link(place, place.key)
    keys = [place.key.removesuffix("/")] if link else [place.key, *([place.key.removesuffix("/")] if marked else [])]
    for key in keys:
        try:
            await place.writing().delete(key)
            gone = True
        except NotFoundError:
            continue
        except GpuExtError as error:
            if not tried.failed:
                tried.fail(place, error)
    return gone


async def _count(place: Place) -> tuple[int, int]:
    count = size = 0
    async for entry in walk(place.reading(), place.key, lambda folder: not _is_link(place, folder.key)):
        count, size = count + 1, size + (entry.size_bytes or 0)
    return count, size


async def _size(place: Place) -> tuple[int, int]:
    return 1, (await place.reading().head(place.key)).size_bytes or 0


def _is_link(place: Place, key: str) -> bool:
    # What lies behind a link of a folder is not below it.
    return place.connection.kind == "local" and Path(place.connection.path, key.removesuffix("/")).is_symlink()


def _target(url: str | os.PathLike[str], *, recursive: bool) -> Place:
    place = places.find(url)
    if place.is_path:
        raise BadRequestError(
            f"{place.shown} is a path of this machine.", hint="Remove it in the shell, or connect it."
        )
    place.writing()
    key = place.key
    if not recursive and (not key or key.endswith("/")):
        raise BadRequestError(f"{place.shown} is a folder.", hint="Say --recursive (recursive=True).")
    if not key and not place.connection.path:
        raise BadRequestError(f"{place.shown} is a whole account.", hint="Name a container, or a folder in one.")
    return place.at(f"{key}/") if recursive and key and not key.endswith("/") else place
