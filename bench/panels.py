"""Open panels: what browsers ask a server while somebody looks, from a process of their own."""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tornado.websocket import websocket_connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Event

# The default of nvdashboard's settings schema.
CHART_MILLISECONDS = 100
_SPAWN = multiprocessing.get_context("spawn")


def polling(port: int, token: str, count: int, ready: Event) -> None:
    """Poll the GPU status once a second, as our panel does."""
    for _ in range(count):
        threading.Thread(target=_poll, args=(port, token, ready), daemon=True).start()
    threading.Event().wait()


def _poll(port: int, token: str, ready: Event) -> None:
    client, cursor = http.client.HTTPConnection("127.0.0.1", port), 0
    while True:
        headers = {"Authorization": f"token {token}"}
        client.request("GET", f"/jupyter-gpu-ext/api/gpu/status?since={cursor}", headers=headers)
        cursor = json.loads(client.getresponse().read())["cursor"]
        ready.set()
        time.sleep(1)


def charts(port: int, token: str, count: int, ready: Event) -> None:
    """Open nvdashboard's "GPU Resources" chart so many times: a WebSocket each, with its timer on the server."""
    asyncio.run(_charts(port, token, count, ready))


async def _charts(port: int, token: str, count: int, ready: Event) -> None:
    await asyncio.gather(*(_chart(port, token, ready) for _ in range(count)))


async def _chart(port: int, token: str, ready: Event) -> None:
    socket = await websocket_connect(f"ws://127.0.0.1:{port}/nvdashboard/gpu_resource?token={token}")
    await socket.write_message(json.dumps({"updateFrequency": CHART_MILLISECONDS, "isPaused": False}))
    while (said := await socket.read_message()) is not None:
        if "gpu_utilization_total" in json.loads(said):
            ready.set()


@contextmanager
def opened(look: Callable[[int, str, int, Event], None], port: int, token: str, count: int) -> Iterator[None]:
    """Keep panels open for the length of a block, which begins when one of them was answered."""
    ready = _SPAWN.Event()
    process = _SPAWN.Process(target=look, args=(port, token, count, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(60):
            raise TimeoutError("no panel was answered")
        yield
    finally:
        process.terminate()
        process.join()
