"""Load a tensor file to a device: header, plan, ranges, tensors; all of it or nothing."""

from __future__ import annotations

import importlib.util
import os
import time
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NotInstalledError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.tensors.assembly import Assembly
from jupyter_gpu_ext.tensors.copies import copies_to
from jupyter_gpu_ext.tensors.device import Target, check_fit, find_target, ring_bytes
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.plan import make_plan
from jupyter_gpu_ext.tensors.precision import conversions, converted_bytes, most_bytes, parse_dtype
from jupyter_gpu_ext.tensors.read import read_plan
from jupyter_gpu_ext.tensors.receipt import Receipt
from jupyter_gpu_ext.tensors.torch_build import Builder
from jupyter_gpu_ext.tensors.tree import replace
from jupyter_gpu_ext.tensors.zarr_load import check_options, load_zarr, open_either
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_gpu_ext.tensors.open import Opened
    from jupyter_gpu_ext.tensors.plan import FetchPlan


def load(
    url: str,
    *,
    device: str = "auto",
    keys: Sequence[str] = (),
    dtype: Any = None,
    cache: bool | None = None,
    select: str = "",
    raw: bool = False,
) -> Any:
    """Load a tensor file or Zarr arrays straight to a device, without local disk unless `cache` asks for it.

    Parameters
    ----------
    url : str
        'connection://key', or the path of a local file.
    device : str
        'auto' (this process's accelerator, cpu where there is no GPU), 'cpu', or a device of torch.
    keys : sequence of str
        Globs over the dotted names of the tensors; '!GLOB' excludes. Only their bytes are read.
    dtype : str or torch.dtype, optional
        What floating point tensors are converted to, on the device; others stay as they are.
    cache : bool, optional
        True keeps the bytes on this machine and reads them from there the next time; False does neither; without
        it `JUPYTER_GPU_CACHE` decides.
    select : str
        Which part of Zarr arrays: '0:100, :, ::2' by index, 'time=2020-01:2020-03, latitude=60:30' by label.
    raw : bool
        Zarr: the stored values, without scale, offset and missing values as CF describes them.

    Returns
    -------
    object
        What the library would return: for .pt the same nested object, for safetensors a dict, for a Zarr array one
        tensor, for a Zarr group a dict; with `keys` a flat dict by dotted name. Tied weights stay tied. Dates are
        int64.

    Raises
    ------
    NotFoundError, DeniedError, UnreachableError, ObjectChangedError
        When storage does not give the object, or not the same one to the end.
    UnsupportedFormatError, TensorFormatError
        When it is no tensor file, damaged, or holds code; code from a file is never run.
    DeviceError
        When the device is not here or has no room.
    """
    return load_named(url, device=device, keys=keys, dtype=dtype, cache=cache, select=select, raw=raw)[0]


def load_named(
    url: str,
    *,
    device: str = "auto",
    keys: Sequence[str] = (),
    dtype: Any = None,
    cache: bool | None = None,
    select: str = "",
    raw: bool = False,
    name: str = "",
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[Any, Receipt]:
    """Do what `load` does, and say what was done.

    Parameters
    ----------
    name : str
        What the value will be called, for those who ask what is held.
    report : callable
        Called with the progress five times a second, in the caller's thread; a total of 0 means that the
        header is being read.
    """
    if importlib.util.find_spec("torch") is None:
        raise NotInstalledError("Loading needs torch, which this kernel does not have.", hint="%pip install torch")
    wanted = parse_dtype(dtype)
    target = find_target(device)
    # Importing torch is over by now, and is no part of the load.
    started = time.monotonic()
    opened = LOOP.run(open_either(str(url), cache=cache), tick=lambda: report(Progress(total_bytes=0)))
    if isinstance(opened, ZarrNode):
        return load_zarr(
            opened, target, keys=keys, select=select, raw=raw, dtype=wanted, name=name, report=report, started=started
        )
    check_options(select, raw=raw, shown=printable(opened.file.url))
    plan = make_plan(opened.file, keys)
    changed = conversions(plan, wanted)
    check_fit(target, most_bytes(plan, changed), printable(opened.file.url))
    assembly = _fetch(opened, plan, target, changed, report)
    build = Builder(assembly.storages, plan.spans, {key: new for key, (_, new) in changed.items()}, wanted)
    value, made = _build(opened.file.tree if not keys else dict(plan.tensors), build, assembly)
    HOLDINGS.add(name, opened.file.url, target, made)
    receipt = Receipt(
        url=opened.file.url,
        device=target.shown,
        tensor_count=len(plan.tensors),
        size_bytes=converted_bytes(plan, changed),
        bytes_read=opened.bytes_read,
        requests=opened.requests,
        retries=opened.retries,
        checked_bytes=assembly.checksums.checked_bytes,
        seconds=time.monotonic() - started,
        bytes_cached=opened.bytes_cached,
    )
    return value, receipt


def _fetch(
    opened: Opened,
    plan: FetchPlan,
    target: Target,
    changed: Mapping[str, tuple[str, str]],
    report: Callable[[Progress], None],
) -> Assembly:
    copies = copies_to(target.device)
    devices = dict.fromkeys(plan.spans, target.device)
    assembly = Assembly(plan, {target.device: copies}, devices, printable(opened.file.url), dtypes=changed)
    progress = Progress(plan.bytes_read)

    def tick() -> None:
        progress.notice = opened.notice
        report(progress)

    room = ring_bytes(os.environ, on_device=not copies.is_host)
    LOOP.run(read_plan(opened.readers, assembly, progress, ring_bytes=room), tick=tick)
    copies.join()
    return assembly


def _build(tree: Any, build: Builder, assembly: Assembly) -> tuple[Any, list[tuple[str, int, Any]]]:
    made: list[tuple[str, int, Any]] = []

    def leaf(one: Any) -> Any:
        value = build(one)
        if hasattr(one, "storage"):
            made.append((one.storage, len(assembly.storages[one.storage]), value))
        return value

    return replace(tree, leaf), made
