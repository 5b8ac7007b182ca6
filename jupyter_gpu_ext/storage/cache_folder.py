"""The cache on disk: a folder a version of an object, a file a segment; bounded, shared by processes.

    FOLDER/jupyter_gpu_ext-cache-1           whose folder it is
    FOLDER/lock                              held while room is made or anything removed
    FOLDER/bytes                             how much there is, never less than there is
    FOLDER/objects/VERSION/about.json        connection, key, size: for `ls`
    FOLDER/objects/VERSION/START-STOP.seg    bytes of that version, with checksums; *.part while it is written

Reading takes no lock: a file is whole from the moment it has its name, and one that is removed stays readable for
whoever has it open.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage import cache_part
from jupyter_gpu_ext.storage.cache_guard import locked
from jupyter_gpu_ext.storage.cache_part import GRAIN_BYTES, PartFile, on_disk
from jupyter_gpu_ext.storage.cache_segment import Segment, tail
from jupyter_gpu_ext.storage.ranges import ByteRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

OBJECTS = "objects"
_ABOUT, _BYTES = "about.json", "bytes"
_VERSION = re.compile(r"[0-9a-f]{40}")
_SEGMENT = re.compile(r"(\d{1,19})-(\d{1,19})\.seg")
# So much of the file system stays free: a twentieth, 5 GiB at most.
_FREE_SHARE, _FREE_MOST_BYTES = 20, 5 << 30
# One removal makes room for more than one write.
_ROOM_SHARE = 10
_PATIENCE_SECONDS = 1.0
_COUNT_BYTES = 21


@dataclass(frozen=True, slots=True)
class About:
    """Which object a folder is about; nothing secret is in it."""

    connection: str
    key: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """One file of the cache that holds data."""

    path: Path
    range: ByteRange
    disk_bytes: int
    used_ns: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What is held of one version."""

    path: Path
    about: About | None
    segments: tuple[Held, ...]

    @property
    def disk_bytes(self) -> int:
        """What it takes of the bound."""
        return sum(one.disk_bytes for one in self.segments) + GRAIN_BYTES


