"""Put samples side by side: a batch."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    import torch

_SHOWN = 3
# Types that numpy has, by the names of both.
_NUMPYS = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"
}  # fmt: skip


def stack(collected: list[Any]) -> Any:
    """Put samples side by side, as torch does where it is there, else arrays in dicts and tuples.

    Raises
    ------
    BadRequestError
        When they do not have the same fields and shapes, saying which differ.
    """
    try:
        from torch.utils.data._utils.collate import collate, default_collate_fn_map
    except ImportError:
        way = _stacked
    else:
        import torch

        way = functools.partial(collate, collate_fn_map={**default_collate_fn_map, torch.Tensor: _tensors})
    try:
        return way(collected)
    except (RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
        said = _difference(collected, "") or printable((str(error).splitlines() or [""])[0][:200])
        raise BadRequestError(
            f"These samples make no batch: {said}.",
            hint=".map(f) before .batch makes them alike, by a resize for example; .batch(n, collate=list) lists them.",
        ) from None


def _tensors(collected: list[torch.Tensor], *, collate_fn_map: Any = None) -> torch.Tensor:
    """Put tensors side by side in this thread: torch would have all its threads wait for cores that decode."""
    import torch
    from torch.utils.data import get_worker_info
    from torch.utils.data._utils.collate import collate_tensor_fn

    # A worker has one thread, and memory that it shares.
    is_plain = len({one.dtype for one in collected}) == 1 and all(map(_is_plain, collected))
    if get_worker_info() is None and is_plain:
        return torch.from_numpy(np.stack([one.numpy() for one in collected]))
    made: torch.Tensor = collate_tensor_fn(collected, collate_fn_map=collate_fn_map)
    return made


def _is_plain(one: torch.Tensor) -> bool:
    import torch

    is_here = type(one) is torch.Tensor and one.device.type == "cpu" and one.layout == torch.strided
    return is_here and not (one.requires_grad or one.is_neg()) and str(one.dtype).removeprefix("torch.") in _NUMPYS


def _stacked(collected: list[Any]) -> Any:
    first = collected[0]
    if isinstance(first, dict):
        return {name: _stacked([one[name] for one in collected]) for name in first}
    if isinstance(first, tuple):
        return tuple(_stacked(list(one)) for one in zip(*collected, strict=True))
    if isinstance(first, str | bytes):
        return collected
    return np.stack([np.asarray(one) for one in collected])


def _difference(collected: list[Any], name: str) -> str:
    """Say in which field samples differ; '' where they do not."""
    first = collected[0]
    shown = printable(name) or "one"
    if isinstance(first, dict) and all(isinstance(one, dict) for one in collected):
        fields = [sorted(map(str, one)) for one in collected]
        if len({tuple(one) for one in fields}) > 1:
            return f"{shown} has the fields {_some([', '.join(one) for one in fields])}"
        return next((said for key in first if (said := _difference([one[key] for one in collected], str(key)))), "")
    if all(hasattr(one, "shape") for one in collected):
        shapes = [" × ".join(map(str, one.shape)) or "scalar" for one in collected]
        return f"{shown} is {_some(shapes)}" if len(set(shapes)) > 1 else ""
    kinds = [type(one).__name__ for one in collected]
    return f"{shown} is {_some(kinds)}" if len(set(kinds)) > 1 else ""


def _some(said: list[str]) -> str:
    found = list(dict.fromkeys(said))
    return " and ".join(printable(one) for one in found[:_SHOWN]) + (" …" if len(found) > _SHOWN else "")
