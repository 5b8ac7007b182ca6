"""Copies from host memory to where tensors live: on the cpu at once, on an accelerator behind the back of Python."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from jupyter_gpu_ext.errors import DeviceError
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch


class Event(Protocol):
    """A point in a queue of copies."""

    def synchronize(self) -> None:
        """Wait until everything before it is done."""


class Copies(Protocol):
    """One load's way to its device; used by one thread at a time."""

    pins: bool
    is_host: bool

    def empty(self, size_bytes: int) -> torch.Tensor:
        """Return room for that many bytes on the device, as uint8."""

    def host_buffer(self, size_bytes: int) -> tuple[torch.Tensor, memoryview]:
        """Return host memory to copy from, and its bytes."""

    def memory(self, room: torch.Tensor) -> memoryview:
        """Return the bytes of room on the host."""

    def part(self, room: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return a stretch of room on the host as room of its own, which keeps the memory."""

    def copy(self, to: torch.Tensor, source: torch.Tensor) -> None:
        """Queue a copy; `source` must stay as it is until an event that is marked later."""

    def cast(self, to: torch.Tensor, source: torch.Tensor) -> None:
        """Queue a conversion to the type of `to`; both are on the device."""

    def mark(self) -> Event | None:
        """Return the point after all copies so far; None when they are done."""

    def join(self) -> None:
        """Have whatever the caller of the load does next on the device wait for the copies."""

    def as_caller(self) -> AbstractContextManager[Any]:
        """Return a context in which this thread computes where the caller of the load does."""

    def close(self) -> None:
        """Wait until no copy is under way."""


class HostCopies:
    """The cpu: a copy is over when it returns."""

    pins = False
    is_host = True

    def empty(self, size_bytes: int) -> torch.Tensor:
        """Return room for that many bytes."""
        from jupyter_gpu_ext.tensors.torch_build import allocate

        return allocate(size_bytes)

    def host_buffer(self, size_bytes: int) -> tuple[torch.Tensor, memoryview]:
        """Return memory to copy from."""
        from jupyter_gpu_ext.tensors.torch_build import host_buffer

        return host_buffer(size_bytes, pins=False)

    def memory(self, room: torch.Tensor) -> memoryview:
        """Return its bytes."""
        return memoryview(room.numpy())  # type: ignore[arg-type]  # an array is a buffer

    def part(self, room: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Return a stretch as a storage of its own."""
        from jupyter_gpu_ext.tensors.torch_build import as_storage

        return as_storage(self.memory(room)[start:stop])

    def copy(self, to: torch.Tensor, source: torch.Tensor) -> None:
        """Copy."""
        # Unlike a slice of a memoryview, numpy lets other threads run meanwhile.
        np.copyto(to.numpy(), source.numpy())

    def cast(self, to: torch.Tensor, source: torch.Tensor) -> None:
        """Convert."""
        to.copy_(source)

    def mark(self) -> Event | None:
        """Return None: all is done."""
        return None

    def join(self) -> None:
        """Return."""

    def as_caller(self) -> AbstractContextManager[Any]:
        """Return a context that changes nothing."""
        return nullcontext()

    def close(self) -> None:
        """Return."""


class StreamCopies:
    """An accelerator: copies run on a stream of their own, beside what the caller's stream computes.

    Memory is taken on the caller's stream, which waits for the copies in the end: whoever frees a tensor later
    frees it where it was taken, as torch's allocator wants it.

    Parameters
    ----------
    device : torch.device
        Of the type that `torch.accelerator` knows.
    """

    pins = True
    is_host = False

    def __init__(self, device: torch.device) -> None:
        import torch

        self._device = device
        self._caller = torch.accelerator.current_stream(device)
        self._side = torch.Stream(device)
        self._side.wait_stream(self._caller)

    def empty(self, size_bytes: int) -> torch.Tensor:
        """Return room for that many bytes on the device."""
        import torch

        with _on(self._caller):
            room = torch.empty(size_bytes, dtype=torch.uint8, device=self._device)
        # A block that was freed a moment ago may still be in use on the caller's stream.
        self._side.wait_stream(self._caller)
        return room

    def host_buffer(self, size_bytes: int) -> tuple[torch.Tensor, memoryview]:
        """Return page-locked memory to copy from, where the system allows."""
        from jupyter_gpu_ext.tensors.torch_build import host_buffer

        return host_buffer(size_bytes, pins=True)

    def memory(self, room: torch.Tensor) -> memoryview:
        """Refuse: nothing is received on a device."""
        raise NotImplementedError

    def part(self, room: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Refuse for the same reason."""
        raise NotImplementedError

    def copy(self, to: torch.Tensor, source: torch.Tensor) -> None:
        """Queue a copy."""
        with _on(self._side):
            to.copy_(source, non_blocking=True)

    def cast(self, to: torch.Tensor, source: torch.Tensor) -> None:
        """Queue a conversion."""
        self.copy(to, source)

    def mark(self) -> Event | None:
        """Return the point after all copies so far."""
        return self._side.record_event()

    def join(self) -> None:
        """Have the caller's stream wait for the copies."""
        self._caller.wait_stream(self._side)

    def as_caller(self) -> AbstractContextManager[Any]:
        """Return a context in which the caller's stream is the current one."""
        return _on(self._caller)

    def close(self) -> None:
        """Wait until no copy is under way."""
        self._side.synchronize()


def take_room(way: Copies, size_bytes: int, device: str, shown: str) -> torch.Tensor:
    """Return room on the device of a load.

    Raises
    ------
    DeviceError
        When there is none; names the device and what is loaded.
    """
    from jupyter_gpu_ext.tensors.torch_build import is_out_of_memory

    try:
        return way.empty(size_bytes)
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(
            f"{shown} does not fit: {device} has no room for {format_bytes(size_bytes)} more; nothing was loaded.",
            hint="`%gpu` shows what is in use; --keys GLOB loads a part, --device cpu loads into RAM.",
        ) from None


def copies_to(device: str) -> Copies:
    """Return the way to a device, as torch names it."""
    import torch

    return HostCopies() if device == "cpu" else StreamCopies(torch.device(device))


def _on(stream: Any) -> AbstractContextManager[Any]:
    # A torch.Stream is a context manager from torch 2.7 on.
    if hasattr(stream, "__enter__"):
        return stream  # type: ignore[no-any-return]
    import torch

    return torch.cuda.stream(stream)
