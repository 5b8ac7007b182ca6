"""Bring items of a stream to a device: by page-locked buffers, on a stream of copies beside what is computed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.copies import copies_to, take_room
from jupyter_gpu_ext.tensors.device import find_target
from jupyter_gpu_ext.tensors.precision import FLOATS
from jupyter_gpu_ext.tensors.torch_build import as_type

if TYPE_CHECKING:
    import torch

    from jupyter_gpu_ext.tensors.copies import Event

# Copies that may be under way: their buffers are kept for so long.
_UNDER_WAY = 4


class Bringing:
    """The way of one iteration to its device; used by the thread that uses the items, on the stream it computes on.

    Parameters
    ----------
    device : str
        As for a load: 'auto', 'cuda:0', 'cpu'.
    dtype : str or None
        The floating point type that others are converted to, on the device.
    shown : str
        The store, for messages.
    """

    def __init__(self, device: str, dtype: str | None, shown: str) -> None:
        self._device = find_target(device).device
        self._dtype = dtype
        self._shown = shown
        self._way = copies_to(self._device)
        self._under_way: deque[tuple[Event, list[Any]]] = deque()
        self._buffers: list[Any] = []

    def __call__(self, item: Any) -> Any:
        """Return the item with its tensors on the device; what computes there next waits for them by itself.

        Raises
        ------
        DeviceError
            When there is no room.
        """
        made = self._brought(item)
        event = self._way.mark()
        if event is not None:
            self._under_way.append((event, self._buffers))
            self._buffers = []
            while len(self._under_way) > _UNDER_WAY:
                self._under_way.popleft()[0].synchronize()
        self._way.join()
        return made

    def close(self) -> None:
        """Wait until no copy is under way."""
        self._way.close()
        self._under_way.clear()

    def _brought(self, item: Any) -> Any:
        import torch

        if isinstance(item, torch.Tensor):
            return self._tensor(item)
        if isinstance(item, dict):
            return {name: self._brought(one) for name, one in item.items()}
        if isinstance(item, tuple) and hasattr(item, "_fields"):
            return type(item)(*(self._brought(one) for one in item))
        return type(item)(self._brought(one) for one in item) if isinstance(item, list | tuple) else item

    def _tensor(self, source: torch.Tensor) -> torch.Tensor:
        old = str(source.dtype).removeprefix("torch.")
        new = self._dtype if self._dtype and old in FLOATS else old
        if source.device.type != "cpu" or self._way.is_host:
            return source.to(self._device, _of(new))
        room = self._copied(source)
        found = as_type(room, old).view(source.shape)
        if new == old:
            return found
        # The conversion is queued behind the copy; both are over before the caller computes.
        changed = as_type(self._room(source.numel() * _of(new).itemsize), new).view(source.shape)
        self._way.cast(changed, found)
        self._buffers.append(found)
        return changed

    def _copied(self, source: torch.Tensor) -> torch.Tensor:
        import torch

        room = self._room(source.nbytes)
        if source.nbytes:
            buffer, _ = self._way.host_buffer(source.nbytes)
            buffer.copy_(source.contiguous().view(-1).view(torch.uint8))
            self._way.copy(room, buffer)
            self._buffers.append(buffer)
        return room

    def _room(self, size_bytes: int) -> torch.Tensor:
        return take_room(self._way, size_bytes, self._device, self._shown)


def _of(name: str) -> torch.dtype:
    import torch

    found: torch.dtype = getattr(torch, name)
    return found
