"""When to ask storage again, and how often: a pure schedule, and the loop that keeps to it."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from jupyter_gpu_ext.errors import BrokenReplyError, StorageTimeoutError, ThrottledError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jupyter_gpu_ext.errors import GpuExtError
    from jupyter_gpu_ext.storage.limiter import Limiter

T = TypeVar("T")

# What may be over when it is asked again. Everything else is an answer.
TRANSIENT = (BrokenReplyError, StorageTimeoutError, ThrottledError, UnreachableError)

# Clients that a provider told the same second must not come back in the same millisecond.
_SPREAD_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Full jitter: each wait is drawn between nothing and a limit that doubles.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Attributes
    ----------
    tries : int
        Requests in all, the first included.
    first_seconds, most_seconds : float
        The limit of the first wait, and of any.
    budget_seconds : float
        No try begins later than this after the first one began.
    asked_seconds : float
        The longest wait that a provider's Retry-After is given.
    """

    tries: int = 6
    first_seconds: float = 0.2
    most_seconds: float = 8.0
    budget_seconds: float = 60.0
    asked_seconds: float = 30.0

    def wait(self, failed: int, *, elapsed: float, asked: float | None, draw: float) -> float | None:
        """Return the seconds until the next try, or None when it is time to give up.

        Parameters
        ----------
        failed : int
            Tries so far, all failed.
        elapsed : float
            Seconds since the first try began.
        asked : float or None
            Seconds that the provider asked for.
        draw : float
            A random number from 0 to 1.
        """
        if failed >= self.tries:
            return None
        if asked is not None:
            seconds = min(asked, self.asked_seconds) + draw * _SPREAD_SECONDS
        else:
            seconds = draw * min(self.most_seconds, self.first_seconds * 2 ** (failed - 1))
        return seconds if elapsed + seconds <= self.budget_seconds else None


REMOTE = Schedule()
# A disk that fails is not asked again.
LOCAL = Schedule(tries=1)


@dataclass(slots=True)
class Tally:
    """What patience cost: the tries after the first one, and the seconds between them."""

    retries: int = 0
    waited_seconds: float = 0.0


async def patiently(
    attempt: Callable[[], Awaitable[T]],
    *,
    limiter: Limiter,
    schedule: Schedule = REMOTE,
    tally: Tally | None = None,
    transient: tuple[type[GpuExtError], ...] = TRANSIENT,
    draw: Callable[[], float] = random.random,
) -> T:
    """Await `attempt` until it succeeds, fails for good, or the schedule ends.

    Raises
    ------
    GpuExtError
        What the last try raised.
    """
    started, failed = time.monotonic(), 0
    while True:
        await limiter.acquire()
        try:
            result = await attempt()
        except transient as error:
            failed += 1
            if isinstance(error, ThrottledError):
                limiter.slow_down()
            elapsed = time.monotonic() - started
            seconds = schedule.wait(failed, elapsed=elapsed, asked=error.retry_after_seconds, draw=draw())
            if seconds is None:
                raise
            if tally is not None:
                tally.retries += 1
                tally.waited_seconds += seconds
        else:
            limiter.speed_up()
            return result
        finally:
            limiter.release()
        await asyncio.sleep(seconds)


def parse_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3), None when it says nothing usable."""
    if not text or len(text) > 64:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        seconds = (parsedate_to_datetime(text) - (now or datetime.now(UTC))).total_seconds()
    except (TypeError, ValueError):
        return None
    return max(seconds, 0.0)
