"""Load a tensor file to a device: header, plan, ranges, tensors; all of it or nothing."""

from __future__ import annotations

import importlib.util
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors import fetching
from jupyter_gpu_ext.tensors.formats.torch_pickle import NeedsTorchError
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.numpy_build import load_arrays
from jupyter_gpu_ext.tensors.prepare import prepare, refuse_selection, want
from jupyter_gpu_ext.tensors.receipts import RECEIPTS
from jupyter_gpu_ext.tensors.torch_build import Builder
from jupyter_gpu_ext.tensors.tree import replace
from jupyter_gpu_ext.tensors.unfinished import STORAGE_FAULTS, UNFINISHED, Identity, Unfinished
from jupyter_gpu_ext.tensors.whole import load_whole
from jupyter_gpu_ext.tensors.zarr_load import load_zarr
from jupyter_gpu_ext.tensors.zarr_open import ZarrNode
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from jupyter_gpu_ext.storage.progress import Progress
    from jupyter_gpu_ext.tensors.assembly import Assembly
    from jupyter_gpu_ext.tensors.open import Opened
    from jupyter_gpu_ext.tensors.prepare import Prepared, Wanted
    from jupyter_gpu_ext.tensors.receipt import Receipt


def load(
    url: str,
    *,
    device: str = "auto",
    keys: Sequence[str] = (),
    dtype: Any = None,
    select: str | None = None,
    raw: bool = False,
    cache: bool | None = None,
    resume: bool = False,
    fit_check: bool = True,
) -> Any:
    """Load a tensor file or Zarr arrays straight to a device, without local disk unless `cache` asks for it.

    Parameters
    ----------
    url : str
        'connection://key', or the path of a local file.
    device : str
        'auto' (this process's accelerator, cpu where there is no GPU), 'cpu', or a device of torch; 'fit' fills
        the accelerator and puts the rest on the cpu; 'GLOB=DEVICE,…' maps by name.
    keys : sequence of str
        Globs over the dotted names of the tensors; '!GLOB' excludes. Only their bytes are read.
    dtype : str or torch.dtype, optional
        What floating point tensors are converted to, on the device; others stay as they are.
    select : str, optional
        The part of an array: "0:100, :, :". Only for formats that hold arrays.
    raw : bool
        Stored numbers, without scale, offset and fill value. Only for formats that hold arrays.
    cache : bool, optional
        True keeps the bytes on this machine and reads them from there the next time; False does neither; without
        it `JUPYTER_GPU_CACHE` decides.
    resume : bool
        Go on with what the same load left when storage failed; keep the parts of this one if it is interrupted.
    fit_check : bool
        Refuse beforehand what the device has no room for.

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
    return load_named(
        url, device=device, keys=keys, dtype=dtype, select=select, raw=raw, cache=cache, resume=resume,
        fit_check=fit_check,
    )[0]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Replaced:
    """The value that the new one takes the place of.

    Attributes
    ----------
    held_bytes : mapping of str to int
        What it holds, by device.
    drop : callable or None
        Lets it go, before the first byte moves; None keeps it until the new one is whole.
    """

    held_bytes: Mapping[str, int]
    drop: Callable[[], None] | None = None


def load_named(
    url: str,
    *,
    device: str = "auto",
    keys: Sequence[str] = (),
    dtype: Any = None,
    select: str | None = None,
    raw: bool = False,
    cache: bool | None = None,
    resume: bool = False,
    fit_check: bool = True,
    name: str = "",
    replaced: Replaced | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[Any, Receipt]:
    """Do what `load` does, and say what was done.

    Parameters
    ----------
    name : str
        What the value will be called, for those who ask what is held.
    replaced : Replaced, optional
        The value that has the name until then.
    report : callable
        Called with the progress five times a second, in the caller's thread; a total of 0 means that the
        header is being read.
    """
    if importlib.util.find_spec("torch") is None:
        return load_arrays(str(url), device=device, keys=keys, dtype=dtype, cache=cache, name=name, report=report)
    wanted = want(device, keys, dtype)
    # Importing torch is over by now, and is no part of the load.
    started = time.monotonic()
    try:
        opened = fetching.open_any(url, keys=wanted.keys, cache=cache, report=report)
    except NeedsTorchError as error:
        return load_whole(error, wanted, cache=cache, name=name, report=report)
    if isinstance(opened, ZarrNode):
        value, receipt = load_zarr(
            opened, wanted, select=select or "", raw=raw, fit_check=fit_check, name=name, report=report, started=started
        )
        RECEIPTS.add(name, receipt)
        return value, receipt
    refuse_selection(opened.file, select, raw=raw)
    kept, notes = _kept(opened, wanted) if resume else _nothing_kept()
    prepared = _prepare(opened, wanted, kept, replaced)
    if fit_check:
        prepared.check_fit()
    if replaced is not None and replaced.drop is not None:
        replaced.drop()
    copies = fetching.ways(prepared)
    assembly = kept.assembly if kept is not None else fetching.new_assembly(prepared, copies)
    if kept is not None:
        UNFINISHED.take()
        assembly.go_on(copies)
    with _kept_on_a_fault(_unfinished(opened, wanted, prepared, assembly), resume=resume):
        fetching.fetch(opened, prepared, assembly, copies, report)
    value = _build(opened, wanted, prepared, assembly, name)
    receipt = fetching.receipt(opened, prepared, assembly, time.monotonic() - started, *notes)
    RECEIPTS.add(name, receipt)
    return value, receipt


def _nothing_kept() -> tuple[None, tuple[str, ...]]:
    UNFINISHED.release()
    return None, ()


def _kept(opened: Opened, wanted: Wanted) -> tuple[Unfinished | None, tuple[str, ...]]:
    """Return what an earlier load left that is still good, and what to say about it."""
    kept = UNFINISHED.find(opened.file.url, wanted)
    if kept is None:
        UNFINISHED.release()
        return None, ("nothing was kept of an earlier load of it, so all was read",)
    if kept.identity != _identity(opened, wanted):
        size = UNFINISHED.release()
        return None, (f"the object was replaced since it stopped: {format_bytes(size)} were dropped",)
    return kept, (f"{format_bytes(kept.assembly.taken_bytes)} were kept from before",)


def _prepare(opened: Opened, wanted: Wanted, kept: Unfinished | None, replaced: Replaced | None) -> Prepared:
    held = dict(replaced.held_bytes) if replaced is not None else {}
    dropped = held if replaced is not None and replaced.drop is not None else {}
    if kept is None:
        return prepare(opened.file, wanted, spare_bytes=dropped, replaced_bytes={} if dropped else held)
    mine = kept.held_bytes
    spare = {device: mine.get(device, 0) + dropped.get(device, 0) for device in {*mine, *dropped}}
    return prepare(opened.file, wanted, placed=kept.placed, spare_bytes=spare)


def _unfinished(opened: Opened, wanted: Wanted, prepared: Prepared, assembly: Assembly) -> Unfinished:
    return Unfinished(_identity(opened, wanted), assembly, prepared.placed)


def _identity(opened: Opened, wanted: Wanted) -> Identity:
    versions = tuple(one.version.etag for one in opened.readers)
    return Identity(opened.file.url, wanted, versions)


@contextmanager
def _kept_on_a_fault(unfinished: Unfinished, *, resume: bool) -> Iterator[None]:
    try:
        yield
    except STORAGE_FAULTS as error:
        if not UNFINISHED.keep(unfinished):
            unfinished.assembly.drop()
        else:
            error.message = f"{error.message.rstrip('.')}; {unfinished.message}."
            error.args = (error.message,)
            error.hint = " ".join(filter(None, (error.hint, unfinished.hint)))
        raise
    except BaseException as error:
        if not (resume and isinstance(error, KeyboardInterrupt) and UNFINISHED.keep(unfinished)):
            unfinished.assembly.drop()
        raise


def _build(opened: Opened, wanted: Wanted, prepared: Prepared, assembly: Assembly, name: str) -> Any:
    new_types = {key: new for key, (_, new) in prepared.changed.items()}
    build = Builder(assembly.storages, prepared.plan.spans, new_types, wanted.dtype)
    made: list[tuple[str, int, Any]] = []

    def leaf(one: Any) -> Any:
        value = build(one)
        if hasattr(one, "storage"):
            made.append((one.storage, len(assembly.storages[one.storage]), value))
        return value

    value = replace(opened.file.tree if not wanted.keys else dict(prepared.plan.tensors), leaf)
    for device in dict.fromkeys(prepared.placed.values()):
        here = [one for one in made if prepared.placed[one[0]] == device]
        HOLDINGS.add(name, opened.file.url, wanted.targets[device], here)
    return value
