"""The GPUs on Jupyter Server's own `/metrics`: what is known already; neither driver nor kernel is waited for."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from jupyter_gpu_ext.gpu.metrics import families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jupyter_gpu_ext.gpu.metrics import Family
    from jupyter_gpu_ext.gpu.sampler import Sampler
    from jupyter_gpu_ext.server.kernels import Kernels

# What the kernels said earlier says nothing of now.
_REPORT_SECONDS = 300.0

# The registry is one a process, and so are its GPUs: of several servers the one that started last speaks.
_STARTED: list[GpuCollector] = []


class GpuCollector(Collector):
    """Gives the registry the families of the moment.

    Parameters
    ----------
    sampler : Sampler
        Is only peeked at: a scraper that comes for ever does not keep it awake.
    kernels : Kernels
        Are asked behind the scrape's back; the next scrape tells what they said.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, sampler: Sampler, kernels: Kernels, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sampler = sampler
        self._kernels = kernels
        self._clock = clock
        self._rows: Sequence[dict[str, Any]] = ()
        self._rate: float | None = None
        self._said_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Join the registry; on the server's loop."""
        self._loop = asyncio.get_running_loop()
        _STARTED.append(self)
        REGISTRY.register(self)

    def stop(self) -> None:
        """Leave the registry; also where it was never joined."""
        if self in _STARTED:
            _STARTED.remove(self)
            REGISTRY.unregister(self)
        if self._asking is not None:
            self._asking.cancel()

    def describe(self) -> Iterator[Metric]:
        """Claim no name: several collectors of ours may be registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Return what is known now; on any thread, microseconds."""
        if _STARTED[-1:] != [self] or self._loop is None:
            return
        # A server that was not stopped in order has no loop any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ask)
        is_fresh = self._clock() - self._said_at <= _REPORT_SECONDS
        said = (self._rows, self._rate) if is_fresh else ()
        yield from map(_metric, families(self._sampler.peek(), *said))

    def _ask(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        self._rows = await self._kernels.report()
        # A kernel counts from one question to the next: where nobody looks, from scrape to scrape.
        self._rate = self._kernels.storage_rate()
        self._said_at = self._clock()


def _metric(family: Family) -> Metric:
    # The client's name of a counter is without its suffix.
    metric = Metric(family.name.removesuffix("_total"), family.help, family.kind)
    for series in family.series:
        metric.add_sample(family.name, dict(series.labels), series.value)
    return metric
