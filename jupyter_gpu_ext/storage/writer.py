"""Write an object of any length: blocks go out side by side, and nothing is to be seen until the last step."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, ExpiredError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.backends import resolve, writable
from jupyter_gpu_ext.storage.connections import PROTOCOLS, Connection
from jupyter_gpu_ext.storage.steady_upload import SHA256
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from jupyter_gpu_ext.storage.models import Entry, Upload
    from jupyter_gpu_ext.storage.steady import Steady

# With the block that is being filled, five are in memory at most.
_BLOCKS_AT_A_TIME = 4


class Writer:
    """One object being written; lives on the I/O loop.

    Parameters
    ----------
    shown : str
        The URL for messages.
    held : collection of int
        Blocks that an earlier run sent; they are hashed and not sent again.

    Attributes
    ----------
    size_bytes : int
        Bytes taken so far.
    """

    def __init__(self, shown: str, upload: Upload, held: Collection[int] = ()) -> None:
        self.shown = shown
        self.size_bytes = 0
        self._upload = upload
        self._held = held
        self._block = bytearray()
        self._next = 0
        self._digest = hashlib.sha256()
        self._gate = asyncio.Semaphore(_BLOCKS_AT_A_TIME)
        self._sending: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None
        self._ended = ""

    @property
    def id(self) -> str:
        """The upload's id: hand it to `open_writer` to go on after a restart."""
        return self._upload.id

    @property
    def sha256(self) -> str:
        """The digest of the bytes sent so far, in hex: all of them after `commit`."""
        return self._digest.hexdigest()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take `data`; wait while enough blocks are on their way.

        Raises
        ------
        ExpiredError
            When the credential has ended; the blocks that were sent stay, and `id` finds them again.
        GpuExtError
            Any other fault of a block; the upload is given up.
        """
        self._check_open()
        left = memoryview(data).cast("B")
        try:
            while left:
                room = self._upload.block_bytes - len(self._block)
                self._block += left[:room]
                self.size_bytes += len(left[:room])
                left = left[room:]
                if len(self._block) == self._upload.block_bytes:
                    await self._send()
        except BaseException as error:
            await asyncio.shield(self._stop(error))
            raise

    async def commit(self) -> Entry:
        """Send what is left and make the object, under the condition of its beginning.

        Raises
        ------
        ExistsError, ObjectChangedError
            When somebody else wrote the object meanwhile; theirs stays.
        """
        self._check_open()
        try:
            if self._block:
                await self._send()
            while self._sending:
                await asyncio.wait(self._sending)
            self._raise_fault()
            entry = await self._upload.commit(metadata={SHA256: self._digest.hexdigest()})
        except BaseException as error:
            await asyncio.shield(self._stop(error))
            raise
        self._ended = "committed"
        return entry

    async def abort(self) -> None:
        """Give up: what the object was before, it stays."""
        if self._ended:
            return
        await self._halt("given up")
        await self._upload.abort()

    async def _stop(self, error: BaseException) -> None:
        if not isinstance(error, ExpiredError):
            await self.abort()
        elif not self._ended:
            # What the provider has, it keeps: whoever renews the credential goes on from there.
            await self._halt("interrupted")
            error.hint += f" What was sent is kept: resume_id={self.id!r} goes on with it."

    async def _halt(self, how: str) -> None:
        self._ended = how
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self) -> None:
        # As bytes: a backend whose client wants these need not copy the block once more.
        block, self._block = bytes(self._block), bytearray()
        index, self._next = self._next, self._next + 1
        await asyncio.to_thread(self._digest.update, block)
        if index in self._held:
            return
        await self._gate.acquire()
        self._raise_fault()
        task = asyncio.create_task(self._upload.put(index, block))
        self._sending.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._gate.release()
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._fault = self._fault or fault

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _check_open(self) -> None:
        self._raise_fault()
        if self._ended:
            raise BadRequestError(f"{self.shown} is {self._ended}.", hint="Open it again.")


async def open_writer(
    url: str, *, overwrite: bool = False, size_bytes: int | None = None, resume_id: str | None = None
) -> Writer:
    """Begin to write the object of a URL.

    Parameters
    ----------
    overwrite : bool
        Replace the object that is there now; without it, an object that is there stays.
    size_bytes : int, optional
        How long the object will be; the commit checks it.
    resume_id : str, optional
        `Writer.id` of an upload that was cut off: write the same bytes again, only what is missing is sent.

    Raises
    ------
    ExistsError
        Without `overwrite`, when the object is there.
    DeniedError
        When the connection is read-only.
    NotFoundError
        When nothing is left of the upload `resume_id`.
    """
    backend, key = writable_target(url)
    upload = await backend.begin(key, overwrite=overwrite, size_bytes=size_bytes, upload_id=resume_id)
    held = await upload.received() if resume_id is not None else set()
    return Writer(printable(redact(str(url))), upload, held)


def writable_target(text: Any) -> tuple[Steady, str]:
    """Return the backend that may write to a URL, and the key.

    Raises
    ------
    DeniedError
        When the connection is read-only.
    """
    url = urls.parse(text)
    if url.scheme == "file":
        return writable(Connection(name="file", root="/", read_only=False)), url.key.lstrip("/")
    if url.scheme in PROTOCOLS:
        return resolve(url)
    return writable(connections.load().find(url.scheme)), url.key
