"""Put samples side by side: a batch."""

from __future__ import annotations

from typing import Any

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import printable

_SHOWN = 3


def stack(collected: list[Any]) -> Any:
    """Put samples side by side, as torch does where it is there, else arrays in dicts and tuples.

    Raises
    ------
    BadRequestError
        When they do not have the same fields and shapes, saying which differ.
    """
    try:
        from torch.utils.data import default_collate
    except ImportError:
        default_collate = _stacked
    try:
        return default_collate(collected)
    except (RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
        said = _difference(collected, "") or printable((str(error).splitlines() or [""])[0][:200])
        raise BadRequestError(
            f"These samples make no batch: {said}.",
            hint=".map(f) before .batch makes them alike, by a resize for example; .batch(n, collate=list) lists them.",
        ) from None


def _stacked(collected: list[Any]) -> Any:
    import numpy as np

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
