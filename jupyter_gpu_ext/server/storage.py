"""`/storage`: listings, properties. The browser names a connection and a key, never a URL."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.api import page_json
from jupyter_gpu_ext.storage.listing import MOST, USUAL, list_page
from jupyter_gpu_ext.storage.loop import LOOP


class ListHandler(Handler):
    """GET one page below a prefix."""

    @authenticated
    @authorized("read", resource="storage")
    async def get(self) -> None:
        """Await the page on the I/O loop."""
        connection = connections.load().find(self.text_argument("connection"))
        page = list_page(
            connection,
            self.text_argument("prefix", ""),
            token=self.text_argument("page_token", "") or None,
            limit=self.integer_argument("limit", USUAL, most=MOST),
            search=self.text_argument("search", ""),
        )
        self.send(page_json(await LOOP.call(page)))


def routes() -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [
        ("storage/list", ListHandler, {}),
    ]
