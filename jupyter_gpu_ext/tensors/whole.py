"""What our reader does not rebuild, torch's safe reader does: the file as a whole, in memory and never on a disk.

Sparse, quantised and nested tensors, subclasses, conjugated views, and what the user has allowed by
`torch.serialization.add_safe_globals`.
"""

from __future__ import annotations

import mmap
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, DeviceError, NotInstalledError, TensorFormatError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.progress import Progress
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.tensors.assembly import Assembly
from jupyter_gpu_ext.tensors.copies import HostCopies
from jupyter_gpu_ext.tensors.device import check_room, ring_bytes
from jupyter_gpu_ext.tensors.formats import torch_legacy
from jupyter_gpu_ext.tensors.formats.torch_pickle import TORCHS_OWN, NeedsTorchError
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.models import Stored, Tensor, TensorFile
from jupyter_gpu_ext.tensors.plan import make_plan
from jupyter_gpu_ext.tensors.read import read_plan
from jupyter_gpu_ext.tensors.receipt import Receipt
from jupyter_gpu_ext.tensors.torch_build import is_out_of_memory
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.prepare import Wanted

# Before it a crafted file could overwrite memory: CVE-2026-24747.
_LEAST_TORCH = (2, 10)
_NOTE = "rebuilt by torch from the whole file in memory"


def load_whole(
    needs: NeedsTorchError,
    wanted: Wanted,
    *,
    cache: bool | None,
    name: str,
    report: Callable[[Progress], None],
) -> tuple[Any, Receipt]:
    """Load a file that our reader refused with `needs`, when torch's safe reader would take it.

    Raises
    ------
    NeedsTorchError
        `needs` itself, when the file asks for what is not allowed.
    NotInstalledError
        When this torch is too old to be trusted with it.
    TensorFormatError
        When torch cannot rebuild it.
    """
    if not needs.url:
        raise needs
    _check_allowed(needs)
    _check_torch()
    if wanted.keys or wanted.dtype:
        raise BadRequestError(
            f"{printable(needs.url)} holds more than plain tensors: torch rebuilds it as a whole.",
            hint="Load it without keys and dtype, then take what you need.",
        )
    target = wanted.only_target(printable(needs.url))
    started = time.monotonic()
    reader = LOOP.run(open_reader(needs.url, cache=cache))
    size = reader.version.size_bytes
    check_room(target.device, size, reader.shown)
    with _memory_file() as descriptor:
        _receive(reader, descriptor, report)
        value = _rebuild(reader, descriptor, target.device)
    made = [("file", size, one) for one in _tensors(value)]
    HOLDINGS.add(name, str(reader.url), target, made)
    receipt = Receipt(
        url=str(reader.url),
        device=target.shown,
        tensor_count=len(made),
        size_bytes=size,
        bytes_read=reader.bytes_read,
        requests=reader.requests,
        retries=reader.tally.retries,
        checked_bytes=0,
        seconds=time.monotonic() - started,
        bytes_cached=reader.bytes_cached,
        notes=(_NOTE,),
    )
    return value, receipt


def _check_allowed(needs: NeedsTorchError) -> None:
    import torch

    mine = set()
    for one in torch.serialization.get_safe_globals():
        # A pair is a function and the name it is known by.
        mine.add(one[1] if isinstance(one, tuple) else f"{one.__module__}.{one.__qualname__}")
    missing = [name for name in needs.names if name not in TORCHS_OWN and name not in mine]
    if missing:
        raise needs


def _check_torch() -> None:
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _LEAST_TORCH:
        raise NotInstalledError(
            f"This file is rebuilt by torch itself, and torch {torch.__version__} can be attacked by such files "
            "(CVE-2026-24747); nothing was loaded.",
            hint="Install torch 2.10 or newer.",
        )
    if not hasattr(os, "memfd_create"):
        raise NotInstalledError(
            "This file is rebuilt by torch from memory, which this system has no files in.",
            hint="Download it and use torch.load(…, weights_only=True).",
        )


@contextmanager
def _memory_file() -> Iterator[int]:
    descriptor = os.memfd_create("tensors")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _IntoFile(HostCopies):
    """Room that is the file itself."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def empty(self, size_bytes: int) -> torch.Tensor:
        """Return the file's bytes."""
        import torch

        os.ftruncate(self._descriptor, size_bytes)
        return torch.frombuffer(mmap.mmap(self._descriptor, size_bytes), dtype=torch.uint8)


def _receive(reader: Reader, descriptor: int, report: Callable[[Progress], None]) -> None:
    size = reader.version.size_bytes
    everything = Tensor(dtype="uint8", shape=(size,), stride=(1,), storage="file")
    file = TensorFile(
        url=str(reader.url), kind="torch", size_bytes=size, etag=reader.version.etag, tensors={"file": everything},
        storages={"file": Stored(0, size)}, tree=None,
    )  # fmt: skip
    plan = make_plan(file)
    progress = Progress(plan.bytes_read)
    assembly = Assembly(plan, {"cpu": _IntoFile(descriptor)}, {"file": "cpu"}, reader.shown)

    def tick() -> None:
        progress.notice = reader.notice
        report(progress)

    work = read_plan((reader,), assembly, progress, ring_bytes=ring_bytes(os.environ, on_device=False))
    LOOP.run(work, tick=tick)


def _rebuild(reader: Reader, descriptor: int, device: str) -> Any:
    import torch

    try:
        # Given in words, so that no variable of the environment turns it off.
        with torch.sparse.check_sparse_tensor_invariants():  # type: ignore[no-untyped-call]
            return torch.load(
                f"/proc/self/fd/{descriptor}",
                map_location=device,
                mmap=not torch_legacy.sniff(reader.head),
                weights_only=True,
            )
    except Exception as error:  # noqa: BLE001 -- of a damaged file torch raises a dozen kinds
        if is_out_of_memory(error):
            raise DeviceError(
                f"{reader.shown} does not fit on {device}; nothing was loaded.", hint="`%gpu` shows what is in use."
            ) from None
        said = printable((str(error).splitlines() or [""])[0][:200])
        raise TensorFormatError(
            f"{reader.shown} cannot be rebuilt by torch: {said}", hint="Write or copy the file again."
        ) from None


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    import torch

    rest, seen = [value], set[int]()
    while rest:
        one = rest.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            yield one
        elif isinstance(one, dict):
            rest += one.values()
        elif isinstance(one, (list, tuple)):
            rest += one
