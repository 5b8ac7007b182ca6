"""Load a tensor file to a device: header, plan, ranges, tensors; all of it or nothing."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NotInstalledError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.tensors.device import Target, check_fit, find_target
from jupyter_gpu_ext.tensors.header import read_header
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.plan import make_plan
from jupyter_gpu_ext.tensors.read import read_plan
from jupyter_gpu_ext.tensors.torch_build import Builder, allocate
from jupyter_gpu_ext.tensors.tree import replace
from jupyter_gpu_ext.text import format_bytes, format_count, format_duration, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.models import TensorFile
    from jupyter_gpu_ext.tensors.plan import FetchPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a load did; prints as one line."""

    url: str
    device: str
    tensor_count: int
    size_bytes: int
    bytes_read: int
    requests: int
    seconds: float
    bytes_cached: int = 0

    def __str__(self) -> str:
        rate = format_bytes((self.bytes_read + self.bytes_cached) / max(self.seconds, 1e-6))
        here = f"{format_bytes(self.bytes_cached)} from the cache, " if self.bytes_cached else ""
        return (
            f"{format_count(self.tensor_count, 'tensor')} on {self.device}, {format_bytes(self.size_bytes)} "
            f"({here}{format_count(self.requests, 'request')}, {format_duration(self.seconds)}, {rate}/s)"
        )


def load(url: str, *, device: str = "auto", keys: Sequence[str] = (), cache: bool | None = None) -> Any:
    """Load a tensor file from storage straight to a device, without local disk unless `cache` asks for it.

    Parameters
    ----------
    url : str
        'connection://key', or the path of a local file.
    device : str
        'auto' (this process's accelerator, cpu where there is no GPU), 'cpu', or a device of torch.
    keys : sequence of str
        Globs over the dotted names of the tensors; '!GLOB' excludes. Only their bytes are read.
    cache : bool, optional
        True keeps the bytes on this machine and reads them from there the next time; False does neither; without
        it `JUPYTER_GPU_CACHE` decides.

    Returns
    -------
    object
        What the library would return: for .pt the same nested object, for safetensors a dict; with `keys`
        a flat dict by dotted name. Tied weights stay tied.

    Raises
    ------
    NotFoundError, DeniedError, UnreachableError, ObjectChangedError
        When storage does not give the object, or not the same one to the end.
    UnsupportedFormatError, TensorFormatError
        When it is no tensor file, damaged, or holds code; code from a file is never run.
    DeviceError
        When the device is not here or has no room.
    """
    return load_named(url, device=device, keys=keys, cache=cache)[0]


def load_named(
    url: str,
    *,
    device: str = "auto",
    keys: Sequence[str] = (),
    cache: bool | None = None,
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
    target = find_target(device)
    # Importing torch is over by now, and is no part of the load.
    started = time.monotonic()
    reader, file = LOOP.run(_open(str(url), cache), tick=lambda: report(Progress(total_bytes=0)))
    plan = make_plan(file, keys)
    check_fit(target, plan.bytes_used, printable(file.url))
    value = _fetch(reader, file, plan, target, whole=not keys, name=name, report=report)
    receipt = Receipt(
        url=file.url,
        device=target.shown,
        tensor_count=len(plan.tensors),
        size_bytes=plan.bytes_used,
        bytes_read=reader.bytes_read,
        requests=reader.requests,
        seconds=time.monotonic() - started,
        bytes_cached=reader.bytes_cached,
    )
    return value, receipt


async def _open(url: str, cache: bool | None) -> tuple[Reader, TensorFile]:
    reader = await open_reader(url, cache=cache)
    return reader, await read_header(reader)


def _fetch(
    reader: Reader,
    file: TensorFile,
    plan: FetchPlan,
    target: Target,
    *,
    whole: bool,
    name: str,
    report: Callable[[Progress], None],
) -> Any:
    hosts = {key: allocate(span.size_bytes) for key, span in plan.spans.items()}
    progress = Progress(plan.bytes_read)
    memory = {key: view for key, (_, view) in hosts.items()}

    def tick() -> None:
        progress.notice = reader.notice
        report(progress)

    LOOP.run(read_plan(reader, plan, memory, progress), tick=tick)
    storages = {key: host.to(target.device) for key, (host, _) in hosts.items()}
    build = Builder(storages, plan.spans)
    made: list[tuple[str, int, Any]] = []

    def leaf(one: Any) -> Any:
        value = build(one)
        if hasattr(one, "storage"):
            made.append((one.storage, plan.spans[one.storage].size_bytes, value))
        return value

    value = replace(file.tree if whole else dict(plan.tensors), leaf)
    HOLDINGS.add(name, file.url, target, made)
    return value
