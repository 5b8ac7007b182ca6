"""Equal to the bit: types, containers, sharing and all."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch


def assert_same(mine: Any, theirs: Any) -> None:
    """Compare a value of ours with the one that torch or safetensors loads."""
    _compare(mine, theirs, "value", {})


def _compare(mine: Any, theirs: Any, at: str, shared: dict[int, int]) -> None:
    assert type(mine) is type(theirs), at
    if isinstance(theirs, torch.Tensor):
        _compare_tensors(mine, theirs, at)
        # What shares memory there shares it here.
        if theirs.untyped_storage().nbytes():
            known = shared.setdefault(theirs.untyped_storage().data_ptr(), mine.untyped_storage().data_ptr())
            assert known == mine.untyped_storage().data_ptr(), at
    elif isinstance(theirs, dict):
        assert list(mine) == list(theirs), at
        for key in theirs:
            _compare(mine[key], theirs[key], f"{at}[{key!r}]", shared)
        if isinstance(theirs, OrderedDict):
            _compare(vars(mine), vars(theirs), f"{at}.__dict__", shared)
    elif isinstance(theirs, (list, tuple)) and not isinstance(theirs, torch.Size):
        assert len(mine) == len(theirs), at
        for index, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            _compare(one, other, f"{at}[{index}]", shared)
    else:
        assert mine == theirs or mine is theirs, at


def _compare_tensors(mine: torch.Tensor, theirs: torch.Tensor, at: str) -> None:
    for name in ("dtype", "shape", "requires_grad", "device"):
        assert getattr(mine, name) == getattr(theirs, name), f"{at}.{name}"
    assert mine.stride() == theirs.stride(), at
    assert raw(mine) == raw(theirs), at


def raw(tensor: torch.Tensor) -> bytes:
    """Return the elements' own bytes, so that NaN equals itself and -0 is not 0."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.clone().view(torch.uint8).numpy().tobytes() if flat.numel() else b""
