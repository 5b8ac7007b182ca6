"""The iterations of this process's streams while they run: `report()`, `%%gpu` and the panel look at them."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_gpu_ext.datasets.report import Layout, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_gpu_ext.datasets.engine import Engine
    from jupyter_gpu_ext.datasets.protocols import Samples, Source
    from jupyter_gpu_ext.datasets.recipe import Recipe

T = TypeVar("T")

_KEPT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a store had given before, and when that was."""

    bytes_read: int
    requests: int
    busy_seconds: float
    seconds: float

    @classmethod
    def of(cls, source: Source) -> Before:
        """Look at the store now: before an engine asks it for something."""
        return cls(
            bytes_read=source.bytes_read,
            requests=source.requests,
            busy_seconds=source.busy_seconds,
            seconds=time.monotonic(),
        )


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Iteration:
    """One iteration; written by the thread that runs it, looked at by any.

    Attributes
    ----------
    items : int
        That were handed out.
    wait_seconds, bring_seconds, make_seconds : float
        For which the caller waited, which copies towards the device took, and which the making of items took.
    """

    before: Before
    recipe: Recipe
    source: Source
    engine: Engine[Any]
    samples: Samples
    items: int = 0
    wait_seconds: float = 0.0
    bring_seconds: float = 0.0
    make_seconds: float = 0.0
    ended: Report | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def timed(self, items: Iterator[T]) -> Iterator[T]:
        """Yield the items and count the time that they take to make, in whatever thread that is."""
        while True:
            begun = time.monotonic()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                self.make_seconds += time.monotonic() - begun
            yield item

    def brought(self, bringing: Callable[[Any], Any], item: Any) -> Any:
        """Return the item on its device, and count the time that it took here."""
        begun = time.monotonic()
        try:
            return bringing(item)
        finally:
            self.bring_seconds += time.monotonic() - begun

    def end(self) -> None:
        """Keep the report, and none of the buffers."""
        with self._lock:
            self.ended = self._report(running=False)
            del self.engine, self.samples, self.source

    def report(self) -> Report:
        """Return what it took so far."""
        with self._lock:
            return self.ended or self._report(running=True)

    def _report(self, *, running: bool) -> Report:
        before, now = self.before, Before.of(self.source)
        losses, engine, copies = self.samples.losses, self.engine, self.samples.copy_seconds
        return Report(
            url=self.source.shown,
            items=self.items,
            samples=self.samples.done - losses.samples,
            seconds=now.seconds - before.seconds,
            wait_seconds=self.wait_seconds,
            network_seconds=now.busy_seconds - before.busy_seconds,
            decode_seconds=engine.decoding.seconds,
            copy_seconds=copies + self.bring_seconds,
            function_seconds=max(0.0, self.make_seconds - copies - engine.wait_seconds),
            bytes_read=now.bytes_read - before.bytes_read,
            requests=now.requests - before.requests,
            chunk_bytes=engine.chunk_bytes,
            decoded_bytes=engine.decoded_bytes,
            kept_bytes=engine.kept_bytes,
            used_bytes=self.samples.used_bytes,
            most_held_bytes=engine.most_held_bytes,
            lost_samples=losses.samples,
            faults=tuple(losses.faults),
            layout=_layout(self.source, self.recipe),
            running=running,
        )


def _layout(source: Source, recipe: Recipe) -> Layout:
    blocks = source.blocks
    return Layout(
        chunk_samples=source.chunk_samples,
        block_samples=blocks.samples / max(1, blocks.count),
        buffer=recipe.shuffle.buffer if recipe.shuffle else 0,
        prefetch=recipe.prefetch,
        memory_bytes=recipe.memory_bytes,
        stored=source.stored,
    )


class Iterations:
    """The last iterations of this process, oldest first.

    Attributes
    ----------
    count : int
        That were begun, those included that are gone.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._last: deque[Iteration] = deque(maxlen=_KEPT)

    def add(self, iteration: Iteration) -> None:
        """Note one that begins."""
        with self._lock:
            self.count += 1
            self._last.append(iteration)

    def since(self, count: int) -> list[Report]:
        """Return the reports of those that began after `count` others, oldest first."""
        with self._lock:
            last = list(self._last)[-max(0, self.count - count) :] if self.count > count else []
        return [one.report() for one in last]

    def running(self) -> list[Report]:
        """Return the reports of those that have not ended, oldest first."""
        with self._lock:
            last = list(self._last)
        return [one.report() for one in last if one.ended is None]


ITERATIONS = Iterations()
