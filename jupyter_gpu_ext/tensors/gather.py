"""Several small reads side by side, a bounded number at a time; the first fault ends all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")


async def gather(work: Callable[..., Awaitable[T]], items: Iterable[tuple[object, ...]], *, at_once: int) -> list[T]:
    """Return `work(*item)` of each item, in order.

    Raises
    ------
    Exception
        The first one that `work` raised; the others are cancelled.
    """
    gate = asyncio.Semaphore(at_once)

    async def one(item: tuple[object, ...]) -> T:
        async with gate:
            return await work(*item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as error:
        raise error.exceptions[0] from None
    return [task.result() for task in tasks]
