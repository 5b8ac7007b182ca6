"""Which faults are worth a line in the log: new ones, and each at most once a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

QUIET_SECONDS = 60


class FaultLog:
    """Remembers what was said, so that a fault that stays is not said at each sample.

    Parameters
    ----------
    clock : callable
        Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._present: frozenset[str] = frozenset()
        self._said_at: dict[str, float] = {}

    def news(self, faults: Iterable[str]) -> list[str]:
        """Return those of the present faults that should be logged now."""
        now, faults = self._clock(), frozenset(faults)
        self._said_at = {fault: at for fault, at in self._said_at.items() if now - at < QUIET_SECONDS}
        news = sorted(faults - self._present - self._said_at.keys())
        self._said_at |= dict.fromkeys(news, now)
        self._present = faults
        return news
