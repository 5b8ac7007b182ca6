"""How late the server's event loop is while it does something else."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from tests.server.live import Server

_TICK_SECONDS = 0.005


@dataclass
class Lag:
    """The lateness of each tick, in milliseconds."""

    late_ms: list[float] = field(default_factory=list)
    stopped: bool = False

    def percentile(self, percent: float) -> float:
        """Return the lateness in milliseconds that `percent` of the ticks do not exceed."""
        ordered = sorted(self.late_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tick until stopped; to be called on the loop."""
        due = time.monotonic() + _TICK_SECONDS

        def tick() -> None:
            self.late_ms.append((time.monotonic() - due) * 1000)
            if not self.stopped:
                self.start(loop)

        loop.call_later(_TICK_SECONDS, tick)

    def __str__(self) -> str:
        return (
            f"loop lag p50 {self.percentile(50):.1f} ms, p99 {self.percentile(99):.1f} ms, "
            f"most {max(self.late_ms):.1f} ms in {len(self.late_ms)} ticks"
        )


@contextmanager
def measured(server: Server) -> Iterator[Lag]:
    """Measure for the length of a block."""
    lag = Lag()
    loop = server.app.io_loop.asyncio_loop
    server.call(lambda: lag.start(loop))
    try:
        yield lag
    finally:
        lag.stopped = True
