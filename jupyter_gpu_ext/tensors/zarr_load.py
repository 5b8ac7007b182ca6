"""Load Zarr arrays to a device, and tell a URL that means a Zarr store from one that means a file."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, NotFoundError
from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.ranges import ByteRange
from jupyter_gpu_ext.tensors.copies import copies_to
from jupyter_gpu_ext.tensors.device import check_room, ring_bytes
from jupyter_gpu_ext.tensors.header import MOST_BYTES
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.models import Tensor
from jupyter_gpu_ext.tensors.open import open_tensors
from jupyter_gpu_ext.tensors.receipt import Receipt
from jupyter_gpu_ext.tensors.slab_load import Results, lay_out, read_results
from jupyter_gpu_ext.tensors.torch_build import Builder
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode, find_zarr
from jupyter_gpu_ext.tensors.zarr_store import check_memory, check_unchanged, documents_of, plan_arrays
from jupyter_gpu_ext.text import format_bytes, format_count, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.open import Opened
    from jupyter_gpu_ext.tensors.prepare import Wanted
    from jupyter_gpu_ext.tensors.slab_load import Layout
    from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan


def is_named_so(url: str) -> bool:
    """Tell whether a URL's key has a part '….zarr': then the store is looked for before an object of that name."""
    return any(part.endswith(".zarr") for part in urls.parse(url).key.split("/"))


async def find(url: str, *, deep: bool = True) -> ZarrNode | None:
    """Return the Zarr array or group that a URL means; None where there is no Zarr metadata."""
    return await find_zarr(url, deep=deep)


async def open_either(
    url: str, *, keys: Sequence[str] = (), most_bytes: int = MOST_BYTES, cache: bool | None = None, data: bool = True,
    deep: bool = True,
) -> Opened | ZarrNode:  # fmt: skip
    """Open the Zarr store or the tensor file of a URL.

    An object costs what it costs without Zarr; what is no object, and what is called '….zarr', is looked at as a store.

    Parameters
    ----------
    keys, most_bytes, cache, data
        As for `open_tensors`.
    deep
        As for `find_zarr`.

    Raises
    ------
    BadRequestError
        When `cache` is asked for a store.
    GpuExtError
        As `open_tensors`, when it is neither.
    """
    node = await find(url, deep=deep) if is_named_so(url) else None
    if node is None:
        try:
            return await open_tensors(url, keys=keys, most_bytes=most_bytes, cache=cache, data=data)
        except (NotFoundError, DeniedError, BadRequestError):
            node = None if is_named_so(url) else await _found_or_none(url, deep=deep)
            if node is None:
                raise
    if cache:
        raise BadRequestError(f"{node.shown} is a Zarr store, whose chunks are not kept.", hint="Leave out --cache.")
    return node


async def _found_or_none(url: str, *, deep: bool) -> ZarrNode | None:
    try:
        return await find(url, deep=deep)
    except (NotFoundError, DeniedError, BadRequestError):
        # What was said of the object says more.
        return None


def load_zarr(
    node: ZarrNode,
    wanted: Wanted,
    *,
    select: str,
    raw: bool,
    fit_check: bool,
    name: str,
    report: Callable[[Progress], None],
    started: float,
) -> tuple[Any, Receipt]:
    """Load what a selection chooses: one tensor of an array, a dict of a group or by `keys`.

    Parameters
    ----------
    wanted : Wanted
        One device, the arrays of a group, and the floating point type that others are converted to on the device.
    fit_check : bool
        Refuse beforehand what there is no room for.
    name : str
        What the value will be called.
    started : float
        `time.monotonic()` of the beginning.

    Raises
    ------
    DeviceError, TooLargeError
        When it does not fit; nothing was read then but metadata.
    """
    target, keys, dtype = wanted.only_target(node.shown), wanted.keys, wanted.dtype
    plan = LOOP.run(plan_arrays(node, keys, select, raw=raw), tick=lambda: report(Progress(total_bytes=0)))
    way = copies_to(target.device)
    on_device = not way.is_host
    layout = lay_out(plan, dtype, on_device=on_device, ring_bytes=ring_bytes(os.environ, on_device=on_device))
    size_bytes = layout.final_bytes(plan)
    if fit_check and not on_device:
        check_memory(size_bytes + layout.host_bytes, node.shown)
    if fit_check:
        check_room(target.device, size_bytes + layout.staging_bytes, node.shown)
    results = Results(plan, layout, way, target.device)
    LOOP.run(_read(results, progress := Progress(plan.size_bytes)), tick=lambda: _tell(node, progress, report))
    way.join()
    tensors = _tensors(results)
    HOLDINGS.add(name, node.url, target, [(one, results.storages[one].nbytes, made) for one, made in tensors.items()])
    value = next(iter(tensors.values())) if node.kind == "array" and not keys else tensors
    receipt = Receipt(
        url=node.url,
        device=target.shown,
        tensor_count=len(tensors),
        size_bytes=size_bytes,
        bytes_read=node.objects.bytes_read,
        requests=node.requests,
        retries=node.objects.tally.retries,
        checked_bytes=0,
        seconds=time.monotonic() - started,
        what=_what(plan, layout),
        notes=_notes(plan, layout),
    )
    return value, receipt


async def _read(results: Results, progress: Progress) -> None:
    await read_results(results, progress)
    await check_unchanged(results.plan)


def _tell(node: ZarrNode, progress: Progress, report: Callable[[Progress], None]) -> None:
    progress.notice = node.objects.backend.limiter.notice()
    report(progress)


def _tensors(results: Results) -> dict[str, Any]:
    spans = {name: ByteRange(0, len(one)) for name, one in results.storages.items()}
    build = Builder(results.storages, spans)
    return {name: build(_leaf(name, one, results.layout.new[name])) for name, one in results.plan.arrays.items()}


def _leaf(name: str, plan: ArrayPlan, dtype: str) -> Tensor:
    strides, step = [0] * len(plan.shape), 1
    for axis in reversed(range(len(plan.shape))):
        strides[axis] = step
        step *= max(plan.shape[axis], 1)
    return Tensor(dtype=dtype, shape=plan.shape, stride=tuple(strides), storage=name)


def _what(plan: ZarrPlan, layout: Layout) -> str:
    if len(plan.arrays) != 1:
        return ""
    ((name, one),) = plan.arrays.items()
    return f"tensor {'×'.join(map(str, one.shape)) or 'scalar'} {layout.new[name]}"


def _notes(plan: ZarrPlan, layout: Layout) -> tuple[str, ...]:
    """Say what the numbers of dates count, and when the chunks were larger than the buffers."""
    notes = [f"{format_count(len(documents_of(plan)), 'document')} of metadata unchanged at the end"]
    notes += [f"{printable(name)} counts {unit}" for name, one in plan.arrays.items() if (unit := counted(one))]
    if len(notes) > 4:
        notes[4:] = [f"{len(notes) - 4} more have dates"]
    planned = ring_bytes(os.environ, on_device=any(layout.through))
    if layout.host_bytes > planned:
        notes.append(f"up to {format_bytes(layout.host_bytes)} of host memory, as its chunks are large")
    return tuple(notes)


def counted(plan: ArrayPlan) -> str:
    """Return what the numbers of an array of dates count: 'ns since 1970-01-01'; '' where they are none."""
    unit = plan.dtype.partition("[")[2].removesuffix("]")
    if plan.dtype.startswith("datetime64"):
        return f"{unit} since 1970-01-01"
    if plan.dtype.startswith("timedelta64"):
        return unit
    units = plan.array.attributes.get("units")
    return printable(units[:80]) if isinstance(units, str) and " since " in units else ""
