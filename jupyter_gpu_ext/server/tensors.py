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
from jupyter_gpu_ext.tensors.chunk_map import read_chunk_map
from jupyter_gpu_ext.tensors.header import SERVER_MOST_BYTES
from jupyter_gpu_ext.tensors.preview import read_preview

_MOST_KEYS = 500


class ObjectHandler(Handler):
    """What is asked of one object."""

    def url(self) -> str:
        """Return the URL of the object that the request names."""
        connection = connections.load().find(self.text_argument("connection"))
        check_key(key := self.text_argument("key"))
        return f"{connection.name}://{key}"


class InfoHandler(ObjectHandler):
    """GET what is inside a tensor file, an HDF5 file or a Zarr store."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Await the header on the I/O loop."""
        info = read_info(self.url(), most_bytes=SERVER_MOST_BYTES, deep=self.flag_argument("deep", default=True))
        self.send((await LOOP.call(info)).to_json())


class PlanHandler(ObjectHandler):
    """GET what a load would request and hold."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Await the header on the I/O loop, plan from it."""
        select, raw = self.text_argument("select", ""), self.flag_argument("raw")
        plan = read_plan(self.url(), self._keys(), select=select, raw=raw, most_bytes=SERVER_MOST_BYTES)
        self.send((await LOOP.call(plan)).to_json())

    def _keys(self) -> list[str]:
        keys = self.text_arguments("keys")
        if len(keys) > _MOST_KEYS:
            raise BadRequestError(f"More than {_MOST_KEYS} keys.", hint="Use globs.")
        return keys


class ChunksHandler(ObjectHandler):
    """GET which chunks of a Zarr array are stored, and which a selection touches."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Await the metadata and a bounded listing on the I/O loop."""
        path, select = self.text_argument("path", ""), self.text_argument("select", "")
        self.send((await LOOP.call(read_chunk_map(self.url(), path, select))).to_json())


class PreviewHandler(ObjectHandler):
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
        ("tensors/chunks", ChunksHandler, {}),
        ("tensors/preview", PreviewHandler, {}),
    ]
