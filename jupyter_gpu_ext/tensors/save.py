"""Write tensors to storage as a stream: never on disk, never as a whole in memory, whole or not at all."""

from __future__ import annotations

import asyncio
import sys
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.loop import LOOP, ahead
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.writer import open_writer
from jupyter_gpu_ext.tensors.save_plan import find_format, make_plan
from jupyter_gpu_ext.tensors.sources import Room
from jupyter_gpu_ext.text import format_bytes, format_count, format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_gpu_ext.storage.writer import Writer
    from jupyter_gpu_ext.tensors.save_plan import SavePlan
    from jupyter_gpu_ext.tensors.sources import Source

# Less than this is copied sooner than a thread is asked to.
_SMALL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a save wrote; prints as one line.

    Attributes
    ----------
    sha256 : str
        Of the object's bytes, in hex.
    """

    url: str
    format: str
    tensor_count: int
    size_bytes: int
    sha256: str
    seconds: float

    def __str__(self) -> str:
        rate = format_bytes(self.size_bytes / max(self.seconds, 1e-6))
        return (
            f"{self.url}: {format_count(self.tensor_count, 'tensor')}, {format_bytes(self.size_bytes)}, "
            f"{format_duration(self.seconds)}, {rate}/s"
        )

    __repr__ = __str__


def save(
    value: Any,
    url: str,
    *,
    format: str | None = None,  # noqa: A002 -- as in pandas and torch
    overwrite: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Saved:
    """Write tensors to storage, without local disk and with some blocks of 8 MiB of host memory beside the value.

    Parameters
    ----------
    value : object
        For .safetensors a flat dict of tensors or arrays; for .npy one of them; for .pt what torch.save takes,
        as far as it is tensors and plain data.
    url : str
        'connection://key', or the path of a local file.
    format : {'safetensors', 'pt', 'npy'}, optional
        Without it the end of the name says it: .safetensors; .pt, .pth, .bin, .ckpt; .npy.
    overwrite : bool
        Replace the object that is there; without it, what is there stays.
    report : callable
        Called with the progress five times a second, in the caller's thread.

    Returns
    -------
    Saved
        Prints as one line.

    Raises
    ------
    BadRequestError
        When the format cannot hold the value; before any byte is sent.
    ExistsError
        Without `overwrite`, when the object is there.
    DeniedError, UnreachableError, ObjectChangedError
        When storage does not take it; what was there before is there still.
    """
    started = time.monotonic()
    key = urls.parse(url).key
    if not key or key.endswith("/"):
        raise BadRequestError("An object needs a name.", hint="For example weights://run7/step100.safetensors")
    plan = make_plan(value, find_format(key, format))
    finish_devices()
    progress = Progress(plan.size_bytes)
    written = write_plan(plan, str(url), overwrite=overwrite, progress=progress)
    writer = LOOP.run(written, tick=lambda: report(progress))
    return Saved(
        url=writer.shown,
        format=plan.format,
        tensor_count=plan.tensor_count,
        size_bytes=writer.size_bytes,
        sha256=writer.sha256,
        seconds=time.monotonic() - started,
    )


def finish_devices() -> None:
    """Wait for what the accelerator still computes: the slices are copied by other threads, on other streams."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.accelerator.is_available():
        torch.accelerator.synchronize()


async def write_plan(plan: SavePlan, url: str, *, overwrite: bool, progress: Progress | None = None) -> Writer:
    """Send the parts of a plan and make the object; return its writer.

    Raises
    ------
    GpuExtError
        The first fault; the upload is given up.
    """
    writer = await open_writer(url, overwrite=overwrite, size_bytes=plan.size_bytes)
    try:
        await _send(plan, _Sink(writer, progress or Progress(plan.size_bytes), checksums=plan.checksums))
        await writer.commit()
    except BaseException:
        await asyncio.shield(writer.abort())
        raise
    return writer


async def _send(plan: SavePlan, sink: _Sink) -> None:
    parts = plan.parts()
    part: Any = next(parts, None)
    while part is not None:
        crc32 = await (sink.take(part, 0) if isinstance(part, bytes) else sink.take_all(part))
        try:
            part = parts.send(crc32)
        except StopIteration:
            return


class _Sink:
    """Hands slices to the writer, the next one on its way to the host meanwhile."""

    def __init__(self, writer: Writer, progress: Progress, *, checksums: bool) -> None:
        self._writer = writer
        self._progress = progress
        self._checksums = checksums
        self._rooms = (Room(), Room())

    async def take(self, data: bytes | memoryview, crc32: int) -> int:
        """Write `data`; return the CRC-32 that goes on from `crc32`."""
        if self._checksums:
            small = len(data) < _SMALL_BYTES
            crc32 = zlib.crc32(data, crc32) if small else await asyncio.to_thread(zlib.crc32, data, crc32)
        await self._writer.write(data)
        self._progress.done_bytes += len(data)
        return crc32

    async def take_all(self, source: Source) -> int:
        """Write all of a source; return its CRC-32."""
        crc32 = 0
        if len(source) < _SMALL_BYTES:
            for read in source.slices():
                crc32 = await self.take(read(self._rooms[0]), crc32)
            return crc32
        # Two at a time and two rooms: a room is filled again only after its slice was taken.
        reads = (asyncio.to_thread(read, self._rooms[at % 2]) for at, read in enumerate(source.slices()))
        async for data in ahead(reads, 2):
            crc32 = await self.take(data, crc32)
        return crc32
