"""The schedule, as a rule for all inputs; the limiter, as a gate that many share."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import NotFoundError, ThrottledError, UnreachableError
from jupyter_gpu_ext.storage import steady
from jupyter_gpu_ext.storage.limiter import Limiter, limiter_of
from jupyter_gpu_ext.storage.retry import REMOTE, Schedule, Tally, parse_retry_after, patiently

QUICK = Schedule(first_seconds=0.001, most_seconds=0.001)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(
    failed=st.integers(1, 20), elapsed=st.floats(0, 100), draw=st.floats(0, 1),
    asked=st.none() | st.floats(0, 1e12),
)  # fmt: skip
def test_every_wait_keeps_to_the_schedule(failed: int, elapsed: float, draw: float, asked: float | None) -> None:
    wait = REMOTE.wait(failed, elapsed=elapsed, asked=asked, draw=draw)
    if failed >= 6:
        assert wait is None
    elif wait is not None:
        assert elapsed + wait <= 60
        least = min(asked, 30.0) if asked is not None else 0
        assert least <= wait <= (least + 0.5 if asked is not None else min(8, 0.2 * 2 ** (failed - 1)))


@pytest.mark.parametrize("asked", [None, 1.0])
def test_two_faults_cost_three_seconds_at_most(asked: float | None) -> None:
    waits = [REMOTE.wait(failed, elapsed=0, asked=asked, draw=1) for failed in (1, 2)]
    assert sum(wait or 0 for wait in waits) <= 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1.0), ("0", 0.0), ("1000000000", 1e9), ("Thu, 01 Jan 2026 00:00:05 GMT", 5.0),
        ("Thu, 01 Jan 2015 00:00:05 GMT", 0.0), ("-1", None), ("1.5", None), ("soon", None), ("", None), (None, None),
        ("1" * 65, None), ("Thu, 99 Jan 2026 00:00:05 GMT", None), ("²", None),
    ],
)  # fmt: skip
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


async def test_tries_are_counted_and_end() -> None:
    calls, tally = 0, Tally()

    async def fails() -> None:
        nonlocal calls
        calls += 1
        raise UnreachableError("no")

    with pytest.raises(UnreachableError):
        await patiently(fails, limiter=Limiter("account"), schedule=QUICK, tally=tally)
    assert (calls, tally.retries) == (6, 5)


async def test_an_answer_is_not_asked_for_again() -> None:
    calls = 0

    async def answers() -> None:
        nonlocal calls
        calls += 1
        raise NotFoundError("no")

    with pytest.raises(NotFoundError):
        await patiently(answers, limiter=Limiter("account"), schedule=QUICK)
    assert calls == 1


async def test_limiter_closes_by_half_and_opens_by_one() -> None:
    limiter = Limiter("account", most=16)
    running, most = 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async def burst() -> int:
        nonlocal most
        most = 0
        await asyncio.gather(*(patiently(work, limiter=limiter, schedule=QUICK) for _ in range(100)))
        return most

    assert await burst() == 16
    for _ in range(16):
        await limiter.acquire()
    for _ in range(5):
        limiter.slow_down()
    assert limiter.limit == 8
    assert limiter.throttled_count == 5
    for _ in range(16):
        limiter.release()
    assert 8 <= await burst() <= 16
    for _ in range(200):
        limiter.speed_up()
    assert limiter.limit == 16


async def test_cancelled_waiters_leave_no_place_behind() -> None:
    limiter = Limiter("account", most=1)
    await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    limiter.release()
    waiting[1].cancel()
    await asyncio.wait(waiting, timeout=5)
    assert [task.cancelled() for task in waiting] == [True, True, False]
    limiter.release()
    await asyncio.wait_for(limiter.acquire(), 5)


async def test_throttling_is_told_in_a_sentence() -> None:
    limiter = Limiter("mystorage")
    assert limiter.notice() == ""

    async def refused() -> None:
        raise ThrottledError("no")

    with pytest.raises(ThrottledError):
        await patiently(refused, limiter=limiter, schedule=QUICK)
    assert limiter.notice() == "mystorage is throttling (6 refusals in 30 s); slowed to 1 request at a time"


def test_one_limiter_an_account() -> None:
    assert limiter_of("one") is limiter_of("one") is not limiter_of("two")


def test_a_large_answer_may_take_longer_than_a_page() -> None:
    assert [steady._patience(size) for size in (10, 1 << 20, 4 << 20, 64 << 20)] == [60, 60, 240, 600]
