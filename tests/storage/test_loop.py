"""One loop, blocking callers that can be interrupted, callers from other loops."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import CancelledError

import pytest

from jupyter_gpu_ext.storage.loop import LOOP, IOLoop


async def answer() -> int:
    await asyncio.sleep(0)
    return 42


async def fail() -> None:
    raise ZeroDivisionError


def test_result_and_error() -> None:
    assert LOOP.run(answer()) == 42
    with pytest.raises(ZeroDivisionError):
        LOOP.run(fail())


def test_all_work_shares_one_thread() -> None:
    async def name() -> int:
        return threading.get_ident()

    assert LOOP.run(name()) == LOOP.run(name()) != threading.get_ident()


def test_ticks_in_the_callers_thread() -> None:
    seen, release = [], asyncio.Event()

    async def waits() -> None:
        await release.wait()

    def tick() -> None:
        seen.append(threading.get_ident())
        if len(seen) == 2:
            LOOP.submit(_set(release))

    LOOP.run(waits(), tick=tick)
    assert set(seen) == {threading.get_ident()}


async def _set(event: asyncio.Event) -> None:
    event.set()


def test_a_failing_tick_cancels_the_work() -> None:
    cancelled = threading.Event()

    def tick() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        LOOP.run(_forever(threading.Event(), cancelled), tick=tick)
    assert cancelled.wait(5)


async def _forever(started: threading.Event, cancelled: threading.Event) -> None:
    started.set()
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.set()


@pytest.mark.parametrize("tick", [None, lambda: None], ids=["no tick", "tick"])
def test_interrupt(tick: object) -> None:
    started, cancelled = threading.Event(), threading.Event()
    sent: list[float] = []

    def interrupt() -> None:
        started.wait(5)
        sent.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        LOOP.run(_forever(started, cancelled), tick=tick)
    assert time.monotonic() - sent[0] < 1
    assert cancelled.wait(1)
    assert LOOP.run(answer()) == 42


def test_blocking_call_on_the_loop_is_refused() -> None:
    async def nested() -> int:
        return LOOP.run(answer())

    with pytest.raises(RuntimeError, match="would wait for itself"):
        LOOP.run(nested())


async def test_call_from_another_loop() -> None:
    assert await LOOP.call(answer()) == 42


async def test_cancelling_the_caller_cancels_the_work() -> None:
    started, cancelled = threading.Event(), threading.Event()
    task = asyncio.create_task(LOOP.call(_forever(started, cancelled)))
    assert await asyncio.to_thread(started.wait, 5)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, CancelledError)):
        await task
    assert await asyncio.to_thread(cancelled.wait, 5)


def test_forked_child_gets_a_loop_of_its_own() -> None:
    LOOP.run(answer())
    child = os.fork()
    if child == 0:
        # No test framework runs in the child: it says what it found by its exit status.
        status = 1
        try:
            status = 0 if LOOP.run(answer()) == 42 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_loop_starts_with_the_first_call() -> None:
    before = threading.active_count()
    loop = IOLoop()
    assert threading.active_count() == before
    assert loop.run(answer()) == 42
