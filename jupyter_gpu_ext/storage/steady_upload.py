"""An upload that survives faults: blocks are sent again, and a commit whose answer was lost is recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from jupyter_gpu_ext.errors import GpuExtError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.models import Entry, Upload, WritableBackend
    from jupyter_gpu_ext.storage.steady import Steady

# Beside the bytes of an object: which upload made it.
UPLOAD = "upload"
SHA256 = "sha256"


class SteadyUpload:
    """The calls of `inner`, patiently."""

    def __init__(self, backend: Steady, key: str, inner: Upload) -> None:
        self.id = inner.id
        self.block_bytes = inner.block_bytes
        self.inner = inner
        self._backend = backend
        self._key = key

    async def put(self, index: int, data: bytes | memoryview) -> None:
        """Write block `index`; the same index again replaces it."""
        await self._backend.patiently(lambda: self.inner.put(index, data))

    async def received(self) -> set[int]:
        """Return the blocks that the provider holds now."""
        return await self._backend.patiently(self.inner.received)

    async def commit(self, *, metadata: Mapping[str, str]) -> Entry:
        """Make the object, at once and under the condition of `begin`.

        A commit whose answer was lost fails when it is sent again: its blocks are gone and its condition
        does not hold any more. The object says which upload made it, so that this is told from a real fault.
        """
        marked = {**metadata, UPLOAD: self.id}

        async def attempt() -> Entry:
            try:
                return await self.inner.commit(metadata=marked)
            except GpuExtError:
                if (made := await self._made(marked)) is not None:
                    return made
                raise

        return await self._backend.patiently(attempt)

    async def abort(self) -> None:
        """Give up: nothing of the upload can be committed any more."""
        await self._backend.patiently(self.inner.abort)

    async def _made(self, marked: Mapping[str, str]) -> Entry | None:
        # The commit holds a place of the account's limiter: asking for a second one could wait for ever.
        backend = cast("WritableBackend", self._backend.inner)
        try:
            kept = await backend.metadata(self._key)
            entry = await backend.head(self._key)
        except NotFoundError:
            return None
        mine = all(kept.get(name) == marked.get(name) for name in (UPLOAD, SHA256))
        return entry if mine else None
