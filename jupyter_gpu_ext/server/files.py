"""`/storage/object`, `/storage/download`, `/storage/folders`: one object at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError
from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.server.byterange import requested
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.api import entry_json
from jupyter_gpu_ext.storage.backends import backend, writable
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.ranges import ByteRange, split
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.url import check_key
from jupyter_gpu_ext.text import redact

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.models import Entry
    from jupyter_gpu_ext.storage.reader import Reader

_PIECE_BYTES = 4 << 20
# A header's plain file name: what every system can hold, and no quote or line break.
_PLAIN = re.compile(r"[^A-Za-z0-9 ._-]")


class ObjectHandler(Handler):
    """One object: its properties, its removal, a copy of it or a new name."""

    @authenticated
    @authorized("read", resource="storage")
    async def get(self) -> None:
        """Await the properties on the I/O loop."""
        connection = connections.load().find(self.text_argument("connection"))
        check_key(key := self.text_argument("key"))
        self.send(entry_json(await LOOP.call(backend(connection).head(key))))

    @authenticated
    @authorized("write", resource="storage")
    async def delete(self) -> None:
        """Delete one object; with an etag only that version."""
        connection = connections.load().find(self.text_argument("connection"))
        check_key(key := self.text_argument("key"))
        etag = self.text_argument("etag", "") or None
        await LOOP.call(writable(connection).delete(key, etag=etag))
        self.send({})

    @authenticated
    @authorized("write", resource="storage")
    async def patch(self) -> None:
        """Copy or rename one object."""
        body = read_body(self.request, {"connection": str, "key": str, "to": str}, {"overwrite": bool, "move": bool})
        self.send(entry_json(await LOOP.call(copy(**body))))


async def copy(connection: str, key: str, to: str, *, overwrite: bool = False, move: bool = False) -> Entry:
    """Copy an object, and remove the first when it is a move; the first stays until the second is whole.

    Raises
    ------
    ExistsError
        When `to` exists and `overwrite` is false.
    """
    check_key(key)
    check_key(to)
    if key == to:
        raise BadRequestError("Both names are the same.", hint="Choose another one.")
    found = writable(connections.load().find(connection))
    before = await found.head(key)
    entry = await found.copy(key, to, overwrite=overwrite)
    if move:
        await found.delete(key, etag=before.etag)
    return entry


class FolderHandler(Handler):
    """POST a new folder."""

    @authenticated
    @authorized("write", resource="storage")
    async def post(self) -> None:
        """Write the empty object that keeps a folder alive where the provider has none."""
        body = read_body(self.request, {"connection": str, "key": str})
        check_key(key := body["key"])
        if not key.endswith("/") or not key.strip("/"):
            raise BadRequestError("A folder's name ends with a slash.", hint="For example runs/new/")
        found = writable(connections.load().find(body["connection"]))
        self.send(entry_json(await LOOP.call(found.make_folder(key))))


class DownloadHandler(Handler):
    """GET the bytes of one object, streamed."""

    @authenticated
    @authorized("read", resource="storage")
    async def get(self) -> None:
        """Stream one object, or one range of it, as an attachment."""
        # As Jupyter's own files: another site's page must not make this browser fetch them.
        self.check_xsrf_cookie()
        connection = connections.load().find(self.text_argument("connection"))
        check_key(key := self.text_argument("key"))
        reader = await LOOP.call(open_reader(f"{connection.name}://{key}"))
        await self._stream(reader, key, connection.name)

    async def _stream(self, reader: Reader, key: str, connection: str) -> None:
        size = reader.version.size_bytes
        span = requested(self.request.headers.get("Range"), size)
        self._describe(key, span or ByteRange(0, size), size if span else None)
        try:
            for piece in split([span or ByteRange(0, size)], most_bytes=_PIECE_BYTES):
                self.write(await LOOP.call(reader.read(piece.start, piece.stop)))
                await self.flush()
        except GpuExtError as error:
            if not self._headers_written:
                raise
            # What was sent is no whole object: the connection ends before the length that was announced.
            self.log.warning("download of %s given up: %s", connection, redact(str(error)))
            self.detach().close()
        except StreamClosedError:
            # The person closed the tab; there is nobody left to tell.
            self.log.debug("download ended by the browser")

    def _describe(self, key: str, span: ByteRange, whole_bytes: int | None) -> None:
        name = key.rstrip("/").rpartition("/")[2] or "download"
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header(
            "Content-Disposition",
            f"attachment; filename=\"{_PLAIN.sub('_', name)}\"; filename*=UTF-8''{quote(name, safe='')}",
        )
        self.set_header("Content-Security-Policy", "sandbox; default-src 'none'")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Content-Length", str(span.size_bytes))
        if whole_bytes is not None:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {span.start}-{span.stop - 1}/{whole_bytes}")


def routes() -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    return [
        ("storage/object", ObjectHandler, {}),
        ("storage/folders", FolderHandler, {}),
        ("storage/download", DownloadHandler, {}),
    ]
