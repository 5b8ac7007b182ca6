"""What a value of the notebook holds in tensors, by device."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_NODES = 1_000_000


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
    for one in _tensors(values):
        if one.layout is torch.strided and one.device.type != "meta":
            memory = one.untyped_storage()
            found[memory.data_ptr()] = (str(one.device), memory.nbytes())
    return found


def _tensors(value: Any) -> Iterator[Any]:
    import torch

    waiting, seen = [value], set[int]()
    while waiting and len(seen) < _MOST_NODES:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            yield one
            if one.is_leaf and one.grad is not None:
                waiting.append(one.grad)
        elif isinstance(one, torch.nn.Module):
            waiting += [*one.parameters(), *one.buffers()]
        elif isinstance(one, torch.optim.Optimizer):
            waiting += [one.state]
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting += one
