"""`/storage/connections`: what is configured and what could be; a pasted link becomes a connection.

The only place where the browser sends a link, and the only one where it may send a secret: in the body of a
POST, never in a URL, and nothing sends it back.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.api import connections_json
from jupyter_gpu_ext.storage.connect import disconnect, try_link
from jupyter_gpu_ext.storage.found import found
from jupyter_gpu_ext.storage.loop import LOOP


class ConnectionsHandler(Handler):
    """The configured connections, without secrets."""

    @authenticated
    @authorized("read", resource="connections")
    async def get(self) -> None:
        """Answer from the files as they are now."""
        self.send(await asyncio.to_thread(_overview))

    @authenticated
    @authorized("write", resource="connections")
    async def post(self) -> None:
        """Try what a link stands for, and keep it, or its secret alone, where that is asked for."""
        asked = read_body(self.request, {"link": str}, {"name": str, "read_only": bool, "save": bool, "renew": bool})
        given: dict[str, Any] = {"name": None, "read_only": True, "save": False, **asked}
        self.send((await LOOP.call(try_link(**given))).to_json())

    @authenticated
    @authorized("write", resource="connections")
    async def delete(self) -> None:
        """Forget a connection of the user's own file, and its secret."""
        await asyncio.to_thread(disconnect, self.text_argument("name"))
        self.send({})


def _overview() -> dict[str, Any]:
    return {
        "connections": connections_json(connections.load()),
        "found": [asdict(one) for one in found()],
        "file": str(connections.user_file()),
        "example": connections.EXAMPLE,
    }


def routes() -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [("storage/connections", ConnectionsHandler, {})]
