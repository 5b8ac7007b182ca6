"""Uploads that come block by block from elsewhere: sessions that outlive a broken connection."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from jupyter_gpu_ext.errors import BadRequestError, NotFoundError, TooLargeError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import writable
from jupyter_gpu_ext.storage.url import check_key

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.models import Entry, Upload
    from jupyter_gpu_ext.storage.steady import Steady

_MOST_SESSIONS = 64
_IDLE_SECONDS = 24 * 3600


@dataclass(slots=True)
class Session:
    """One object being uploaded by a browser.

    Attributes
    ----------
    target : tuple
        The connection's name, the key, and whether what is there may be replaced.
    """

    backend: Steady
    target: tuple[str, str, bool]
    upload: Upload
    size_bytes: int
    used_at: float = field(default_factory=time.monotonic)

    @property
    def block_count(self) -> int:
        """Blocks that the whole object has; an empty one has none."""
        return -(-self.size_bytes // self.upload.block_bytes)

    def length(self, index: int) -> int:
        """Return how long a block must be."""
        start = index * self.upload.block_bytes
        return max(0, min(self.upload.block_bytes, self.size_bytes - start))


class Uploads:
    """The sessions that are open on this server."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    async def open(
        self, connection: str, key: str, size_bytes: int, *, overwrite: bool = False, resume_id: str = ""
    ) -> tuple[str, Session]:
        """Open a session, or find again the one that a broken connection left."""
        target = (connection, key, overwrite)
        if (known := self._sessions.get(resume_id)) is not None:
            if (known.target, known.size_bytes) != (target, size_bytes):
                raise BadRequestError("This upload was begun for another object.", hint="Start a new one.")
            await self._go_on(known)
            return resume_id, known
        check_key(key)
        if size_bytes < 0 or not key or key.endswith("/"):
            raise BadRequestError("An upload needs a name and a size.", hint="See openapi.yaml.")
        await self._make_room()
        found = writable(connections.load().find(connection))
        upload = await found.begin(key, overwrite=overwrite, size_bytes=size_bytes)
        identity = uuid4().hex
        self._sessions[identity] = Session(found, target, upload, size_bytes)
        return identity, self._sessions[identity]

    def find(self, identity: str) -> Session:
        """Return an open session.

        Raises
        ------
        NotFoundError
            When it was committed, given up, or the server was restarted since.
        """
        if identity not in self._sessions:
            raise NotFoundError("There is no such upload any more.", hint="Start it again.")
        session = self._sessions[identity]
        session.used_at = time.monotonic()
        return session

    async def put(self, identity: str, index: int, data: bytes) -> set[int]:
        """Take one block; the same one again replaces it."""
        session = self.find(identity)
        if index >= session.block_count or len(data) != session.length(index):
            raise BadRequestError(
                f"Block {index} has {len(data)} bytes.", hint=f"{session.length(index)} belong to it."
            )
        await session.upload.put(index, data)
        return await session.upload.received()

    async def commit(self, identity: str) -> Entry:
        """Make the object visible, once every block is there."""
        session = self.find(identity)
        missing = set(range(session.block_count)) - await session.upload.received()
        if missing:
            raise BadRequestError(f"{len(missing)} blocks are missing.", hint=f"The first is {min(missing)}.")
        entry = await session.upload.commit(metadata={})
        del self._sessions[identity]
        return entry

    async def abort(self, identity: str) -> None:
        """Give the upload up; nothing of it stays."""
        session = self.find(identity)
        del self._sessions[identity]
        await session.upload.abort()

    async def _go_on(self, session: Session) -> None:
        # A new secret is a new backend; the old one's uploads still ask with the old secret.
        name, key, overwrite = session.target
        now = writable(connections.load().find(name))
        if now is not session.backend:
            session.upload = await now.begin(
                key, overwrite=overwrite, size_bytes=session.size_bytes, upload_id=session.upload.id
            )
            session.backend = now

    async def _make_room(self) -> None:
        now = time.monotonic()
        for identity in [name for name, one in self._sessions.items() if now - one.used_at > _IDLE_SECONDS]:
            await self.abort(identity)
        if len(self._sessions) >= _MOST_SESSIONS:
            raise TooLargeError(f"{_MOST_SESSIONS} uploads are open.", hint="Finish or cancel some.")
