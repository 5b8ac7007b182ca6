"""`/storage/uploads`: a session, its blocks, its commit; the object is invisible until the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.storage.api import entry_json
from jupyter_gpu_ext.storage.loop import LOOP

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.uploads import Uploads


class _UploadHandler(Handler):
    def initialize(self, uploads: Uploads) -> None:
        """Take the sessions of the composition root."""
        self._uploads = uploads


class UploadsHandler(_UploadHandler):
    """POST opens a session."""

    @authenticated
    @authorized("write", resource="storage")
    async def post(self) -> None:
        """Open or resume, and say which blocks are there."""
        body = read_body(
            self.request,
            {"connection": str, "key": str, "size_bytes": int},
            {"overwrite": bool, "resume_id": str},
        )
        self.send(await LOOP.call(self._opened(body)))

    async def _opened(self, body: dict[str, Any]) -> dict[str, Any]:
        identity, session = await self._uploads.open(**body)
        received = sorted(await session.upload.received())
        return {"id": identity, "block_bytes": session.upload.block_bytes, "received": received}


class UploadHandler(_UploadHandler):
    """POST commits a session, DELETE gives it up."""

    @authenticated
    @authorized("write", resource="storage")
    async def post(self, identity: str) -> None:
        """Make the object visible."""
        self.send(entry_json(await LOOP.call(self._uploads.commit(identity))))

    @authenticated
    @authorized("write", resource="storage")
    async def delete(self, identity: str) -> None:
        """Give the upload up."""
        await LOOP.call(self._uploads.abort(identity))
        self.send({})


class BlockHandler(_UploadHandler):
    """PUT one block of a session."""

    @authenticated
    @authorized("write", resource="storage")
    async def put(self, identity: str, index: str) -> None:
        """Take the block."""
        received = await LOOP.call(self._uploads.put(identity, int(index), self.request.body))
        self.send({"received": sorted(received)})


def routes(uploads: Uploads) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    services = {"uploads": uploads}
    return [
        ("storage/uploads", UploadsHandler, services),
        (r"storage/uploads/([0-9a-f]{32})", UploadHandler, services),
        (r"storage/uploads/([0-9a-f]{32})/(\d{1,6})", BlockHandler, services),
    ]
