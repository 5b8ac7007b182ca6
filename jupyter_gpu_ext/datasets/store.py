"""The objects of a run's checkpoints: a step's data first, then the pointer, then what is not needed any more."""

from __future__ import annotations

import asyncio
import hashlib
import warnings
from typing import TYPE_CHECKING

from jupyter_gpu_ext.datasets import pointer
from jupyter_gpu_ext.datasets.pointer import Step
from jupyter_gpu_ext.errors import GpuExtError, NotFoundError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.loop import ahead
from jupyter_gpu_ext.storage.ranges import ByteRange, split
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.writer import open_writer, writable_target
from jupyter_gpu_ext.tensors.save import write_plan
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.save_plan import SavePlan

_PIECE_BYTES = 8 << 20
_PIECES_AHEAD = 4


class Store:
    """One folder that one run writes to; its methods run on the I/O loop.

    Parameters
    ----------
    url : str
        The folder.
    keep : int
        How many steps stay.
    """

    def __init__(self, url: str, *, keep: int) -> None:
        folder = str(urls.parse(url))
        self._folder = folder if folder.endswith("/") else f"{folder}/"
        self._keep = keep

    @property
    def shown(self) -> str:
        """The folder for messages."""
        return printable(redact(self._folder))

    def url(self, name: str) -> str:
        """Return the URL of an object in the folder."""
        return f"{self._folder}{name}"

    async def steps(self) -> tuple[Step, ...]:
        """Return the steps that the pointer names, newest first; none where there is no pointer yet."""
        try:
            reader = await open_reader(self.url(pointer.NAME))
        except NotFoundError:
            return ()
        return pointer.from_bytes(await reader.read_all(), reader.shown)

    async def damage(self, step: Step) -> str:
        """Read a step's object through; say what is wrong with it, '' when it is what was written."""
        try:
            reader = await open_reader(self.url(step.name))
        except NotFoundError:
            return "is not there"
        if reader.version.size_bytes != step.size_bytes:
            return f"has {reader.version.size_bytes:,} bytes, {step.size_bytes:,} were written"
        return "" if await _sha256(reader) == step.sha256 else "is not what was written: a byte was changed"

    async def put(self, step: int, plan: SavePlan) -> None:
        """Write a step; it counts from the moment when the pointer names it.

        Raises
        ------
        GpuExtError
            The pointer then names the step before.
        """
        name = pointer.new_name(step)
        writer = await write_plan(plan, self.url(name), overwrite=False)
        new = Step(step=step, name=name, size_bytes=writer.size_bytes, sha256=writer.sha256)
        steps = pointer.moved(await self.steps(), new, keep=self._keep)
        await self._point(steps)
        await self._tidy({one.name for one in steps})

    async def _point(self, steps: tuple[Step, ...]) -> None:
        raw = pointer.to_bytes(steps)
        writer = await open_writer(self.url(pointer.NAME), overwrite=True, size_bytes=len(raw))
        await writer.write(raw)
        await writer.commit()

    async def _tidy(self, needed: set[str]) -> None:
        """Remove the steps that are not needed, and those whose writer was killed before it moved the pointer."""
        backend, prefix = writable_target(self._folder)
        try:
            marker, old = None, list[str]()
            while True:
                page = await backend.list_page(prefix, marker=marker, limit=1000)
                old += [one.key for one in page.entries if pointer.is_step(one.name) and one.name not in needed]
                if page.marker is None or page.marker == marker:
                    break
                marker = page.marker
            for key in old:
                await backend.delete(key)
        except GpuExtError as error:
            warnings.warn(f"Old checkpoints of {self.shown} were not removed: {error}", stacklevel=2)


async def _sha256(reader: Reader) -> str:
    """Return the digest of an object, a few pieces in memory at a time."""
    digest, rest = hashlib.sha256(reader.head), ByteRange(len(reader.head), reader.version.size_bytes)
    ranges = split([rest], most_bytes=_PIECE_BYTES) if rest.size_bytes > 0 else []

    async def piece(one: ByteRange) -> bytearray:
        data = bytearray(one.size_bytes)
        await reader.read_into(one.start, memoryview(data))
        return data

    async for data in ahead((piece(one) for one in ranges), _PIECES_AHEAD):
        await asyncio.to_thread(digest.update, data)
    return digest.hexdigest()
