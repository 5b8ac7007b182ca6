"""A tensor file whose bytes are in memory already: the same readers, the same rules, and a value of its own."""

from __future__ import annotations

import asyncio
import importlib.util
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from jupyter_gpu_ext.storage import url as urls
from jupyter_gpu_ext.storage.models import Version
from jupyter_gpu_ext.storage.reader import HEAD_BYTES, Reader
from jupyter_gpu_ext.tensors.crc import Checksums
from jupyter_gpu_ext.tensors.decoded import Decoded, with_sources
from jupyter_gpu_ext.tensors.formats import npy
from jupyter_gpu_ext.tensors.header import read_header
from jupyter_gpu_ext.tensors.numpy_build import ArrayBuilder
from jupyter_gpu_ext.tensors.plan import make_plan
from jupyter_gpu_ext.tensors.torch_build import Builder, as_storage
from jupyter_gpu_ext.tensors.tree import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from numpy.typing import NDArray

    from jupyter_gpu_ext.storage.steady import Steady
    from jupyter_gpu_ext.tensors.plan import FetchPlan

T = TypeVar("T")


def value_of(url: str, data: memoryview) -> Any:
    """Return what a load of a file with these bytes returns: tensors, or arrays where torch is not installed.

    Parameters
    ----------
    url : str
        The file's, for messages.
    data : memoryview
        All of its bytes; nothing that is returned shares them.

    Raises
    ------
    UnsupportedFormatError, TensorFormatError
        When it is no tensor file, damaged, or holds code; code from a file is never run.
    NotInstalledError
        Without torch, for types that only torch has.
    """
    reader = _Held(url, data)
    header = _run(read_header(reader), waits=not npy.sniff(reader.head))
    file, sources = with_sources(header, (reader,))
    plan = make_plan(file)
    storages = _storages(plan, sources, reader.shown)
    if importlib.util.find_spec("torch") is None:
        return replace(file.tree, ArrayBuilder(storages, plan, reader.shown))
    rooms = {key: as_storage(room.data) if room.size else _nothing() for key, room in storages.items()}
    return replace(file.tree, Builder(rooms, plan.spans))


class _Held(Reader):
    """An object that is here: nothing is asked for."""

    def __init__(self, url: str, data: memoryview) -> None:
        head = bytes(data[:HEAD_BYTES])
        parsed, version = urls.parse(url), Version(len(data), "")
        super().__init__(parsed, cast("Steady", None), parsed.key, head, version)
        self._data = data

    async def read_into(self, start: int, out: memoryview) -> None:
        """Fill `out` with the bytes from `start` on."""
        out[:] = self._data[start : start + len(out)]


def _storages(plan: FetchPlan, sources: Sequence[Reader | Decoded], shown: str) -> Mapping[str, NDArray[np.uint8]]:
    """Return a copy of each storage's bytes, checked where the file has a checksum of them."""
    rooms = {key: np.empty(span.size_bytes, np.uint8) for key, span in plan.spans.items()}
    checksums = Checksums(plan.crc32, shown)
    for fetch in plan.fetches:
        source = sources[fetch.source]
        for part in fetch.parts:
            out = rooms[part.storage].data[part.at : part.at + part.size_bytes]
            _run(source.read_into(fetch.range.start + part.start, out), waits=isinstance(source, Decoded))
            checksums.take(part, out)
    for key in rooms:
        checksums.check(key)
    return rooms


def _nothing() -> Any:
    import torch

    return torch.empty(0, dtype=torch.uint8)


class _Here(ThreadPoolExecutor):
    """Runs what is for other threads in this one, which is none that others wait for."""

    def submit(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> Future[T]:
        """Run it."""
        done = Future[T]()
        try:
            done.set_result(work(*arguments, **options))
        except Exception as error:  # noqa: BLE001 -- raised where the result is asked for
            done.set_exception(error)
        return done


def _run(work: Coroutine[Any, Any, T], *, waits: bool) -> T:
    """Run what waits for nothing but threads, where it does; a loop takes longer than a short header."""
    if waits:
        loop = asyncio.new_event_loop()
        try:
            loop.set_default_executor(_Here())
            return loop.run_until_complete(work)
        finally:
            loop.close()
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    work.close()
    raise RuntimeError("a file in memory waited for something")
