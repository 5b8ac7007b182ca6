"""The storages of one load as they come together: room is taken with the first byte, finished with the last.

Runs in one thread of its own, so that the I/O loop only moves bytes, and nothing here needs a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.tensors.copies import take_room
from jupyter_gpu_ext.tensors.crc import Checksums
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from jupyter_gpu_ext.tensors.torch_build import as_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from jupyter_gpu_ext.tensors.copies import Copies, Event
    from jupyter_gpu_ext.tensors.plan import Fetch, FetchPlan, Part
    from jupyter_gpu_ext.tensors.ring import Buffer


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
    pins : bool
        Whether a device copies from host memory.
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
        self._ways = copies
        self._devices = devices
        self._shown = shown
        self._dtypes = dtypes or {}
        self._landed = landed
        self.pins = any(way.pins for way in copies.values())

    def begin(self) -> None:
        """Finish what has no bytes."""
        for key in [key for key, left in self._left.items() if not left]:
            self._room(key)
            self._finish(key)

    def memory(self, part: Part) -> memoryview:
        """Return where the bytes of a part stay, on the host."""
        return memoryview(self._stretch(part).numpy())  # type: ignore[arg-type]  # an array is a buffer

    def arrived(self, part: Part, data: memoryview) -> None:
        """Note that the bytes of a part are where they stay."""
        self.checksums.take(part, data)
        self._done(part)

    def take(self, fetch: Fetch, buffer: Buffer) -> list[Event]:
        """Copy a range's parts from a buffer; return the points after which the buffer is free."""
        for part in fetch.parts:
            stop = part.start + part.size_bytes
            self.checksums.take(part, buffer.memory[part.start : stop])
            self._way(part.storage).copy(self._stretch(part), buffer.tensor[part.start : stop])
        events = [self._ways[device].mark() for device in {self._devices[part.storage] for part in fetch.parts}]
        for part in fetch.parts:
            self._done(part)
        return [one for one in events if one is not None]

    def goes_straight(self, fetch: Fetch) -> bool:
        """Tell whether a range can be received where it stays."""
        return fetch.is_whole and self._way(fetch.parts[0].storage).is_host

    def close(self) -> None:
        """Wait until no copy is under way."""
        for way in self._ways.values():
            way.close()

    def _way(self, storage: str) -> Copies:
        return self._ways[self._devices[storage]]

    def _stretch(self, part: Part) -> torch.Tensor:
        return self._room(part.storage)[part.at : part.at + part.size_bytes]

    def _room(self, key: str) -> torch.Tensor:
        if key not in self.storages:
            self.storages[key] = self._take_room(key, self.plan.spans[key].size_bytes)
        return self.storages[key]

    def _take_room(self, key: str, size_bytes: int) -> torch.Tensor:
        return take_room(self._way(key), size_bytes, self._devices[key], self._shown)

    def _done(self, part: Part) -> None:
        self._left[part.storage] -= part.size_bytes
        if not self._left[part.storage]:
            self._finish(part.storage)

    def _finish(self, key: str) -> None:
        self.checksums.check(key)
        if key in self._dtypes:
            old, new = self._dtypes[key]
            elements = as_type(self.storages[key], old)
            room = self._take_room(key, len(elements) * ITEM_BYTES[new])
            self._way(key).cast(as_type(room, new), elements)
            self.storages[key] = room
        self._landed(key)
