"""`/transfers`, `/storage/deletions`, `/storage/share`: what asks for more than one answer, or for a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.server.base import Handler
from jupyter_gpu_ext.server.body import read_body
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import writable
from jupyter_gpu_ext.storage.jobs import Job, Jobs
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.share import share
from jupyter_gpu_ext.storage.url import check_key
from jupyter_gpu_ext.storage.walk import walk
from jupyter_gpu_ext.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MOST_KEYS = 1000


class _JobsHandler(Handler):
    def initialize(self, jobs: Jobs) -> None:
        """Take the jobs of the composition root."""
        self._jobs = jobs


class TransfersHandler(_JobsHandler):
    """GET the jobs of this server."""

    @authenticated
    @authorized("read", resource="storage")
    async def get(self) -> None:
        """Answer from what is known."""
        self.send({"transfers": [job.to_json() for job in self._jobs.list()]})


class TransferHandler(_JobsHandler):
    """DELETE cancels a job."""

    @authenticated
    @authorized("write", resource="storage")
    async def delete(self, identity: str) -> None:
        """Stop it; what it has done stays done."""
        await LOOP.call(self._jobs.cancel(identity))
        self.send({})


class DeletionsHandler(_JobsHandler):
    """POST deletes many objects, or all below a prefix, as a job."""

    @authenticated
    @authorized("write", resource="storage")
    async def post(self) -> None:
        """Start the job and answer with its id."""
        body = read_body(self.request, {"connection": str}, {"keys": list, "prefix": str})
        self.send({"id": (await LOOP.call(delete_many(self._jobs, **body))).id})


async def delete_many(jobs: Jobs, connection: str, keys: list[Any] | None = None, prefix: str | None = None) -> Job:
    """Start deleting `keys`, or everything below `prefix`.

    Raises
    ------
    BadRequestError
        Unless exactly one of both is given; a prefix must end with a slash, so that `run/` spares `run2/`.
    """
    if (keys is None) == (prefix is None):
        raise BadRequestError("Give keys or a prefix.", hint="See openapi.yaml.")
    found = writable(connections.load().find(connection))
    if prefix is not None:
        if not prefix.endswith("/"):
            raise BadRequestError("A prefix ends with a slash.", hint="Name the folder: runs/old/")
        check_key(prefix)
        title = f"Delete {connection}://{printable(prefix)}"
        return await jobs.start(Job("delete", title), _below(found, prefix), found.delete)
    names = _checked(keys or [])
    return await jobs.start(Job("delete", f"Delete {format_count(len(names), 'object')}"), _each(names), found.delete)


def _checked(keys: list[Any]) -> list[str]:
    if not 1 <= len(keys) <= _MOST_KEYS or not all(isinstance(key, str) and key for key in keys):
        raise BadRequestError(f"keys are 1 to {_MOST_KEYS} names.", hint="See openapi.yaml.")
    for key in keys:
        check_key(key)
    return keys


async def _below(backend: Any, prefix: str) -> AsyncIterator[str]:
    async for entry in walk(backend, prefix):
        yield entry.key


async def _each(keys: list[str]) -> AsyncIterator[str]:
    for key in keys:
        yield key


class ShareHandler(Handler):
    """POST signs a link to one object."""

    @authenticated
    @authorized("write", resource="storage")
    async def post(self) -> None:
        """Answer with the link, which is the one secret that is asked for here."""
        body = read_body(self.request, {"connection": str, "key": str, "minutes": int})
        check_key(body["key"])
        connection = connections.load().find(body["connection"])
        link = await LOOP.call(share(connection, body["key"], minutes=body["minutes"]))
        self.send({"url": link.url, "expires_at": link.expires_at.isoformat()})


def routes(jobs: Jobs) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    """Return the routes below the API's prefix."""
    services = {"jobs": jobs}
    return [
        ("transfers", TransfersHandler, services),
        (r"transfers/([0-9a-f]{32})", TransferHandler, services),
        ("storage/deletions", DeletionsHandler, services),
        ("storage/share", ShareHandler, {}),
    ]
