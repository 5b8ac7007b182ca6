"""Bring planned arrays to a device: slabs decoded into host buffers that are used again, then copied beside that."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.tensors import slabs
from jupyter_gpu_ext.tensors.arrays import Means, read_array
from jupyter_gpu_ext.tensors.copies import take_room
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from jupyter_gpu_ext.tensors.objects import together
from jupyter_gpu_ext.tensors.placing import scratch_bytes
from jupyter_gpu_ext.tensors.precision import FLOATS
from jupyter_gpu_ext.tensors.ring import Ring
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import torch

    from jupyter_gpu_ext.storage.progress import Progress
    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.copies import Copies, Event
    from jupyter_gpu_ext.tensors.ring import Buffer
    from jupyter_gpu_ext.tensors.slabs import Slab
    from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan

T = TypeVar("T")

# Of the host memory of a load, half is for slabs and half for what they are made of.
_BUFFERS = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """How a load uses host memory and its device, known before any chunk is read.

    Attributes
    ----------
    old, new : mapping of str to str
        Each array's type as it is read and as it is wanted, by torch's name.
    through : frozenset of str
        The arrays that pass through host buffers; the others are decoded where they stay.
    slab_bytes, buffer_bytes, buffer_count : int
        How long a slab should be, how long the longest is, and how many there are at a time.
    flight_bytes : int
        What stored and half-decoded chunks may take.
    staging_bytes : int
        What the device holds beside the results.
    host_bytes : int
        What the host holds beside results on the cpu, at most.
    """

    old: Mapping[str, str]
    new: Mapping[str, str]
    through: frozenset[str]
    slab_bytes: int
    buffer_bytes: int
    buffer_count: int
    flight_bytes: int
    staging_bytes: int
    host_bytes: int

    def final_bytes(self, plan: ZarrPlan) -> int:
        """Bytes of the results as they are in the end."""
        return sum(result_bytes(one, self.new[name]) for name, one in plan.arrays.items())


def lay_out(plan: ZarrPlan, wanted: str | None, *, on_device: bool, ring_bytes: int) -> Layout:
    """Return how a load will use memory.

    Raises
    ------
    TensorFormatError
        When torch has no such type.
    """
    old = {name: type_of(one) for name, one in plan.arrays.items()}
    new = {name: wanted if wanted and one in FLOATS else one for name, one in old.items()}
    through = frozenset(name for name in old if on_device or old[name] != new[name])
    slab_bytes = ring_bytes // (2 * _BUFFERS)
    found = {name: slabs.largest(plan.arrays[name], slab_bytes) for name in through}
    longest = max((size for size, _ in found.values()), default=0)
    count = min(max(1, ring_bytes // 2 // longest), 2 * _BUFFERS) if longest else 0
    count = min(count, sum(slabs.count(plan.arrays[name], slab_bytes) for name in through))
    flight = ring_bytes // 2 if through else ring_bytes
    staged = [size for name, (size, stretch) in found.items() if old[name] != new[name] or not stretch]
    chunks = [(_chunk_bytes(one), one.chunk_count) for one in plan.arrays.values() if one.objects]
    most = min(flight, sum(size * number for size, number in chunks))
    return Layout(
        old=old,
        new=new,
        through=through,
        slab_bytes=slab_bytes,
        buffer_bytes=longest,
        buffer_count=count,
        flight_bytes=flight,
        staging_bytes=max(staged, default=0) if on_device else 0,
        host_bytes=count * longest + max([most, *(size for size, _ in chunks)]),
    )


def _chunk_bytes(plan: ArrayPlan) -> int:
    return plan.array.most_stored_bytes + scratch_bytes(plan.array, straight=False)


def type_of(plan: ArrayPlan) -> str:
    """Return torch's name of a result's type; dates are counts.

    Raises
    ------
    TensorFormatError
        When it has none.
    """
    name = plan.dtype if plan.dtype in ITEM_BYTES else plan.numpy_dtype.name
    if name not in ITEM_BYTES:
        raise TensorFormatError(
            f"{printable(plan.name)} cannot be loaded: torch has no {printable(plan.dtype)}.",
            hint=f"--keys '!{printable(plan.name)}' leaves it out.",
        )
    return name


def result_bytes(plan: ArrayPlan, dtype: str) -> int:
    """Return the bytes of a result of that type."""
    return plan.size_bytes // plan.numpy_dtype.itemsize * ITEM_BYTES[dtype]


class Results:
    """The results of one load as they come together; used by one thread at a time.

    Attributes
    ----------
    storages : dict of str to torch.Tensor
        Each result's bytes on the device, as uint8.
    """

    def __init__(self, plan: ZarrPlan, layout: Layout, way: Copies, device: str) -> None:
        self.storages: dict[str, torch.Tensor] = {}
        self.plan = plan
        self.layout = layout
        self.way = way
        self._device = device
        self._staging: torch.Tensor | None = None

    def begin(self) -> None:
        """Take all the room, so that what does not fit is known before anything is read."""
        for name, one in self.plan.arrays.items():
            self.storages[name] = self._room(result_bytes(one, self.layout.new[name]))
        if self.layout.staging_bytes:
            self._staging = self._room(self.layout.staging_bytes)

    def memory(self, name: str) -> np.ndarray[Any, Any]:
        """Return where an array that passes through no buffer stays, on the host."""
        one = self.plan.arrays[name]
        return _seen(self.storages[name].numpy(), one)

    def put(self, slab: Slab, buffer: Buffer) -> list[Event]:
        """Copy a slab from a buffer to its place; return the points after which the buffer is free."""
        name = slab.plan.name
        old, new = self.layout.old[name], self.layout.new[name]
        source, storage = buffer.tensor[: slab.size_bytes], self.storages[name]
        if old == new and slab.start_bytes is not None:
            self.way.copy(storage[slab.start_bytes : slab.start_bytes + slab.size_bytes], source)
        else:
            self._convert(slab, source, old, new)
        event = self.way.mark()
        return [] if event is None else [event]

    def _convert(self, slab: Slab, source: torch.Tensor, old: str, new: str) -> None:
        from jupyter_gpu_ext.tensors.torch_build import as_type

        if self._staging is not None:
            # One is enough: what is queued for it is done in order.
            staged = self._staging[: slab.size_bytes]
            self.way.copy(staged, source)
            source = staged
        whole = as_type(self.storages[slab.plan.name], new).view(self.plan.arrays[slab.plan.name].shape)
        self.way.cast(whole[slab.place], as_type(source, old).view(slab.plan.shape))

    def _room(self, size_bytes: int) -> torch.Tensor:
        return take_room(self.way, size_bytes, self._device, self.plan.node.shown)


async def read_results(results: Results, progress: Progress) -> None:
    """Read what the plan chooses to where it stays.

    Parameters
    ----------
    progress : Progress
        Counts the bytes as they are decoded.

    Raises
    ------
    GpuExtError
        The first fault; no read and no copy is under way any more.
    """
    plan, layout = results.plan, results.layout
    sharded = any(one.array.index is not None for one in plan.arrays.values())
    means = Means(plan.node.objects, layout.flight_bytes, sharded=sharded)
    with ThreadPoolExecutor(1, thread_name_prefix="jupyter-gpu-ext-copy") as thread:
        try:
            await _Run(results, progress, means, thread).all()
        finally:
            means.close()
            # Buffers and results are let go after this, which no copy may outlive.
            thread.submit(results.way.close).result()


class _Run:
    def __init__(self, results: Results, progress: Progress, means: Means, thread: ThreadPoolExecutor) -> None:
        self._results = results
        self._layout = layout = results.layout
        self._progress = progress
        self._means = means
        self._thread = thread
        self._ring = Ring(
            buffer_bytes=layout.buffer_bytes, count=layout.buffer_count, host_buffer=results.way.host_buffer
        )

    async def all(self) -> None:
        """Read every slab, a few at a time, in order."""
        await self._on_thread(self._results.begin)
        todo = self._slabs()
        await together(self._some(todo) for _ in range(self._layout.buffer_count or _BUFFERS))

    def _slabs(self) -> Iterator[Slab]:
        for name, one in self._results.plan.arrays.items():
            if name in self._layout.through:
                yield from slabs.cut(one, self._layout.slab_bytes)
            elif one.size_bytes:
                yield slabs.whole(one)

    async def _some(self, todo: Iterator[Slab]) -> None:
        for slab in todo:
            if slab.plan.name in self._layout.through:
                await self._by_buffer(slab)
            else:
                await self._read(slab, self._results.memory(slab.plan.name))

    async def _by_buffer(self, slab: Slab) -> None:
        buffer = await self._ring.lend()
        try:
            await self._read(slab, _seen(np.frombuffer(buffer.memory, np.uint8), slab.plan))
            buffer.events = await self._on_thread(lambda: self._results.put(slab, buffer))
        finally:
            self._ring.give_back(buffer)

    async def _read(self, slab: Slab, out: np.ndarray[Any, Any]) -> None:
        await read_array(self._results.plan.node.objects, slab.plan, out, self._progress, self._means)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _seen(raw: np.ndarray[Any, Any], plan: ArrayPlan) -> np.ndarray[Any, Any]:
    """Return the first bytes of a buffer as a plan's elements."""
    return raw[: plan.size_bytes].view(plan.numpy_dtype).reshape(plan.shape)
