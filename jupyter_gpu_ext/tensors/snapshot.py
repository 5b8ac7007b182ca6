"""A value as it was at one moment: its storages copied to host memory, while the value itself goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.save import finish_devices
from jupyter_gpu_ext.tensors.save_plan import torch_plan
from jupyter_gpu_ext.tensors.sources import TorchSource, storage_bytes
from jupyter_gpu_ext.tensors.torch_pickle import describe

if TYPE_CHECKING:
    import torch

    from jupyter_gpu_ext.tensors.save_plan import SavePlan


class Snapshots:
    """Takes one snapshot after another into the same host memory."""

    def __init__(self) -> None:
        self._hosts: list[torch.Tensor] = []

    def take(self, value: Any) -> SavePlan:
        """Return the plan to write `value` as .pt as it is now; the next call overwrites what it reads.

        Raises
        ------
        BadRequestError
            When .pt cannot hold the value.
        """
        found = describe(value)
        finish_devices()
        self._hosts = [self._copy(at, storage) for at, storage in enumerate(found.storages)]
        finish_devices()
        return torch_plan(found.pickled, [TorchSource(host) for host in self._hosts], found.tensor_count)

    def _copy(self, at: int, storage: torch.UntypedStorage) -> torch.Tensor:
        import torch

        source = storage_bytes(storage)
        known = self._hosts[at] if at < len(self._hosts) else None
        # Page-locked memory is slow to get and quick to copy to: it is used again.
        if known is None or known.numel() != source.numel():
            known = torch.empty(source.numel(), dtype=torch.uint8, pin_memory=source.device.type in ("cuda", "xpu"))
        return known.copy_(source, non_blocking=True)
