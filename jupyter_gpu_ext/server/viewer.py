"""`/tensors/entity`, `/tensors/attributes`, `/tensors/value`: what the array viewer asks for."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from jupyter_gpu_ext.errors import GpuExtError, ObjectChangedError
from jupyter_gpu_ext.server.tensors import ObjectHandler
from jupyter_gpu_ext.server.waiting import WaitingHandler
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.overview import MOST_BYTES, USUAL_BYTES
from jupyter_gpu_ext.tensors.value import open_value
from jupyter_gpu_ext.tensors.view_json import attributes_json, entity_json
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from jupyter_gpu_ext.server.base import Handler
    from jupyter_gpu_ext.server.turns import Turns
    from jupyter_gpu_ext.tensors.value import Value
    from jupyter_gpu_ext.tensors.view import View
    from jupyter_gpu_ext.tensors.view_cache import Views

_MOST_CHILDREN = 5000
_USUAL_CHILDREN = 1000
_LAST_CHILD = 10_000_000


class _ViewHandler(WaitingHandler, ObjectHandler):
    def initialize(self, views: Views, turns: Turns) -> None:
        """Take the services."""
        self._views = views
        self._turns = turns

    async def view(self) -> View:
        """Return the view that the request is about, on the I/O loop."""
        return await self._views.get(self._url, self._version)

    def read_arguments(self) -> None:
        """Read what every one of these requests says."""
        self._url, self._version = self.url(), self.text_argument("version", "")


class EntityHandler(_ViewHandler):
    """GET one group or one array."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Await headers or metadata on the I/O loop."""
        self.read_arguments()
        path, raw = self.text_argument("path", "/"), self.flag_argument("raw")
        start = self.integer_argument("start", 0, most=_LAST_CHILD)
        limit = self.integer_argument("limit", _USUAL_CHILDREN, most=_MOST_CHILDREN)

        async def entity() -> dict[str, Any]:
            return await entity_json(await self.view(), path, raw=raw, start=start, limit=limit)

        try:
            self.send(await self.wait(entity()))
        except StreamClosedError:
            self.log.debug("an entity was not waited for")


class AttributesHandler(_ViewHandler):
    """GET the attributes of a group or an array."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Await headers or metadata on the I/O loop."""
        self.read_arguments()
        path = self.text_argument("path", "/")

        async def attributes() -> dict[str, Any]:
            return attributes_json(await self.view(), path)

        try:
            self.send(await self.wait(attributes()))
        except StreamClosedError:
            self.log.debug("attributes were not waited for")


class ValueHandler(_ViewHandler):
    """GET a part of an array as bytes."""

    @authenticated
    @authorized("read", resource="tensors")
    async def get(self) -> None:
        """Stream the values; a closed connection ends the read."""
        # As a download: another site's page must not make this browser read at length.
        self.check_xsrf_cookie()
        self.read_arguments()
        path, select, stride = (self.text_argument(name, default) for name, default in _WORDS)
        raw = self.flag_argument("raw")
        most_bytes = self.integer_argument("most_bytes", USUAL_BYTES, most=MOST_BYTES)

        async def opened() -> tuple[View, Value]:
            view = await self.view()
            return view, await open_value(view, path, select=select, stride=stride, raw=raw, most_bytes=most_bytes)

        try:
            view, value = await self.wait(opened())
            async with self._turns.hold(value.held_bytes):
                await self._stream(view, value)
        except StreamClosedError:
            self.log.debug("a value was not waited for")

    async def _stream(self, view: View, value: Value) -> None:
        try:
            piece = await self.wait(_next(value))
            self._describe(view, value)
            left = value.size_bytes
            while piece is not None:
                self.write(piece)
                await self.flush()
                left -= len(piece)
                piece = await self.wait(_next(value)) if left else None
        except GpuExtError as error:
            if isinstance(error, ObjectChangedError):
                self._views.forget(view)
            if not self._headers_written:
                raise
            # What was sent is no whole value: the connection ends before the length that was announced.
            self.log.warning("values of %s given up: %s", view.shown, redact(str(error)))
            self.detach().close()
        finally:
            await LOOP.call(_close(value))

    def _describe(self, view: View, value: Value) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Length", str(value.size_bytes))
        self.set_header("X-Jupyter-Gpu-Ext-Shape", ",".join(map(str, value.shape)))
        self.set_header("X-Jupyter-Gpu-Ext-Dtype", value.dtype.str)
        self.set_header("X-Jupyter-Gpu-Ext-Version", view.version)
        self.set_header("X-Jupyter-Gpu-Ext-Read", str(value.read_bytes))


_WORDS: tuple[tuple[str, str | None], ...] = (("path", None), ("select", ""), ("stride", ""))


async def _next(value: Value) -> bytes | None:
    async for piece in value.pieces:
        return piece.tobytes()
    return None


async def _close(value: Value) -> None:
    # A read that was cancelled a moment ago is still ending, and needs no second end.
    with suppress(RuntimeError):
        await value.pieces.aclose()


def routes(views: Views, turns: Turns) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    services = {"views": views, "turns": turns}
    return [
        ("tensors/entity", EntityHandler, services),
        ("tensors/attributes", AttributesHandler, services),
        ("tensors/value", ValueHandler, services),
    ]
