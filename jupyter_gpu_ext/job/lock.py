"""`data.lock`: the objects that a notebook read, each with its version, so that a job can tell whether they changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NotFoundError
from jupyter_gpu_ext.storage import places
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.walk import walk
from jupyter_gpu_ext.text import format_bytes, format_count, printable, redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jupyter_gpu_ext.storage.models import Entry
    from jupyter_gpu_ext.storage.places import Place

NAME = "data.lock"
# The script that it lies beside.
SCRIPT = "train.py"
_FORMAT = 1
_AT_ONCE = 8
# Of a Zarr store with more chunks those count that are listed first, the metadata of its root among them.
MOST_OBJECTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """An object, or a folder of them, in one version.

    Attributes
    ----------
    url : str
        'connection://key'; a folder's may end with a slash or not.
    size_bytes : int or None
    etag : str
        Of an object; '' of a folder.
    md5 : str
        Of an object whose provider keeps it, in hexadecimal: the same bytes elsewhere have another ETag.
    objects : int
        How many objects a folder holds that were looked at; 0 of an object.
    digest : str
        Of a folder: SHA-256 over each object's key below it, size and ETag.
    """

    url: str
    size_bytes: int | None = None
    etag: str = ""
    md5: str = ""
    objects: int = 0
    digest: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it says a version at all."""
        return bool(self.etag or self.digest)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, without what is not known."""
        said = {name: getattr(self, name) for name in ("etag", "md5", "objects", "digest")}
        size = {} if self.size_bytes is None else {"size_bytes": self.size_bytes}
        return {"url": self.url, **size, **{name: value for name, value in said.items() if value}}

    @classmethod
    def from_json(cls, said: Any) -> Locked:
        """Return the entry; raise ValueError where it is none."""
        kinds = {"url": str, "size_bytes": int, "etag": str, "md5": str, "objects": int, "digest": str}
        if not isinstance(said, dict) or "url" not in said:
            raise ValueError("no entry")
        if any(type(value) is not kinds.get(name) for name, value in said.items()):
            raise ValueError("no entry")
        return cls(**said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What a job finds where it was exported.

    Attributes
    ----------
    entries : tuple of Locked
    connections : mapping of str to str
        The root of each connection that the script uses, by name; '' where nobody knew it.
    """

    entries: tuple[Locked, ...] = ()
    connections: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return the file's text."""
        objects = [one.to_json() for one in self.entries]
        said = {"version": _FORMAT, "connections": dict(self.connections), "objects": objects}
        return json.dumps(said, indent=1) + "\n"


def read(file: Path) -> Lock:
    """Return what a file says.

    Raises
    ------
    BadRequestError
        When it is none of this form.
    """
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        if said["version"] != _FORMAT:
            raise ValueError("another version")
        connections = {str(name): str(root) for name, root in said["connections"].items()}
        return Lock(entries=tuple(map(Locked.from_json, said["objects"])), connections=connections)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadRequestError(
            f"{printable(str(file))} is no list of data.", hint="Export the notebook again; or delete the file."
        ) from None


def differences(entries: Sequence[Locked]) -> tuple[str, ...]:
    """Look at every object as it is now; return a sentence for each that is not as it was.

    One request an object, one a thousand objects of a folder. Blocks.
    """
    return LOOP.run(_differences(entries))


def observe(urls: Sequence[str]) -> tuple[Locked | GpuExtError, ...]:
    """Return each object or folder as it is now, or why it cannot be looked at. Blocks."""
    return LOOP.run(_observe(urls))


async def _differences(entries: Sequence[Locked]) -> tuple[str, ...]:
    known = [one for one in entries if one.is_known]
    found = await _observe([one.url for one in known])
    return tuple(text for old, new in zip(known, found, strict=True) if (text := _difference(old, new)))


def _difference(old: Locked, new: Locked | GpuExtError) -> str:
    shown = printable(redact(old.url))
    if isinstance(new, NotFoundError):
        return f"{shown} is not there: {new.message}"
    if isinstance(new, GpuExtError):
        return f"{shown} cannot be looked at: {new.message}"
    if old.etag == new.etag and old.digest == new.digest:
        return ""
    if old.md5 and old.md5 == new.md5:
        return ""
    return f"{shown} has changed since the export: it was {_size(old)}, it is {_size(new)}."


def _size(one: Locked) -> str:
    size = format_bytes(one.size_bytes or 0)
    return f"{format_count(one.objects, 'object')} of {size}" if one.objects else f"{size} ({one.etag or 'a folder'})"


async def _observe(urls: Sequence[str]) -> tuple[Locked | GpuExtError, ...]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(url: str) -> Locked | GpuExtError:
        async with turns:
            try:
                return await _look(url)
            except GpuExtError as error:
                return error

    return tuple(await asyncio.gather(*map(one, urls)))


async def _look(url: str) -> Locked:
    place = places.find(url)
    if place.key and not place.key.endswith("/"):
        try:
            return _of_object(url, await place.reading().head(place.key))
        except (NotFoundError, BadRequestError):
            # A file system says that it is a folder, an object store that there is no such object.
            folder = await _of_folder(url, place.at(f"{place.key}/"))
            if not folder.objects:
                raise
            return folder
    folder = await _of_folder(url, place)
    if not folder.objects:
        raise NotFoundError(f"{place.shown} is empty or not there.", hint="`%blob ls` shows what there is.")
    return folder


def _of_object(url: str, entry: Entry) -> Locked:
    md5 = entry.md5.hex() if entry.md5 else ""
    return Locked(url=url, size_bytes=entry.size_bytes, etag=entry.etag or "", md5=md5)


async def _of_folder(url: str, place: Place) -> Locked:
    """Look at a folder's objects: metadata comes first in every listing of one folder, chunks are below."""
    rows, size = list[str](), 0
    async for entry in walk(place.reading(), place.key):
        rows.append(json.dumps([entry.key.removeprefix(place.key), entry.size_bytes, entry.etag]))
        size += entry.size_bytes or 0
        if len(rows) == MOST_OBJECTS:
            break
    digest = hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()
    return Locked(url=url, size_bytes=size, objects=len(rows), digest=digest)
