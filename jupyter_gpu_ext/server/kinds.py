"""`/tensors/kinds`: what the rows on screen are, for the tree's badges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.server.waiting import WaitingHandler
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.url import check_key
from jupyter_gpu_ext.tensors.kind_cache import Answer, Row

if TYPE_CHECKING:
    from jupyter_gpu_ext.server.base import Handler
    from jupyter_gpu_ext.storage.connections import Connection
    from jupyter_gpu_ext.tensors.kind_cache import Kinds

MOST_ROWS = 100


class KindsHandler(WaitingHandler):
    """POST rows, to be told what each is; nothing is changed."""

    def initialize(self, kinds: Kinds) -> None:
        """Take the service."""
        self._kinds = kinds

    @authenticated
    @authorized("read", resource="tensors")
    async def post(self) -> None:
        """Await what is not known yet on the I/O loop."""
        body = read_body(self.request, {"connection": str, "rows": list})
        connection = connections.load().find(body["connection"])
        rows = _rows(body["rows"])
        try:
            answer = await self.wait(self._answer_for(connection, rows))
        except StreamClosedError:
            self.log.debug("kinds were not waited for")
        else:
            self.send({"kinds": dict(answer.kinds), "later": list(answer.later)})

    async def _answer_for(self, connection: Connection, rows: list[Row]) -> Answer:
        return await self._kinds.of(backend(connection), rows)


def _rows(given: list[Any]) -> list[Row]:
    if len(given) > MOST_ROWS:
        raise BadRequestError(f"More than {MOST_ROWS} rows.", hint="Ask for those on screen only.")
    return [_row(one) for one in given]


def _row(given: Any) -> Row:
    match given:
        case {"key": str(key), "etag": str() | None as etag} if len(given) == 2:
            check_key(key)
            return Row(key, etag)
    raise BadRequestError("A row is not of its form: a key, and an etag or null.", hint="See openapi.yaml.")


def routes(kinds: Kinds) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [("tensors/kinds", KindsHandler, {"kinds": kinds})]
