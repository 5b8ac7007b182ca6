"""The storages of one load as they come together: room is taken with the first byte, finished with the last.

Runs in one thread of its own, so that the I/O loop only moves bytes, and nothing here needs a lock.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from jupyter_gpu_ext.tensors.copies import take_room
from jupyter_gpu_ext.tensors.crc import Checksums
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from jupyter_gpu_ext.tensors.stages import Stages
from jupyter_gpu_ext.tensors.torch_build import as_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from jupyter_gpu_ext.tensors.copies import Copies, Event
    from jupyter_gpu_ext.tensors.plan import Fetch, FetchPlan, Part, Region
    from jupyter_gpu_ext.tensors.ring import Buffer

# The widest element, and what allocators align to.
_WIDEST, _ALIGNED = 16, 64


class Assembly:
    """What a plan's fetches become.

    Parameters
    ----------
    plan : FetchPlan
    copies : mapping of str to Copies
        The way to each device.
    devices : mapping of str to str
        Which device each storage belongs to.
    shown : str
        The file, for messages.
    dtypes : mapping of str to (str, str)
        Storages to convert: the type of their elements, and the one that is wanted.
    landed : callable
        Told each storage as it is whole.

    Attributes
    ----------
    plan : FetchPlan
    storages : dict of str to torch.Tensor
        The bytes of each storage's span on the device, as uint8.
    stages : Stages
        What the load waits for.
    closed : threading.Event
        Set while no copy is under way.
    """

    def __init__(
        self,
        plan: FetchPlan,
        copies: Mapping[str, Copies],
        devices: Mapping[str, str],
        shown: str,
        *,
        dtypes: Mapping[str, tuple[str, str]] | None = None,
        landed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.storages: dict[str, torch.Tensor] = {}
        self.checksums = Checksums(plan.crc32, shown)
        self.plan = plan
        self._left = {key: span.size_bytes for key, span in plan.spans.items()}
        self._left |= {key: region.size_bytes for key, region in plan.regions.items()}
        self._ways = copies
        self._devices = devices
        self._shown = shown
        self._dtypes = dtypes or {}
        self._landed = landed
        self._taken: set[tuple[int, int]] = set()
        self.stages = Stages()
        self.closed = threading.Event()
        self.closed.set()

    @property
    def todo(self) -> list[Fetch]:
        """The plan's fetches of which the bytes are not here yet."""
        return [one for one in self.plan.fetches if _mark(one) not in self._taken]

    @property
    def taken_bytes(self) -> int:
        """Bytes that storage sent and that are here."""
        return self.plan.bytes_read - sum(one.range.size_bytes for one in self.todo)

    def go_on(self, copies: Mapping[str, Copies]) -> None:
        """Take up again what was closed before its end."""
        self._ways, self.stages = copies, Stages()

    def drop(self) -> None:
        """Let the bytes go, whoever still refers to the assembly: a traceback does."""
        self.storages.clear()

    def begin(self) -> None:
        """Finish what has no bytes."""
        self.closed.clear()
        for key in [key for key, left in self._left.items() if not left and key not in self.storages]:
            self._room(key)
            self._finish(key)

    @property
    def pins(self) -> bool:
        """Whether a device copies from host memory."""
        return any(one.pins for one in self._ways.values())

    def host_buffer(self, size_bytes: int) -> tuple[torch.Tensor, memoryview]:
        """Return a buffer to receive into, page-locked where a device copies from it: read without a detour."""
        way = next((one for one in self._ways.values() if one.pins), next(iter(self._ways.values())))
        return way.host_buffer(size_bytes)

    def memory(self, fetch: Fetch) -> memoryview:
        """Return where the bytes of a range stay, on the host: in a storage, or in one block that storages share."""
        if not fetch.is_whole:
            return self._block(fetch)
        (part,) = fetch.parts
        return self._way(part.storage).memory(self._stretch(part))

    def arrived(self, fetch: Fetch, data: memoryview) -> None:
        """Note that the bytes of a range are where they stay."""
        with self.stages.timed("verify"):
            for part in fetch.parts:
                self.checksums.take(part, data[part.start : part.start + part.size_bytes])
        self._taken.add(_mark(fetch))
        for part in fetch.parts:
            self._done(part)

    def take(self, fetch: Fetch, buffer: Buffer) -> list[Event]:
        """Copy a range's parts from a buffer; return the points after which the buffer is free."""
        with self.stages.timed("verify"):
            for part in fetch.parts:
                self.checksums.take(part, buffer.memory[part.start : part.start + part.size_bytes])
        with self.stages.timed("copy"):
            for part in fetch.parts:
                data = buffer.tensor[part.start : part.start + part.size_bytes]
                self._way(part.storage).copy(self._stretch(part), data)
        self._taken.add(_mark(fetch))
        events = [self._ways[device].mark() for device in {self._device(part.storage) for part in fetch.parts}]
        for part in fetch.parts:
            self._done(part)
        return [one for one in events if one is not None]

    def goes_straight(self, fetch: Fetch) -> bool:
        """Tell whether a range can be received where it stays."""
        if not all(self._way(part.storage).is_host for part in fetch.parts):
            return False
        return fetch.is_whole or all(self._can_share(fetch, part) for part in fetch.parts)

    def close(self) -> None:
        """Wait until no copy is under way."""
        for way in self._ways.values():
            way.close()
        self.closed.set()

    def _can_share(self, fetch: Fetch, part: Part) -> bool:
        span = self.plan.spans.get(part.storage)
        is_all = span is not None and span.size_bytes == part.size_bytes
        return is_all and (part.start - fetch.parts[0].start) % _WIDEST == 0

    def _block(self, fetch: Fetch) -> memoryview:
        """Take room for a range of short storages; each is one of its own, over its bytes of the block."""
        first = fetch.parts[0]
        # The first one lies as memory that is taken for it alone would.
        shift = -first.start % _ALIGNED
        way = self._way(first.storage)
        block = take_room(way, shift + fetch.range.size_bytes, self._device(first.storage), self._shown)
        for part in fetch.parts:
            start = shift + part.start
            self.storages[part.storage] = way.part(block, start, start + part.size_bytes)
        return way.memory(block)[shift:]

    def _way(self, storage: str) -> Copies:
        return self._ways[self._device(storage)]

    def _device(self, storage: str) -> str:
        region = self.plan.regions.get(storage)
        return self._devices[region.whole if region else storage]

    def _stretch(self, part: Part) -> torch.Tensor:
        return self._room(part.storage)[part.at : part.at + part.size_bytes]

    def _room(self, key: str) -> torch.Tensor:
        if key not in self.storages:
            size = (self.plan.regions.get(key) or self.plan.spans[key]).size_bytes
            self.storages[key] = self._take_room(key, size)
        return self.storages[key]

    def _take_room(self, key: str, size_bytes: int) -> torch.Tensor:
        return take_room(self._way(key), size_bytes, self._device(key), self._shown)

    def _done(self, part: Part) -> None:
        self._landed_bytes(part.storage, part.size_bytes)

    def _landed_bytes(self, key: str, size_bytes: int) -> None:
        self._left[key] -= size_bytes
        if not self._left[key]:
            self._finish(key)

    def _finish(self, key: str) -> None:
        if key in self.plan.regions:
            self._into_whole(key, self.plan.regions[key])
            return
        self.checksums.check(key)
        if key in self._dtypes:
            old, new = self._dtypes[key]
            elements = as_type(self.storages[key], old)
            room = self._take_room(key, len(elements) * ITEM_BYTES[new])
            self._way(key).cast(as_type(room, new), elements)
            self.storages[key] = room
        self._landed(key)

    def _into_whole(self, key: str, region: Region) -> None:
        block, dtype = region.block, region.of.dtype
        source = as_type(self.storages.pop(key), dtype)
        source = source.view(block.shape) if block.stride is None else source.as_strided(block.shape, block.stride)
        target = as_type(self._room(region.whole), dtype).view(region.of.shape)
        for dim, (start, size) in enumerate(zip(block.start, block.shape, strict=True)):
            target = target.narrow(dim, start, size)
        self._way(key).cast(target, source)
        self._landed_bytes(region.whole, region.size_bytes)


def _mark(fetch: Fetch) -> tuple[int, int]:
    return fetch.source, fetch.range.start
