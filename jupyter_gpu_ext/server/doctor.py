"""`/gpu/doctor`: what the doctor says of the server's environment, and of a kernel's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

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
            await self.check_may("execute", "kernels")
        report = await self._doctor.report(kernel)
        self.send(await asyncio.to_thread(report.to_json))


def routes(doctor: Doctor) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [("gpu/doctor", DoctorHandler, {"doctor": doctor})]
