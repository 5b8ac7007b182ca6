"""What a person asks of the cache of hot data: `jg.cache.ls`, `jg.cache.clear`, `jg.cache.warm`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, UnreachableError
from jupyter_gpu_ext.storage import cache_guard, cache_settings
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.cache_folder import CacheFolder
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.warming import Warmed, warm_url
from jupyter_gpu_ext.text import format_bytes, format_count, printable, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_gpu_ext.storage.cache_folder import Kept

__all__ = ["Cached", "Cleared", "Warmed", "clear", "ls", "warm"]


@dataclass(frozen=True, slots=True)
class Cached:
    """What is held, by object; prints as a table.

    Attributes
    ----------
    bound_bytes : int or None
        None when nothing was ever held.
    """

    folder: str
    bound_bytes: int | None
    versions: tuple[Kept, ...]

    @property
    def held_bytes(self) -> int:
        """What all of it takes on the disk."""
        return sum(one.disk_bytes for one in self.versions)

    def __str__(self) -> str:
        rows = [
            (_shown(one), format_bytes(one.disk_bytes), f"of {_size(one)}", f"used {_used(one):%Y-%m-%d %H:%M}")
            for one in self.versions
        ]
        bound = f" of {format_bytes(self.bound_bytes)}" if self.bound_bytes is not None else ""
        held = f"{format_count(len(rows), 'object')}, {format_bytes(self.held_bytes)}{bound} in {self.folder}"
        return "\n".join(filter(None, [table(rows, align="<>><"), held]))

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "folder": self.folder,
            "bound_bytes": self.bound_bytes,
            "held_bytes": self.held_bytes,
            "objects": [_row(one) for one in self.versions],
        }


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was removed; prints as one line."""

    folder: str
    object_count: int
    freed_bytes: int

    def __str__(self) -> str:
        count = format_count(self.object_count, "object")
        return f"removed {count}, {format_bytes(self.freed_bytes)}, from {self.folder}"

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"folder": self.folder, "object_count": self.object_count, "freed_bytes": self.freed_bytes}


def ls() -> Cached:
    """List what the cache holds, the one used last first.

    Raises
    ------
    GpuExtError
        When its settings are wrong, or its folder is not this user's alone.
    """
    settings = cache_settings.settings()
    with _plainly(settings.folder):
        if not _is_there(settings):
            return Cached(printable(str(settings.folder)), settings.most_bytes, ())
        folder = CacheFolder(settings.folder, settings.bound())
        found = sorted((one for one in folder.versions() if one.segments), key=_used, reverse=True)
        return Cached(printable(str(folder.path)), folder.most_bytes, tuple(found))


def clear(url: str | None = None) -> Cleared:
    """Remove what the cache holds: all of it, or of one object or of all below a prefix that ends with '/'.

    Parameters
    ----------
    url : str, optional
        As it was loaded: 'weights://llama/'; the object itself stays in storage.

    Raises
    ------
    BadRequestError
        When the folder was not made by this cache: nothing is removed.
    """
    settings = cache_settings.settings()
    wanted = urls.parse(url) if url is not None else None
    with _plainly(settings.folder):
        if not _is_there(settings):
            return Cleared(printable(str(settings.folder)), 0, 0)
        folder = CacheFolder(settings.folder, settings.bound())
        count, freed = folder.remove(lambda kept: wanted is None or _is_of(kept, wanted))
    return Cleared(printable(str(folder.path)), count, freed)


def warm(url: str, *, report: Callable[[Progress], None] = lambda _: None) -> Warmed:
    """Fetch what is not held yet of an object, or of all below a prefix, as a container does when it starts.

    Parameters
    ----------
    url : str
        'weights://llama/model.safetensors', or 'weights://llama/'.
    report : callable
        Called with the progress five times a second, in the caller's thread.

    Returns
    -------
    Warmed
        What was fetched, what was there, and what was left out and why; prints as a line or a few.

    Raises
    ------
    NotFoundError, DeniedError, UnreachableError
        When storage does not give the object; below a prefix, one that it does not give is left out.
    BadRequestError
        When it lies on this machine already.
    """
    progress = Progress(total_bytes=0)
    with _plainly(cache_settings.settings().folder):
        return LOOP.run(warm_url(url, progress), tick=lambda: report(progress))


def _is_there(settings: cache_settings.Settings) -> bool:
    if not settings.folder.exists():
        return False
    cache_guard.check_owner(settings.folder)
    if not cache_guard.is_ours(settings.folder):
        raise BadRequestError(
            f"{settings.folder} is no cache of jupyter_gpu_ext; it was left as it is.",
            hint=f"Check {cache_settings.FOLDER}.",
        )
    return True


@contextlib.contextmanager
def _plainly(folder: Any) -> Iterator[None]:
    try:
        yield
    except GpuExtError:
        # Many of them are OSErrors too.
        raise
    except TimeoutError:
        raise UnreachableError(f"{folder} is in use by another process.", hint="Run it again.") from None
    except OSError as error:
        raise UnreachableError(f"{folder} cannot be used ({error.strerror}).", hint="Check who owns it.") from None


def _is_of(kept: Kept, wanted: urls.ObjectURL) -> bool:
    if kept.about is None or kept.about.connection != wanted.scheme:
        return False
    key = wanted.key
    return kept.about.key.startswith(key) if not key or key.endswith("/") else kept.about.key == key


def _shown(kept: Kept) -> str:
    return printable(f"{kept.about.connection}://{kept.about.key}") if kept.about else "?"


def _size(kept: Kept) -> str:
    return format_bytes(kept.about.size_bytes) if kept.about else "?"


def _used(kept: Kept) -> datetime:
    return datetime.fromtimestamp(max((one.used_ns for one in kept.segments), default=0) / 1e9, UTC)


def _row(kept: Kept) -> dict[str, Any]:
    about = kept.about
    return {
        "connection": about.connection if about else None,
        "key": about.key if about else None,
        "size_bytes": about.size_bytes if about else None,
        "held_bytes": kept.disk_bytes,
        "used_at": _used(kept).isoformat(),
    }
