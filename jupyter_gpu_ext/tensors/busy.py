"""How much of the time at least one of several was at work: what a share of a wait is made of."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Busy:
    """A clock that runs while somebody is at work, however many they are; any threads."""

    __slots__ = ("_at_work", "_before", "_lock", "_since")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_work = 0
        self._before = 0.0
        self._since = 0.0

    @property
    def seconds(self) -> float:
        """So far, what is under way included."""
        with self._lock:
            running = time.monotonic() - self._since if self._at_work else 0.0
            return self._before + running

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let the clock run for the block."""
        with self._lock:
            if not self._at_work:
                self._since = time.monotonic()
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                if not self._at_work:
                    self._before += time.monotonic() - self._since
