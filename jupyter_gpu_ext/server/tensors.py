"""`/tensors`: what is inside a file, what a load would cost. Reads headers, imports no torch."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.url import check_key
from jupyter_gpu_ext.tensors.api import read_info, read_plan
from jupyter_gpu_ext.tensors.header import SERVER_MOST_BYTES
from jupyter_gpu_ext.tensors.preview import read_preview

_MOST_KEYS = 500


class _ObjectHandler(Handler):
    def url(self) -> str:
        """Return the URL of the object that the request names."""
        connection = connections.load().find(self.text_argument("connection"))
        check_key(key := self.text_argument("key"))
        return f"{connection.name}://{key}"


class InfoHandler(_ObjectHandler):
    """GET what is inside a tensor file or a Zarr store."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Await the header on the I/O loop."""
        self.send((await LOOP.call(read_info(self.url(), most_bytes=SERVER_MOST_BYTES))).to_json())


class PlanHandler(_ObjectHandler):
    """GET what a load would request and hold."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Await the header on the I/O loop, plan from it."""
        select, raw = self.text_argument("select", ""), self._raw()
        plan = read_plan(self.url(), self._keys(), select=select, raw=raw, most_bytes=SERVER_MOST_BYTES)
        self.send((await LOOP.call(plan)).to_json())

    def _raw(self) -> bool:
        found = self.text_argument("raw", "false")
        if found not in ("true", "false"):
            raise BadRequestError("raw is neither true nor false.", hint="See openapi.yaml.")
        return found == "true"

    def _keys(self) -> list[str]:
        keys = self.text_arguments("keys")
        if len(keys) > _MOST_KEYS:
            raise BadRequestError(f"More than {_MOST_KEYS} keys.", hint="Use globs.")
        return keys


class PreviewHandler(_ObjectHandler):
    """GET the beginning of an object: text, a table or a picture."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Await a bounded read on the I/O loop."""
        self.send((await LOOP.call(read_preview(self.url()))).to_json())


def routes() -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [
        ("tensors/info", InfoHandler, {}),
        ("tensors/plan", PlanHandler, {}),
        ("tensors/preview", PreviewHandler, {}),
    ]
