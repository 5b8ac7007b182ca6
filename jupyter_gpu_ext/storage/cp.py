"""`jg.cp`: objects and files from anywhere to anywhere."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.storage import conflicts, places
from jupyter_gpu_ext.storage.copying import copy_object, where
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.many import each
from jupyter_gpu_ext.storage.names import last
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.walk import walk
from jupyter_gpu_ext.text import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable

    from jupyter_gpu_ext.storage.models import Entry
    from jupyter_gpu_ext.storage.places import Place

# Each that comes through here holds some 70 MB at most.
_AT_A_TIME = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied; prints as one line."""

    objects: int
    size_bytes: int
    seconds: float

    def __str__(self) -> str:
        return ", ".join(
            (format_count(self.objects, "object"), format_bytes(self.size_bytes), format_duration(self.seconds))
        )

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def cp(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    recursive: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Copied:
    """Copy an object, or everything below a folder.

    Within a connection the provider copies, and no byte comes here; otherwise bytes are streamed from one
    version of the source, checked, and are invisible until they are whole.

    Parameters
    ----------
    src, dst : str or path
        'connection://key', or a path that starts with '/', './', '../' or '~'. A `dst` that ends with a slash,
        or is a folder of this machine, keeps the object's name.
    overwrite : bool
        Replace objects that are there.
    recursive : bool
        Copy everything below the folder `src` to the same names below the folder `dst`.
    report : callable
        Called with the progress five times a second, in the caller's thread.

    Raises
    ------
    ExistsError
        Without `overwrite`, when the target exists.
    NotFoundError, DeniedError
        When there is no such source, or the target's connection is read-only.
    GpuExtError
        With `recursive` the first failure, with how many there were; the other objects are copied all the same.
    """
    started, progress = time.monotonic(), Progress(total_bytes=0)
    source, target = places.find(src), places.find(dst)
    target.writing()
    if recursive:
        work = _copy_below(_folder(source), _folder(target), overwrite=overwrite, progress=progress)
    else:
        if _is_folder(src, source):
            raise BadRequestError(f"{source.shown} is a folder.", hint="Say --recursive (recursive=True).")
        if _is_folder(dst, target):
            target = target.at(target.key + ("/" if target.key[-1:] not in ("", "/") else "") + last(source.key))
        work = _copy_one(source, target, overwrite=overwrite, progress=progress)
    objects, size = LOOP.run(work, tick=lambda: report(progress))
    return Copied(objects=objects, size_bytes=size, seconds=time.monotonic() - started)


async def _copy_one(source: Place, target: Place, *, overwrite: bool, progress: Progress) -> tuple[int, int]:
    conflicts.check_target(target.key)
    if where(source) == where(target):
        raise BadRequestError(f"{source.shown} would be copied onto itself.", hint="Choose another name.")
    return 1, await copy_object(source, target, overwrite=overwrite, progress=progress, counted=False)


async def _copy_below(source: Place, target: Place, *, overwrite: bool, progress: Progress) -> tuple[int, int]:
    (store, start), (other, end) = where(source), where(target)
    if store == other and f"{end.rstrip('/')}/".startswith(f"{start.rstrip('/')}/" if start else ""):
        raise BadRequestError(f"{target.shown} lies in {source.shown}.", hint="Choose a folder outside of it.")

    async def copy(entry: Entry) -> None:
        if entry.unreadable:
            raise BadRequestError(f"{entry.unreadable}.", hint="Leave it, or give it another name.")
        to = target.at(target.key + entry.key[len(source.key) :])
        await copy_object(source.at(entry.key), to, overwrite=overwrite, progress=progress, counted=True)

    tried = await each(source, _objects(source, progress), copy, at_a_time=_AT_A_TIME)
    tried.check("copied")
    if not tried.done:
        raise NotFoundError(f"Nothing lies below {source.shown}.", hint="`%blob ls` shows what is there.")
    return tried.done, tried.size_bytes


async def _objects(source: Place, progress: Progress) -> AsyncIterator[Entry]:
    async for entry in walk(source.reading(), source.key):
        # The empty object that keeps a folder alive is no content.
        if entry.key.endswith("/") and not entry.size_bytes:
            continue
        progress.total_bytes += entry.size_bytes or 0
        yield entry


def _folder(place: Place) -> Place:
    if place.is_path:
        # With the folder as its root, the backend itself refuses every name that would lead out of it.
        return replace(place, connection=replace(place.connection, root=f"/{place.key}"), key="")
    return place.at(f"{place.key}/") if place.key and not place.key.endswith("/") else place


def _is_folder(text: str | os.PathLike[str], place: Place) -> bool:
    if place.is_path:
        return str(text).endswith("/") or Path(f"/{place.key}").is_dir()
    return place.key in ("", "/") or place.key.endswith("/")
