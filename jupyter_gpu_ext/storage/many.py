"""The same act on many objects: a few at a time, to the end, and what failed is said."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import GpuExtError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from jupyter_gpu_ext.storage.models import Entry
    from jupyter_gpu_ext.storage.places import Place

# A full disk, a right that is missing: a million more tries would not help.
_MOST_FAILURES = 100


@dataclass(slots=True)
class Tried:
    """What became of the objects.

    Attributes
    ----------
    done, failed : int
        Objects.
    size_bytes : int
        Of those that are done.
    first : tuple of Place and GpuExtError, or None
        Which failed first, and why.
    """

    done: int = 0
    failed: int = 0
    size_bytes: int = 0
    first: tuple[Place, GpuExtError] | None = None

    def fail(self, place: Place, error: GpuExtError) -> None:
        """Count a failure."""
        self.failed += 1
        self.first = self.first or (place, error)

    def check(self, act: str) -> None:
        """Raise an error of the first failure's type that says how many failed."""
        if self.first is None:
            return
        place, error = self.first
        count = f"{self.failed:,} of {self.done + self.failed:,} objects were not {act}"
        rest = ", and it was given up" if self.failed >= _MOST_FAILURES else ""
        raise type(error)(f"{count}{rest}. The first, {place.shown}: {error.message}", hint=error.hint)


async def each(
    source: Place, entries: AsyncIterator[Entry], act: Callable[[Entry], Awaitable[None]], *, at_a_time: int
) -> Tried:
    """Run `act` over every entry of `source`; what fails is counted, the rest goes on.

    Raises
    ------
    GpuExtError
        When the entries cannot be found to the end.
    """
    tried, gate = Tried(), asyncio.Semaphore(at_a_time)

    async def one(entry: Entry) -> None:
        try:
            await act(entry)
            tried.done += 1
            tried.size_bytes += entry.size_bytes or 0
        except GpuExtError as error:
            tried.fail(source.at(entry.key), error)
        finally:
            gate.release()

    try:
        async with asyncio.TaskGroup() as group:
            async for entry in entries:
                await gate.acquire()
                if tried.failed >= _MOST_FAILURES:
                    break
                group.create_task(one(entry))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return tried
