"""What a value of the notebook holds in tensors, by device."""

from __future__ import annotations

import sys
from typing import Any

from jupyter_gpu_ext.gpu.named import named_tensors


def held_by(*values: Any) -> dict[str, int]:
    """Return the bytes of the storages that values refer to: tensors, models, and containers of them."""
    held: dict[str, int] = {}
    for device, size in storages(*values).values():
        held[device] = held.get(device, 0) + size
    return held


def storages(*values: Any) -> dict[int, tuple[str, int]]:
    """Return device and bytes of each storage, by its address."""
    if "torch" not in sys.modules:
        return {}
    import torch

    found: dict[int, tuple[str, int]] = {}
    for _, one in named_tensors(("", value) for value in values):
        if one.layout is torch.strided and one.device.type != "meta":
            memory = one.untyped_storage()
            found[memory.data_ptr()] = (str(one.device), memory.nbytes())
    return found
