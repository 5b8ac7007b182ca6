"""How many requests an account gets at a time: fewer while it throttles, more again afterwards."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from jupyter_gpu_ext.text import format_count, printable

MOST = 128
_WINDOW_SECONDS = 30.0
# One burst of refusals is one signal: the requests that it hit were all sent at the old pace.
_SAME_BURST_SECONDS = 1.0


class Limiter:
    """A gate that all requests of one account share; lives on the I/O loop.

    It opens by one for every `limit` requests that succeed and closes by half when the account refuses:
    additive increase, multiplicative decrease, as TCP does (RFC 5681), so that many readers share what
    the account gives without knowing of each other.

    Parameters
    ----------
    name : str
        What is shown as throttling: the account.
    most : int
        Requests at a time when nothing is wrong.

    Attributes
    ----------
    throttled_count : int
        Refusals since the process began.
    """

    def __init__(self, name: str, *, most: int = MOST) -> None:
        self.name = name
        self.throttled_count = 0
        self._most = most
        self._width = float(most)
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._refusals: deque[float] = deque(maxlen=10_000)

    @property
    def limit(self) -> int:
        """Requests at a time, now."""
        return max(1, int(self._width))

    async def acquire(self) -> None:
        """Wait for a place."""
        # A newcomer does not overtake those who wait.
        if self._busy >= self.limit or self._waiting:
            await self._queue()
        else:
            self._busy += 1

    def release(self) -> None:
        """Give the place back."""
        self._busy -= 1
        self._admit()

    async def _queue(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The place was given and is not taken.
                self.release()
            raise

    def _admit(self) -> None:
        while self._waiting and self._busy < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._busy += 1

    def slow_down(self) -> None:
        """Count a refusal; halve the limit unless the same burst has just done so."""
        now = time.monotonic()
        if not self._refusals or now - self._refusals[-1] > _SAME_BURST_SECONDS:
            self._width = max(1.0, min(self._width, max(self._busy + 1, 2)) / 2)
        self._refusals.append(now)
        self.throttled_count += 1

    def speed_up(self) -> None:
        """Note a success."""
        self._width = min(float(self._most), self._width + 1 / self._width)
        self._admit()

    def notice(self) -> str:
        """Return a sentence while the account throttles, '' otherwise."""
        since = time.monotonic() - _WINDOW_SECONDS
        recent = sum(at >= since for at in self._refusals)
        if not recent:
            return ""
        pace = format_count(self.limit, "request")
        return (
            f"{printable(self.name)} is throttling ({format_count(recent, 'refusal')} in {_WINDOW_SECONDS:.0f} s); "
            f"slowed to {pace} at a time"
        )


_LIMITERS: dict[str, Limiter] = {}


def limiter_of(account: str) -> Limiter:
    """Return the limiter that everything which reads or writes that account shares."""
    return _LIMITERS.setdefault(account, Limiter(account))
