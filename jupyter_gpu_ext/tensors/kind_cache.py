"""The kinds of the rows on screen: no request where the name says it, else one small one, and remembered."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import ArchivedError, BadRequestError, DeniedError, GpuExtError, NotFoundError
from jupyter_gpu_ext.tensors import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_gpu_ext.storage.steady import Steady
    from jupyter_gpu_ext.tensors.kinds import Kind

    # The backend, not the connection's name: with another account or secret it is another one.
    Place = tuple[Steady, str, str | None]

# The marks of all formats, and HDF5's behind a small user's block.
_HEAD_BYTES = 1024
_PAGE = 100
_AT_ONCE = 8
_DEADLINE_SECONDS = 5.0
_SHORT_SECONDS = 30.0
_MOST_KNOWN = 5000
# Asking again soon would not change these.
_FINAL = (NotFoundError, DeniedError, ArchivedError, BadRequestError)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a listing.

    Attributes
    ----------
    key : str
        A folder's ends with a slash.
    etag : str or None
        As the listing gave it.
    """

    key: str
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known by now.

    Attributes
    ----------
    kinds : mapping of str to str or None
        By key, of every row.
    later : tuple of str
        The keys that storage did not answer for in time: worth another question.
    """

    kinds: Mapping[str, Kind | None]
    later: tuple[str, ...]


class Kinds:
    """What rows are; used on the I/O loop alone. A version of a file is looked at once, a folder now and then.

    Parameters
    ----------
    deadline_seconds : float
        How long one question may take.
    short_seconds : float
        How long a folder's kind counts; what is in it may change without its row showing it.
    clock : callable
        Seconds that only go on.
    """

    def __init__(
        self,
        *,
        deadline_seconds: float = _DEADLINE_SECONDS,
        short_seconds: float = _SHORT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._short_seconds = short_seconds
        self._clock = clock
        self._known: OrderedDict[Place, tuple[Kind | None, float]] = OrderedDict()

    async def of(self, backend: Steady, rows: Sequence[Row]) -> Answer:
        """Return what these rows are, after the deadline at the latest; no failure of storage is raised."""
        found: dict[str, Kind | None] = {row.key: kinds.kind_by_name(row.key) for row in rows}
        unsure = [row for row in rows if found[row.key] is None and kinds.is_unsure(row.key)]
        unknown = []
        for row in unsure:
            known = self._known.get((backend, row.key, row.etag))
            if known is None or known[1] <= self._clock():
                unknown.append(row)
            else:
                found[row.key] = known[0]
        looked = await self._look_all(backend, unknown)
        return Answer(found | looked, tuple({row.key: None for row in unknown if row.key not in looked}))

    async def _look_all(self, backend: Steady, rows: Sequence[Row]) -> dict[str, Kind | None]:
        looked: dict[str, Kind | None] = {}
        turn = asyncio.Semaphore(_AT_ONCE)

        async def look(row: Row) -> None:
            async with turn:
                try:
                    looked[row.key] = await self._look(backend, row)
                except GpuExtError:
                    # A badge is worth no message; what is wrong is said when the row is opened.
                    return

        tasks = [asyncio.ensure_future(look(row)) for row in rows]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=self._deadline_seconds)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for surprise in [one for one in ended if isinstance(one, Exception)]:
            raise surprise
        return dict(looked)

    async def _look(self, backend: Steady, row: Row) -> Kind | None:
        etag, until = row.etag, self._clock() + self._short_seconds
        kind: Kind | None = None
        try:
            if kinds.is_folder(row.key):
                kind = await _look_into(backend, row.key)
            else:
                head, version = await backend.first(row.key, _HEAD_BYTES)
                # It may be another version than the row's by now: what was read is known of that one.
                kind, etag, until = kinds.kind_of_head(head), version.etag, math.inf
        except _FINAL:
            kind = None
        self._known[backend, row.key, etag] = kind, until
        self._known.move_to_end((backend, row.key, etag))
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return kind


async def _look_into(backend: Steady, key: str) -> Kind | None:
    """List the beginning of a folder; only where that was cut off and says nothing ask for one name more."""
    page = await backend.list_page(key, marker=None, limit=_PAGE)
    names = {one.name for one in page.entries if one.kind == "object" and one.unreadable is None}
    kind = kinds.kind_of_names(names)
    if kind is not None or page.marker is None:
        return kind
    name = kinds.decisive_name(names)
    await backend.head(key + name)
    return kinds.kind_of_names({name})
