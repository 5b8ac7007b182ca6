"""Execute a plan: ranges into host buffers, a bounded number at a time, each byte copied at most once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.progress import Progress as Progress  # noqa: PLC0414, TC001 -- also found here

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.plan import Fetch, FetchPlan

# With ranges of 8 MiB at most, 64 MiB are in flight.
_CONCURRENCY = 8


async def read_plan(
    reader: Reader,
    plan: FetchPlan,
    buffers: Mapping[str, memoryview],
    progress: Progress,
) -> None:
    """Fill the buffers of the plan's storages.

    Parameters
    ----------
    buffers : mapping of str to memoryview
        A writable buffer a storage, as long as the plan's span of it.
    progress : Progress
        Counts the bytes as they arrive.

    Raises
    ------
    GpuExtError
        The first fault; the ranges still in flight are cancelled.
    """
    gate = asyncio.Semaphore(_CONCURRENCY)

    async def fetch(one: Fetch) -> None:
        async with gate:
            await _fetch(reader, one, buffers)
        progress.done_bytes += one.range.size_bytes

    try:
        async with asyncio.TaskGroup() as group:
            for one in plan.fetches:
                group.create_task(fetch(one))
    except BaseExceptionGroup as group_error:
        raise group_error.exceptions[0] from None


async def _fetch(reader: Reader, one: Fetch, buffers: Mapping[str, memoryview]) -> None:
    if len(one.parts) == 1 and one.parts[0].source == one.range:
        part = one.parts[0]
        await reader.read_into(one.range.start, buffers[part.storage][part.at : part.at + one.range.size_bytes])
        return
    data = memoryview(bytearray(one.range.size_bytes))
    await reader.read_into(one.range.start, data)
    for part in one.parts:
        start = part.source.start - one.range.start
        size = part.source.size_bytes
        buffers[part.storage][part.at : part.at + size] = data[start : start + size]