class CacheFolder:
    """A folder that `cache_guard.prepare` has looked at.

    Parameters
    ----------
    most_bytes : int
        The bound of all that lies in it.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self.most_bytes = most_bytes
        self._counted = False

    def place(self, version: bytes) -> Path:
        """Return the folder of a version."""
        return self.path / OBJECTS / version.hex()

    def put(self, segment: Segment, about: About, data: memoryview, *, go_on: Callable[[], bool]) -> bool:
        """Keep a segment.

        Parameters
        ----------
        go_on : callable
            Asked after `data` was read for the last time: False when it may have changed meanwhile.

        Returns
        -------
        bool
            False when there is no room for it.

        Raises
        ------
        OSError
            When it cannot be written; nothing of it stays.
        """
        end = tail(segment, data)
        path = self.place(segment.version) / segment.file_name
        with locked(self.path, _PATIENCE_SECONDS):
            if path.exists():
                return True
            file = self._reserve(path, about, len(data) + len(end))
        if file is None:
            return False
        # Without the lock: a slow disk keeps nobody else waiting.
        file.write([data, end], go_on)
        return True

    def versions(self) -> Iterator[Kept]:
        """Yield what is held; what does not have the form of ours is passed over."""
        for folder in _entries(self.path / OBJECTS):
            if _VERSION.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False):
                place = self.path / OBJECTS / folder.name
                kept = Kept(place, _about(place / _ABOUT), tuple(_segments(place)))
                if kept.about or kept.segments:
                    yield kept

    def remove(self, chosen: Callable[[Kept], bool]) -> tuple[int, int]:
        """Remove the versions that are chosen; return how many objects and bytes that were.

        Raises
        ------
        OSError
            When another process holds the folder, or it cannot be written to.
        """
        count = freed = 0
        with locked(self.path, _PATIENCE_SECONDS * 10):
            for kept in list(self.versions()):
                if chosen(kept):
                    _unlink([*(one.path for one in kept.segments), kept.path / _ABOUT])
                    _remove_empty(kept.path)
                    count, freed = count + 1, freed + kept.disk_bytes
            self._recount()
        return count, freed

    def used_bytes(self) -> int:
        """Return what all of it takes."""
        return sum(kept.disk_bytes for kept in self.versions())

    def _reserve(self, path: Path, about: About, size_bytes: int) -> PartFile | None:
        """Return a file that takes all its room from now on, None when there is none; under the lock."""
        folder = path.parent
        begun = (folder / _ABOUT).exists()
        if not self._make_room(on_disk(size_bytes) + (0 if begun else GRAIN_BYTES)):
            return None
        for one in (folder.parent, folder):
            one.mkdir(mode=0o700, exist_ok=True)
        # Making room may have removed it.
        if not (folder / _ABOUT).exists():
            text = json.dumps(asdict(about)).encode()
            PartFile(folder / _ABOUT, len(text)).write([text], lambda: True)
        return PartFile(path, size_bytes)

    def _make_room(self, need: int) -> bool:
        """Tell whether `need` more bytes may be written, after the longest unused made way; under the lock."""
        used = self._used()
        over = self._over(used, need)
        if over > used or need > self.most_bytes:
            # Not even an empty cache would do: somebody else fills the disk.
            return False
        if over > 0:
            used = self._recount()
            over = self._over(used, need)
        if over > 0:
            self._evict(over + used // _ROOM_SHARE)
            used = self._recount()
            over = self._over(used, need)
        if over <= 0:
            # Before the file is there: a process that dies in between leaves a count that is too high, never too low.
            self._note(used + need)
        return over <= 0

    def _over(self, used: int, need: int) -> int:
        found = os.statvfs(self.path)
        reserve = min(found.f_blocks * found.f_frsize // _FREE_SHARE, _FREE_MOST_BYTES)
        return max(used + need - self.most_bytes, reserve + need - found.f_bavail * found.f_frsize)

    def _evict(self, goal: int) -> None:
        segments = [one for kept in self.versions() for one in kept.segments]
        chosen = list(oldest(segments, goal))
        _unlink(one.path for one in chosen)
        for place in {one.path.parent for one in chosen}:
            _tidy(place)

    def _used(self) -> int:
        # Once a process, since a machine that lost power may have lost the count too.
        if self._counted:
            with contextlib.suppress(OSError, ValueError):
                text = (self.path / _BYTES).read_bytes()
                if len(text) == _COUNT_BYTES:
                    return int(text)
        return self._recount()

    def _recount(self) -> int:
        """Count anew, and sweep what a writer left that did not live to the end."""
        used = 0
        for folder in _entries(self.path / OBJECTS):
            if _VERSION.fullmatch(folder.name) and folder.is_dir(follow_symlinks=False):
                place = self.path / OBJECTS / folder.name
                used += cache_part.sweep(place)
                _tidy(place)
        used += self.used_bytes()
        self._note(used)
        self._counted = True
        return used

    def _note(self, used: int) -> None:
        file = os.open(self.path / _BYTES, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            # One write of one width, so that a reader never sees half of it.
            os.pwrite(file, b"%020d\n" % used, 0)
            os.ftruncate(file, _COUNT_BYTES)
        finally:
            os.close(file)


def oldest(segments: Iterable[Held], goal_bytes: int) -> Iterator[Held]:
    """Yield those that were not used for the longest time, until they make `goal_bytes`: pure."""
    freed = 0
    for one in sorted(segments, key=lambda one: one.used_ns):
        if freed >= goal_bytes:
            return
        freed += one.disk_bytes
        yield one


def ranges(place: Path) -> set[ByteRange]:
    """Return what is held of a version, by the names of its files."""
    found = (_range(entry.name) for entry in _entries(place))
    return {one for one in found if one is not None}


def _segments(place: Path) -> Iterator[Held]:
    for entry in _entries(place):
        one = _range(entry.name)
        # It may be removed while we look.
        with contextlib.suppress(FileNotFoundError):
            if one is not None and entry.is_file(follow_symlinks=False):
                found = entry.stat(follow_symlinks=False)
                yield Held(place / entry.name, one, on_disk(found.st_size), found.st_mtime_ns)


def _range(name: str) -> ByteRange | None:
    found = _SEGMENT.fullmatch(name)
    one = ByteRange(int(found[1]), int(found[2])) if found else None
    return one if one and one.size_bytes > 0 else None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        # Removed meanwhile, or not a folder: nothing of ours.
        return []


def _about(path: Path) -> About | None:
    try:
        return About(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _tidy(place: Path) -> None:
    """Remove the folder of a version of which nothing is left and of which nothing is being written."""
    if {entry.name for entry in _entries(place)} <= {_ABOUT}:
        _unlink([place / _ABOUT])
        _remove_empty(place)


def _remove_empty(place: Path) -> None:
    # What we did not write there stays, and so does the folder.
    with contextlib.suppress(OSError):
        place.rmdir()
