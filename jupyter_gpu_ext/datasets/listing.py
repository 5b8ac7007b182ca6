"""Which files a stream reads, as plain data: listed once, and the same for all who share them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jupyter_gpu_ext.datasets import pattern as patterns
from jupyter_gpu_ext.datasets.file_kinds import ENDINGS, kind_of, readable
from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.storage import places
from jupyter_gpu_ext.storage.walk import collect
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.datasets.pattern import Pattern
    from jupyter_gpu_ext.storage.models import Entry
    from jupyter_gpu_ext.storage.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a stream of files is asked for: plain data.

    Attributes
    ----------
    url : str
        With globs.
    kind : str
        One of `file_kinds.ENDINGS`; '' follows from the endings.
    skips : bool
        A shard that is damaged is left out.
    most_block_bytes : int
        How much of a shard should be read at a time.
    """

    url: str
    kind: str
    skips: bool
    most_block_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing:
    """What was found, by key, in the versions that it had then.

    Attributes
    ----------
    prefix : str
        The folder of all keys: '' or ending with a slash.
    sizes : numpy.ndarray
        Bytes of each.
    edges : tuple of numpy.ndarray
        Of each shard the byte at which each sample begins, and the one after the last; empty where a file is a sample.
    faults : tuple of str
        Why shards were left out.
    """

    kind: str
    prefix: str
    keys: tuple[str, ...]
    etags: tuple[str, ...]
    sizes: NDArray[np.int64]
    edges: tuple[NDArray[np.int64], ...] = ()
    faults: tuple[str, ...] = field(default=())

    @property
    def digest(self) -> str:
        """What tells these samples from others; a copy of them elsewhere has the same."""
        made = hashlib.sha256("\0".join(one.removeprefix(self.prefix) for one in self.keys).encode())
        for one in (self.sizes, *self.edges):
            made.update(one.tobytes())
        return made.hexdigest()


async def list_files(asked: Files) -> Listing:
    """Return the files that a URL with globs means, in the order of their keys.

    Raises
    ------
    NotFoundError
        When there are none.
    BadRequestError
        When they are of several kinds, or of none that is read.
    """
    place = places.find(asked.url)
    found = await _found(place)
    if not found.entries:
        braces = "{ and } stand for themselves, * for any characters; " if "{" in place.key else ""
        raise NotFoundError(
            f"{place.shown} matches nothing.", hint=f"{braces}** is any folders. `%blob ls` shows what is there."
        )
    kind = asked.kind or _kind(place, [one.key for one in found.entries])
    chosen = [one for one in found.entries if kind_of(one.key) == kind]
    if not chosen:
        raise BadRequestError(f"{place.shown} matches no {readable(kind)}.", hint="Leave out kind, or choose another.")
    _check(place, chosen)
    return Listing(
        kind=kind,
        prefix=found.pattern.prefix,
        keys=tuple(one.key for one in chosen),
        etags=tuple(one.etag or "" for one in chosen),
        sizes=np.array([one.size_bytes or 0 for one in chosen], np.int64),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    pattern: Pattern
    entries: Sequence[Entry]


async def _found(place: Place) -> _Found:
    key = place.key
    if patterns.is_glob(key) or not key or key.endswith("/"):
        return await _matching(place, patterns.parse(key))
    try:
        return _Found(patterns.parse(key), [await place.reading().head(key)])
    except (NotFoundError, BadRequestError):
        # The name of a folder, without its slash.
        return await _matching(place, patterns.parse(f"{key}/"))


async def _matching(place: Place, pattern: Pattern) -> _Found:
    try:
        entries = await collect(place.reading(), pattern.prefix, lambda one: pattern.enters(one.key))
    except NotFoundError:
        # A file system says so where an object store lists nothing.
        entries = []
    found = [one for one in entries if pattern.matches(one.key)]
    return _Found(pattern, sorted(found, key=lambda one: one.key))


def _kind(place: Place, keys: Iterable[str]) -> str:
    counts = dict[str, int]()
    for key in keys:
        counts[kind_of(key)] = counts.get(kind_of(key), 0) + 1
    unknown = counts.pop("", 0)
    if not counts:
        raise BadRequestError(
            f"{place.shown}: none of {unknown:,} files is of a kind that is read.",
            hint=f"By their endings: {', '.join(one for ends in ENDINGS.values() for one in ends)}.",
        )
    if len(counts) > 1:
        said = ", ".join(f"{count:,} {readable(kind)}" for kind, count in counts.items())
        choices = " or ".join(f"kind={kind!r}" for kind in counts)
        raise BadRequestError(
            f"{place.shown} matches files of several kinds: {said}.", hint=f"{choices} chooses; so does a glob, *.npy."
        )
    return next(iter(counts))


def _check(place: Place, entries: Iterable[Entry]) -> None:
    for one in entries:
        if one.unreadable or one.size_bytes is None or not one.etag:
            why = one.unreadable or "its version is not known"
            raise BadRequestError(
                f"{place.at(one.key).shown} cannot be read: {printable(why)}.", hint="Rename it, or leave it out."
            )
