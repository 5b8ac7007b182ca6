"""Work on many objects: what is done, what failed and why; it goes on while nobody looks."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from jupyter_gpu_ext.errors import GpuExtError, NotFoundError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_CONCURRENCY = 8
_MOST_JOBS = 100
_MOST_FAILURES = 200


@dataclass(slots=True)
class Job:
    """One run over many objects; written on the I/O loop, read by whoever asks.

    Attributes
    ----------
    done, total : int
        Objects; `total` grows while they are being found.
    failed : list
        Key and error of the first 200 that failed.
    """

    kind: str
    title: str
    id: str = field(default_factory=lambda: uuid4().hex)
    done: int = 0
    total: int = 0
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    failed: list[tuple[str, GpuExtError]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        failed = [{"key": key, "code": one.code, "message": one.message} for key, one in self.failed]
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "done": self.done,
            "total": self.total,
            "state": self.state,
            "failed": failed,
        }


class Jobs:
    """The jobs of this process; the oldest finished ones are forgotten."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def list(self) -> list[Job]:
        """Return the jobs, oldest first."""
        return list(self._jobs.values())

    async def start(self, job: Job, keys: AsyncIterator[str], act: Callable[[str], Awaitable[None]]) -> Job:
        """Run `act` over every key, eight at a time; on the I/O loop.

        Raises
        ------
        TooLargeError
            When a hundred jobs are running.
        """
        for old in [one.id for one in self._jobs.values() if one.state != "running"]:
            if len(self._jobs) >= _MOST_JOBS:
                del self._jobs[old]
        if len(self._jobs) >= _MOST_JOBS:
            raise TooLargeError(f"{_MOST_JOBS} jobs are running.", hint="Wait for one, or cancel it.")
        self._jobs[job.id] = job
        task = asyncio.get_running_loop().create_task(_run(job, keys, act))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        return job

    async def cancel(self, identity: str) -> None:
        """Stop a job; what it has done stays done.

        Raises
        ------
        NotFoundError
            When there is no such job.
        """
        if identity not in self._jobs:
            raise NotFoundError("There is no such job any more.", hint="Refresh the list.")
        if task := self._tasks.get(identity):
            task.cancel()


async def _run(job: Job, keys: AsyncIterator[str], act: Callable[[str], Awaitable[None]]) -> None:
    gate = asyncio.Semaphore(_CONCURRENCY)
    try:
        async with asyncio.TaskGroup() as group:
            async for key in _found(job, keys):
                await gate.acquire()
                group.create_task(_one(job, gate, key, act))
    except asyncio.CancelledError:
        job.state = "cancelled"
    except BaseException:
        # A fault that nobody thought of ends a job too.
        job.state = "failed"
        raise
    else:
        job.state = "failed" if job.failed else "done"


async def _found(job: Job, keys: AsyncIterator[str]) -> AsyncIterator[str]:
    try:
        async for key in keys:
            job.total += 1
            yield key
    except GpuExtError as error:
        # Finding the rest failed; the objects that were found are dealt with all the same.
        job.failed.append(("", error))


async def _one(job: Job, gate: asyncio.Semaphore, key: str, act: Callable[[str], Awaitable[None]]) -> None:
    try:
        await act(key)
        job.done += 1
    except GpuExtError as error:
        if len(job.failed) < _MOST_FAILURES:
            job.failed.append((key, error))
    finally:
        gate.release()
