"""Run a prepared load: a way to each device, the ranges, what was measured, and nothing left behind by a fault."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors.assembly import Assembly
from jupyter_gpu_ext.tensors.copies import copies_to
from jupyter_gpu_ext.tensors.device import ring_bytes
from jupyter_gpu_ext.tensors.open import open_tensors
from jupyter_gpu_ext.tensors.precision import converted_bytes
from jupyter_gpu_ext.tensors.read import read_plan
from jupyter_gpu_ext.tensors.receipt import Receipt
from jupyter_gpu_ext.tensors.stages import LoadProgress
from jupyter_gpu_ext.tensors.zarr_load import open_either
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_gpu_ext.tensors.copies import Copies
    from jupyter_gpu_ext.tensors.open import Opened
    from jupyter_gpu_ext.tensors.prepare import Prepared
    from jupyter_gpu_ext.tensors.zarr_open import ZarrNode

# A shorter load has no bottleneck worth a word.
_SHORT_SECONDS = 1.0


def open_file(url: str, *, keys: Sequence[str], cache: bool | None, report: Callable[[Progress], None]) -> Opened:
    """Read the headers of the file that a URL means, as far as the keys need them."""
    return LOOP.run(open_tensors(str(url), keys=keys, cache=cache), tick=lambda: report(Progress(total_bytes=0)))


def open_any(
    url: str, *, keys: Sequence[str], cache: bool | None, report: Callable[[Progress], None]
) -> Opened | ZarrNode:
    """Do the same, where it may be a Zarr store."""
    return LOOP.run(open_either(str(url), keys=keys, cache=cache), tick=lambda: report(Progress(total_bytes=0)))


def ways(prepared: Prepared) -> dict[str, Copies]:
    """Return a way to each device that the load goes to."""
    return {device: copies_to(device) for device in dict.fromkeys(prepared.placed.values())}


def new_assembly(
    prepared: Prepared, copies: dict[str, Copies], landed: Callable[[str], None] = lambda _: None
) -> Assembly:
    """Return the assembly of a load that begins."""
    shown = printable(prepared.file.url)
    return Assembly(prepared.plan, copies, prepared.placed, shown, dtypes=prepared.changed, landed=landed)


def fetch(
    opened: Opened,
    prepared: Prepared,
    assembly: Assembly,
    copies: dict[str, Copies],
    report: Callable[[Progress], None],
) -> None:
    """Bring what is missing of an assembly; its bytes can be used when this returns."""
    progress = LoadProgress(prepared.plan.bytes_read, assembly.taken_bytes, beforehand=prepared.verdict)

    def tick() -> None:
        progress.notice, progress.stage = opened.notice, assembly.stages.bottleneck
        report(progress)

    room = ring_bytes(os.environ, on_device=assembly.pins)
    LOOP.run(read_plan(opened.readers, assembly, progress, ring_bytes=room), tick=tick)
    for one in copies.values():
        one.join()


def receipt(opened: Opened, prepared: Prepared, assembly: Assembly, seconds: float, *notes: str) -> Receipt:
    """Return what was done."""
    return Receipt(
        url=opened.file.url,
        etag=opened.file.etag,
        device=prepared.shown,
        tensor_count=len(prepared.plan.tensors),
        size_bytes=converted_bytes(prepared.plan, prepared.changed),
        bytes_read=opened.bytes_read,
        requests=opened.requests,
        retries=opened.retries,
        checked_bytes=assembly.checksums.checked_bytes,
        seconds=seconds,
        bytes_cached=opened.bytes_cached,
        bottleneck=assembly.stages.bottleneck if seconds >= _SHORT_SECONDS else "",
        notes=(*opened.file.notes, *notes),
    )
