"""`/storage`: connections, listings, properties. The browser names a connection and a key, never a URL."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.api import connections_json, entry_json, page_json
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.listing import MOST, USUAL, list_page
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.url import check_key


class ConnectionsHandler(Handler):
    """GET the configured connections, without secrets."""

    @authenticated
    @authorized("read", resource="connections")
    async def get(self) -> None:
        """Answer from the connections files as they are now."""
        self.send(
            {
                "connections": connections_json(connections.load()),
                "file": str(connections.user_file()),
                "example": connections.EXAMPLE,
            }
        )


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
        )
        self.send(page_json(await LOOP.call(page)))


class ObjectHandler(Handler):
    """GET the properties of one object."""

    @authenticated
    @authorized("read", resource="storage")
    async def get(self) -> None:
        """Await the properties on the I/O loop."""
        connection = connections.load().find(self.text_argument("connection"))
        check_key(key := self.text_argument("key"))
        self.send(entry_json(await LOOP.call(backend(connection).head(key))))


def routes() -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [
        ("storage/connections", ConnectionsHandler, {}),
        ("storage/list", ListHandler, {}),
        ("storage/object", ObjectHandler, {}),
    ]
