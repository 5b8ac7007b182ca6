"""`/gpu`: state of the devices, and which notebook holds their memory."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import ensure_async
from tornado.web import authenticated

from jupyter_gpu_ext import __version__
from jupyter_gpu_ext.server.base import Handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_gpu_ext.gpu.sampler import Sampler
    from jupyter_gpu_ext.server.kernels import Kernels

_LARGEST = 2**53


class _Telemetry(Handler):
    """Sends half a megabyte of numbers at times: ten minutes, or a day, of eight devices."""

    async def send_numbers(self, body: Callable[[], dict[str, Any]]) -> None:
        """Finish with JSON that is made by a thread: it takes longer than the event loop should stand still."""
        text = await asyncio.to_thread(lambda: json.dumps(body(), allow_nan=False))
        self.set_header("Cache-Control", "no-store")
        self.finish(text)


class StatusHandler(_Telemetry):
    """GET the state of the devices and the samples since a cursor."""

    def initialize(self, sampler: Sampler, kernels: Kernels) -> None:
        """Take the services of the composition root."""
        self._sampler, self._kernels = sampler, kernels

    @authenticated
    @authorized("read", resource="gpu")
    async def get(self) -> None:
        """Answer from what is known; no driver is asked."""
        since = self.integer_argument("since", 0, most=_LARGEST)
        kernels = await self._kernels.report() if await self._may_ask_kernels() else []
        known = self._sampler.status(since)
        await self.send_numbers(lambda: {"version": __version__, **known.to_json(), "kernels": kernels})

    async def _may_ask_kernels(self) -> bool:
        asked = self.authorizer.is_authorized(self, self.current_user, "execute", "kernels")
        return bool(await ensure_async(asked))


class HistoryHandler(_Telemetry):
    """GET the last 24 hours, a value a minute."""

    def initialize(self, sampler: Sampler) -> None:
        """Take the service of the composition root."""
        self._sampler = sampler

    @authenticated
    @authorized("read", resource="gpu")
    async def get(self) -> None:
        """Answer from what is known; no driver is asked."""
        await self.send_numbers(self._sampler.history)


def routes(sampler: Sampler, kernels: Kernels) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [
        ("gpu/status", StatusHandler, {"sampler": sampler, "kernels": kernels}),
        ("gpu/history", HistoryHandler, {"sampler": sampler}),
    ]
