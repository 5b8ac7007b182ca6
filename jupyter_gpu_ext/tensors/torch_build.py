"""The only place that makes torch tensors: host buffers in, views on the device out."""

from __future__ import annotations

import errno
import mmap
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NotInstalledError
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from jupyter_gpu_ext.tensors.tree import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from jupyter_gpu_ext.storage.ranges import ByteRange
    from jupyter_gpu_ext.tensors.models import Tensor


# From here on memory is taken in huge pages where the system gives them: filling it for the first time is then several
# times as fast as in pages of 4 kB.
_HUGE_BYTES = 4 << 20


def allocate(size_bytes: int) -> torch.Tensor:
    """Return host memory as uint8; the tensors of a load on cpu are views of it."""
    import torch

    if size_bytes < _HUGE_BYTES:
        return torch.empty(size_bytes, dtype=torch.uint8)
    memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # Only a wish: a kernel without huge pages refuses it.
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)


def host_buffer(size_bytes: int, *, pins: bool) -> tuple[torch.Tensor, memoryview]:
    """Return a buffer to receive into, page-locked where a device will copy from it and the system allows."""
    import torch

    buffer = None
    if pins:
        with suppress(RuntimeError):
            buffer = torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)
    if buffer is None:
        buffer = allocate(size_bytes)
    return buffer, memoryview(buffer.numpy())  # type: ignore[arg-type]  # an array is a buffer; numpy declares it from 3.12 on


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an allocation failed for want of room."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # torch's own kind says so too.
    return "out of memory" in str(error).lower() or type(error).__name__ == "OutOfMemoryError"


def as_storage(memory: memoryview) -> torch.Tensor:
    """Return bytes as a storage of their own, which keeps the memory."""
    import torch

    return torch.frombuffer(memory, dtype=torch.uint8)


def as_type(storage: torch.Tensor, dtype: str) -> torch.Tensor:
    """Return bytes as elements; an odd end is left out."""
    item = ITEM_BYTES[dtype]
    return storage[: len(storage) // item * item].view(_dtype(dtype))


class Builder:
    """Make tensors over the storages of one load.

    Parameters
    ----------
    storages : mapping of str to torch.Tensor
        The bytes of each storage's span, already on the device.
    spans : mapping of str to ByteRange
        Which part of the storage these bytes are.
    dtypes : mapping of str to str
        The type that a storage's elements were converted to.
    wanted : str or None
        The type that floating point tensors of other storages are converted to, one by one.
    """

    def __init__(
        self,
        storages: Mapping[str, torch.Tensor],
        spans: Mapping[str, ByteRange],
        dtypes: Mapping[str, str] | None = None,
        wanted: str | None = None,
    ) -> None:
        self._storages = storages
        self._spans = spans
        self._dtypes = dtypes or {}
        self._wanted = wanted

    def __call__(self, leaf: Tensor | Value) -> Any:
        """Return the torch value of a leaf; tensors of one storage share it."""
        return _value(leaf) if isinstance(leaf, Value) else self._tensor(leaf)

    def _tensor(self, leaf: Tensor) -> torch.Tensor:
        import torch

        dtype = _dtype(self._dtypes.get(leaf.storage, leaf.dtype))
        base = self._storages[leaf.storage]
        offset = leaf.offset - self._spans[leaf.storage].start // ITEM_BYTES[leaf.dtype]
        view = torch.empty(0, dtype=dtype, device=base.device)
        view.set_(base.untyped_storage(), offset, leaf.shape, leaf.stride)
        if self._wanted and leaf.storage not in self._dtypes and view.is_floating_point():
            view = view.to(_dtype(self._wanted))
        if leaf.kind == "parameter":
            return torch.nn.Parameter(view, requires_grad=leaf.requires_grad)
        return view.requires_grad_() if leaf.requires_grad else view


def _dtype(name: str) -> torch.dtype:
    import torch

    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise NotInstalledError(f"torch {torch.__version__} has no {name}.", hint="Install a newer torch.")
    return found


def _value(value: Value) -> Any:
    import torch

    if value.kind == "dtype":
        return _dtype(value.payload)
    return torch.Size(value.payload) if value.kind == "size" else torch.device(value.payload)
