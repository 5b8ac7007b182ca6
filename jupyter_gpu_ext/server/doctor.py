"""`/gpu/doctor`: what the doctor says of the server's environment, and of a kernel's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import ensure_async
from tornado.web import HTTPError, authenticated

from jupyter_gpu_ext.server.base import Handler

if TYPE_CHECKING:
    from jupyter_gpu_ext.server.environments import Doctor


class DoctorHandler(Handler):
    """GET the doctor's report."""

    def initialize(self, doctor: Doctor) -> None:
        """Take the service of the composition root."""
        self._doctor = doctor

    @authenticated
    @authorized("read", resource="gpu")
    async def get(self) -> None:
        """Answer when the doctor has looked, or with what it saw a moment ago."""
        kernel = self.text_argument("kernel", "")
        if kernel:
            await self._may_run_on_kernels()
        report = await self._doctor.report(kernel)
        self.send(await asyncio.to_thread(report.to_json))

    async def _may_run_on_kernels(self) -> None:
        asked = self.authorizer.is_authorized(self, self.current_user, "execute", "kernels")
        if not await ensure_async(asked):
            raise HTTPError(403)


def routes(doctor: Doctor) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [("gpu/doctor", DoctorHandler, {"doctor": doctor})]
