"""The only place that makes torch tensors: host buffers in, views on the device out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import NotInstalledError
from jupyter_gpu_ext.tensors.models import ITEM_BYTES
from jupyter_gpu_ext.tensors.tree import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from jupyter_gpu_ext.storage.ranges import ByteRange
    from jupyter_gpu_ext.tensors.models import Tensor


def allocate(size_bytes: int) -> tuple[torch.Tensor, memoryview]:
    """Return a host buffer and the writable memory of it; the tensors of a load on cpu are views of it."""
    import torch

    buffer = torch.empty(size_bytes, dtype=torch.uint8)
    return buffer, memoryview(buffer.numpy())  # type: ignore[arg-type]  # an array is a buffer; numpy declares it from 3.12 on


class Builder:
    """Make tensors over the storages of one load.

    Parameters
    ----------
    storages : mapping of str to torch.Tensor
        The bytes of each storage's span, already on the device.
    spans : mapping of str to ByteRange
        Which part of the storage these bytes are.
    """

    def __init__(self, storages: Mapping[str, torch.Tensor], spans: Mapping[str, ByteRange]) -> None:
        self._storages = storages
        self._spans = spans

    def __call__(self, leaf: Tensor | Value) -> Any:
        """Return the torch value of a leaf; tensors of one storage share it."""
        return _value(leaf) if isinstance(leaf, Value) else self._tensor(leaf)

    def _tensor(self, leaf: Tensor) -> torch.Tensor:
        import torch

        dtype = _dtype(leaf.dtype)
        base = self._storages[leaf.storage]
        offset = leaf.offset - self._spans[leaf.storage].start // ITEM_BYTES[leaf.dtype]
        view = torch.empty(0, dtype=dtype, device=base.device)
        view.set_(base.untyped_storage(), offset, leaf.shape, leaf.stride)
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
