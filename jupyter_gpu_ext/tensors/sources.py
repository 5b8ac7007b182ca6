"""Where the bytes of a save come from: arrays and storages, brought to the host slice by slice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import torch

# Two are in memory at a time, beside the blocks that are on their way.
SLICE_BYTES = 4 << 20


class Room:
    """A host buffer for one slice, used again and again: what is given back to the allocator often stays with it."""

    def __init__(self) -> None:
        self._array: np.ndarray[Any, Any] | None = None
        # Page-locked, for a device that copies faster then.
        self._pinned: torch.Tensor | None = None

    def array(self, size_bytes: int) -> np.ndarray[Any, Any]:
        """Return so many bytes of it."""
        import numpy as np

        if self._array is None or len(self._array) < size_bytes:
            self._array = np.empty(max(size_bytes, SLICE_BYTES), np.uint8)
        return self._array[:size_bytes]

    def tensor(self, size_bytes: int, device: torch.device) -> torch.Tensor:
        """Return so many bytes of it to copy from `device` to."""
        import torch

        if device.type not in ("cuda", "xpu"):
            return torch.from_numpy(self.array(size_bytes))
        if self._pinned is None or self._pinned.numel() < size_bytes:
            self._pinned = torch.empty(max(size_bytes, SLICE_BYTES), dtype=torch.uint8, pin_memory=True)
        return self._pinned[:size_bytes]


class Source(Protocol):
    """As many bytes as its length says."""

    def __len__(self) -> int:
        """Return the number of bytes."""

    def slices(self) -> Iterator[Callable[[Room], memoryview]]:
        """Yield one function a slice; it gives the bytes, from the array's own memory where it can."""


class TorchSource:
    """The elements of a tensor in row-major order, wherever the tensor lies."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor.detach()

    def __len__(self) -> int:
        return self._tensor.numel() * self._tensor.element_size()

    def slices(self) -> Iterator[Callable[[Room], memoryview]]:
        """Yield the slices; of a tensor that is not contiguous only one at a time is laid out anew."""
        one = self._tensor
        flat = one.reshape(-1) if one.is_contiguous() else one
        return (partial(_torch_bytes, piece) for piece in _split(flat, one.element_size()) if piece.numel())


class NumpySource:
    """The elements of an array in row-major order, in the byte order of `dtype`."""

    def __init__(self, array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> None:
        self._array = array
        self._dtype = dtype

    def __len__(self) -> int:
        return self._array.nbytes

    def slices(self) -> Iterator[Callable[[Room], memoryview]]:
        """Yield the slices; what is not contiguous is laid out anew slice by slice."""
        one = self._array
        flat = one.reshape(-1) if one.flags.c_contiguous else one
        return (partial(_numpy_bytes, piece, self._dtype) for piece in _split(flat, one.itemsize) if piece.size)


def storage_bytes(storage: torch.UntypedStorage) -> torch.Tensor:
    """Return all bytes of a storage as a tensor over it."""
    import torch

    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


def _split(array: Any, item_bytes: int) -> Iterator[Any]:
    """Yield `array` in parts of at most SLICE_BYTES, in row-major order; tensors and arrays alike."""
    if not array.shape:
        yield array
        return
    row_bytes = item_bytes
    for size in array.shape[1:]:
        row_bytes *= size
    if row_bytes > SLICE_BYTES:
        for row in array:
            yield from _split(row, item_bytes)
        return
    rows = max(1, SLICE_BYTES // max(row_bytes, 1))
    for start in range(0, array.shape[0], rows):
        yield array[start : start + rows]


def _torch_bytes(piece: torch.Tensor, room: Room) -> memoryview:
    import torch

    if piece.device.type == "cpu" and piece.is_contiguous() and not piece.is_conj() and not piece.is_neg():
        # Not `reshape`: of an axis with one element torch keeps any stride, and would see no bytes in it.
        flat = piece.as_strided((piece.numel(),), (1,)).view(torch.uint8)
    else:
        flat = room.tensor(piece.numel() * piece.element_size(), piece.device)
        flat.view(piece.dtype).view(piece.shape).copy_(piece)
    return memoryview(flat.numpy())  # type: ignore[arg-type]  # an array is a buffer; numpy declares it from 3.12 on


def _numpy_bytes(piece: np.ndarray[Any, Any], dtype: np.dtype[Any], room: Room) -> memoryview:
    import numpy as np

    if piece.flags.c_contiguous and piece.dtype == dtype:
        flat = piece.reshape(-1).view(np.uint8)
    else:
        flat = room.array(piece.nbytes)
        flat.view(dtype).reshape(piece.shape)[...] = piece
    return memoryview(flat)  # type: ignore[arg-type]  # as above
